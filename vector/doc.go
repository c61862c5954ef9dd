// Package vector finds, among many vectors, those with the largest inner product with a query.
//
// An [Index] is a folder. [Create] makes it, [Open] reads it, [Index.Writer] adds and removes,
// [Index.Improve] keeps it fast:
//
//	x, err := vector.Create(dir, vector.Settings{Dim: 383, Fine: true})
//	w, err := x.Writer()
//	err = w.Put("a document", []vector.Item{{ID: 7, Vector: v, Prior: -0.2}})
//	err = w.Commit()
//	hits, err := x.Search(&vector.Query{Vector: q, K: 10, PriorWeight: 1})
//
// Vectors belong to groups, of which each has a key: what a document gives is put, replaced and
// removed together, and a query may leave groups out.
//
// # How it searches
//
// A score is query·vector + PriorWeight·prior. Vectors are turned by one fixed rotation, which
// changes no inner product, and kept as 16-bit fixed-point numbers in two planes of bytes
// (error below 2e-6 of |query|·|vector|).
//
// A small segment is scanned: the high plane bounds every score, and what may be among the best is
// computed from both planes, so the result is exact. A large one has inverted lists (k-means) and,
// for each vector, a code of one bit a coordinate with an unbiased estimate of its score and that
// estimate's error (RaBitQ, Gao and Long 2024, arXiv:2405.12497). Only vectors whose bound exceeds
// the k-th best score so far are computed from their bytes.
//
// # What lasts
//
// As in package store: files are never changed, a manifest names those that count, and it is
// replaced in one step after everything was synced. New vectors go to new segments; Improve merges
// small segments and trains lists, while the old files answer. The format is described in
// docs/format/vector-index.md.
package vector
