package bm25

import (
	"fmt"
	"sort"
)

// Explanation is a number and how it came about.
type Explanation struct {
	Label   string
	Value   float64
	Details []Explanation
}

// Explain returns the score of a document for the question, taken apart by term, the largest
// share first. Its numbers are computed by the code that ranks. A document that shares no term
// with the question has the score 0; for one that does not exist the error is [ErrNoDocument].
func (x *Index) Explain(question string, doc uint32) (Explanation, error) {
	p, local, ok := x.locate(doc)
	if !ok {
		return Explanation{}, fmt.Errorf("explain document %d of %d: %w", doc, x.docs, ErrNoDocument)
	}
	query, err := x.prepare(x.analyzer.Terms(question))
	if err != nil {
		return Explanation{}, err
	}
	sum := 0.0
	var details []Explanation
	for _, q := range query {
		for _, pl := range q.lists {
			if x.parts[pl.part] != p {
				continue
			}
			var c cursor
			c.reset(&pl, q.weight, p.codes)
			c.seek(local)
			if c.broken {
				return Explanation{}, p.brokenList(pl.term)
			}
			if c.doc == local && c.on {
				share := q.score(c.tf(), p.codes[local])
				sum += float64(share)
				details = append(details, x.explainTerm(q, share, c.tf(), p.codes[local]))
			}
		}
	}
	sort.SliceStable(details, func(i, j int) bool { return details[i].Value > details[j].Value })
	total := float64(float32(sum)) // rounded once, as in the search
	return Explanation{Label: "BM25, sum over terms", Value: total, Details: details}, nil
}

// explainTerm shows the fields that [weight.score] read.
func (x *Index) explainTerm(q queryTerm, share float32, tf uint32, code byte) Explanation {
	return Explanation{
		Label: fmt.Sprintf("%q: weight · tf / (tf + norm)", q.term),
		Value: float64(share),
		Details: []Explanation{
			{
				Label: "weight = idf · times in the question", Value: float64(q.value),
				Details: []Explanation{
					{Label: "documents with the term", Value: float64(q.df)},
					{Label: "documents", Value: float64(x.stats.documents)},
					{Label: "times in the question", Value: float64(q.count)},
				},
			},
			{Label: "tf, times in the passage", Value: float64(tf)},
			{
				Label: "norm = k1·(1 - b + b·length/average)", Value: 1 / float64(q.inverse[code]),
				Details: []Explanation{
					{Label: "length, as kept in one byte", Value: float64(decodedLength[code])},
					{Label: "average length", Value: float64(x.stats.averageLength())},
					{Label: "k1", Value: float64(x.params.K1)},
					{Label: "b", Value: float64(x.params.B)},
				},
			},
		},
	}
}

// locate finds the part that holds a document and its number there.
func (x *Index) locate(doc uint32) (*part, uint32, bool) {
	i := sort.Search(len(x.parts), func(i int) bool { return x.parts[i].base > doc }) - 1
	if doc >= x.docs || i < 0 {
		return nil, 0, false
	}
	p := x.parts[i]
	local := doc - p.base
	if local >= p.documents || p.isDeleted(local) {
		return nil, 0, false
	}
	return p, local, true
}
