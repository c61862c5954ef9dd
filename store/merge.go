package store

import (
	"io"
	"slices"

	"evident/bm25"
	"evident/document"
	"evident/internal/durable"
)

const (
	mergeFactor = 8   // that many batches of one level become one
	levelZero   = 512 // a batch with fewer passages is of level 0; each level is mergeFactor larger
)

// mergeRun chooses the batches from:to to be merged next; from == to means none.
//
// Batches stay in order, so that ties in the ranking stay as they are. Taking levels from small to
// large, the newest batches that are not above the level are merged when mergeFactor of them are
// of the level. Every passage is thus rewritten once a level, and a folder of n passages has about
// mergeFactor · log(n) batches. A batch that is mostly deleted is rewritten alone.
func mergeRun(batches []batchEntry) (from, to int) {
	for level := range 12 {
		from, to = len(batches), len(batches)
		same := 0
		for from > 0 && levelOf(batches[from-1]) <= level {
			from--
			if levelOf(batches[from]) == level {
				same++
			}
		}
		if same >= mergeFactor {
			return from, to
		}
	}
	for i, b := range batches {
		if dead := b.Documents - liveDocuments(b); 2*dead > b.Documents && b.Passages >= levelZero {
			return i, i + 1
		}
	}
	return 0, 0
}

func levelOf(b batchEntry) int {
	level := 0
	for size := max(b.Passages, b.Documents); size >= levelZero; size /= mergeFactor {
		level++
	}
	return level
}

func liveDocuments(b batchEntry) int {
	n := b.Documents
	for _, r := range b.Deleted {
		n -= int(r[1] - r[0])
	}
	return n
}

// merge replaces the batches from:to by one and publishes that as a generation.
func (w *Writer) merge(from, to int) error {
	path := w.filePath(w.nextFile)
	w.nextFile++
	out, err := newBatchWriter(w.store.fs, path)
	if err != nil {
		return err
	}
	var parts []bm25.Part
	for i := from; i < to; i++ {
		b, deleted := w.base.batches[i], w.base.manifest.Batches[i].Deleted
		ranges, err := b.passageRanges(deleted)
		if err != nil {
			out.abandon()
			return err
		}
		parts = append(parts, bm25.Part{Segment: b.segment, Deleted: ranges})
		if err := out.copy(b, durable.Flags(deleted, int(b.documents))); err != nil {
			out.abandon()
			return err
		}
	}
	entry, err := out.finish(func(dst io.Writer) (int64, error) {
		return bm25.Merge(dst, parts)
	})
	if err != nil {
		return err
	}
	batches := slices.Clone(w.base.manifest.Batches)
	return w.publish(slices.Replace(batches, from, to, entry))
}

// copy adds the live documents of a batch, after checking their texts.
func (w *batchWriter) copy(b *batch, deleted []bool) error {
	return b.eachLive(deleted, func(r *record) error {
		whole, err := b.document(r)
		if err != nil {
			return err
		}
		passages := make([]document.Passage, 0, r.passageCount)
		for number := r.passages; number < r.passages+r.passageCount; number++ {
			p, _, _, err := b.passage(number)
			if err != nil {
				return err
			}
			passages = append(passages, p)
		}
		return w.add(*r, whole.Text, passages)
	})
}
