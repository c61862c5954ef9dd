// Package bm25 is an inverted index that ranks passages exactly as Lucene's BM25Similarity does.
//
// Most callers want four things: a [Builder] collects texts, [Builder.WriteTo] writes them as one
// immutable segment, [Open] maps a segment into memory, and [NewIndex] ranks over any number of
// segments at once:
//
//	b := bm25.NewBuilder(bm25.DefaultAnalyzer())
//	b.Add("The quick brown fox")
//	segment, err := b.Segment()
//	index, err := bm25.NewIndex([]bm25.Part{{Segment: segment}}, bm25.Params{})
//	hits, err := index.Search("what does the fox do", 20)
//
// # The score
//
// The score is BM25 (Robertson and Zaragoza 2009) in the form Lucene has used since version 8,
// without the factor k1+1:
//
//	score(q, d) = Σ over terms t of q:  idf(t) · tf / (tf + k1·(1 - b + b·length/average))
//	idf(t)      = ln(1 + (N - df + 0.5) / (df + 0.5))
//
// Two things that a textbook leaves open decide the order of near ties, so they follow Lucene to
// the bit: the length is kept in one byte ([SmallFloat], three bits of mantissa), and the sum is
// taken over float32 shares. Ties are ranked by document number. N and the average count only
// documents that have at least one term.
//
// # Speed
//
// Postings are packed in blocks of 128. Each block carries the pairs (tf, length) that no other
// pair of the block beats, from which the highest score inside the block follows for any k1, b and
// average length. The search ([Index.Search]) is MaxScore with these block bounds: it skips what
// cannot enter the best k and returns exactly what an exhaustive search returns.
//
// # Deletions
//
// A deleted document counts nowhere: not in N, not in the average, not in df. The ranking is
// therefore the one of an index rebuilt from the documents that remain, at once; Lucene gets there
// when it has merged the deletion away.
//
// [SmallFloat]: https://lucene.apache.org/core/9_12_0/core/org/apache/lucene/util/SmallFloat.html
package bm25
