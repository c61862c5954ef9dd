package store

import (
	"slices"

	"evident/internal/parallel"
)

// passagesTogether is how many passages one goroutine reads in a row.
const passagesTogether = 8

// Passages returns passages with their texts, in the order asked for. Texts lie compressed in chunks: each passage is read
// once, in the order in which they lie.
func (s *Snapshot) Passages(ids []PassageID) ([]Passage, error) {
	distinct := slices.Compact(slices.Sorted(slices.Values(ids)))
	read := make([]Passage, len(distinct))
	runs := (len(distinct) + passagesTogether - 1) / passagesTogether
	failed := make([]error, runs)
	parallel.Each(runs, func(run int) {
		for i := run * passagesTogether; i < min((run+1)*passagesTogether, len(distinct)); i++ {
			if read[i], failed[run] = s.Passage(distinct[i]); failed[run] != nil {
				return
			}
		}
	})
	if i := slices.IndexFunc(failed, func(err error) bool { return err != nil }); i >= 0 {
		return nil, failed[i]
	}
	passages := make([]Passage, len(ids))
	for i, id := range ids {
		at, _ := slices.BinarySearch(distinct, id)
		passages[i] = read[at]
	}
	return passages, nil
}
