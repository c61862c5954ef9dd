package eval

import (
	"fmt"
	"math"
)

// PIQAContext is what the context side of phrase-indexed question answering made of one paragraph,
// before any question was known.
type PIQAContext struct {
	Phrases []string    // possible answers, the likeliest first
	Vectors [][]float32 // one each
	Words   []string    // of the paragraph: the coordinates of sparse vectors
	Sparse  [][]float32 // one each, or none at all
}

// PIQAQuestion is what the question side made of one question.
type PIQAQuestion struct {
	Vector []float32
	Words  map[string]float64 // the sparse vector
}

// candidateDepths are the k of candidate_recall_at_k.
var candidateDepths = []int{5, 10, 20, 50, 100}

// PIQAParagraphs returns the paragraphs that questions of d are asked about, by their number in d.
func PIQAParagraphs(d *Dataset) map[int]string {
	texts := map[int]string{}
	for _, q := range d.Questions {
		texts[q.Paragraph] = d.Paragraphs[q.Paragraph].Text
	}
	return texts
}

// RunPIQA merges the two sides of phrase-indexed question answering as the benchmark's script does: the
// answer to a question is the phrase of its own paragraph with the largest inner product. It knows no
// model. An inner product is that of the dense vectors plus that of the sparse ones; the baseline "dense_alone" leaves
// these out, where there are any. The baseline "first_candidate" takes the likeliest phrase of the paragraph, whatever
// the question.
//
// A vector of another length is an error, and so is a paragraph or a question without its vectors.
func RunPIQA(d *Dataset, contexts map[int]PIQAContext, questions map[string]PIQAQuestion, opts Options) (*Report, error) {
	start := opts.now()
	var merged, dense, first Scores
	found := map[int]int{} // by depth
	vectors, seen, sparse := 0, map[int]bool{}, false
	for i, q := range d.Questions {
		c, ok := contexts[q.Paragraph]
		if !ok {
			return nil, fmt.Errorf("question %s: its paragraph was not encoded", q.ID)
		}
		asked, ok := questions[q.ID]
		if !ok {
			return nil, fmt.Errorf("question %s was not encoded", q.ID)
		}
		products, err := innerProducts(asked.Vector, c)
		if err != nil {
			return nil, fmt.Errorf("question %s: %w", q.ID, err)
		}
		likeliest := ""
		if len(c.Phrases) > 0 {
			likeliest = c.Phrases[0]
		}
		dense.add(q, bestPhrase(c, products))
		addSparse(products, asked.Words, c)
		merged.add(q, bestPhrase(c, products))
		first.add(q, likeliest)
		sparse = sparse || len(c.Sparse) > 0 && len(asked.Words) > 0
		for _, depth := range append(candidateDepths, math.MaxInt) {
			if holdsGold(q, c.Phrases[:min(depth, len(c.Phrases))]) {
				found[depth]++
			}
		}
		if !seen[q.Paragraph] {
			seen[q.Paragraph] = true
			vectors += len(c.Vectors)
		}
		opts.progress(i+1, len(d.Questions))
	}
	r := newReport("piqa", &merged, opts.Seed)
	n := float64(max(1, len(d.Questions)))
	r.Metrics["candidate_recall"] = percent(float64(found[math.MaxInt]) / n)
	most := 0
	for _, c := range contexts {
		most = max(most, len(c.Phrases))
	}
	for _, depth := range candidateDepths {
		if depth <= most {
			r.Metrics[fmt.Sprintf("candidate_recall_at_%d", depth)] = percent(float64(found[depth]) / n)
		}
	}
	r.Metrics["vectors_per_paragraph"] = float64(vectors) / float64(max(1, len(seen)))
	if sparse {
		r.Baselines["dense_alone"] = dense.Metrics()
	}
	r.Baselines["first_candidate"] = first.Metrics()
	r.Seconds = opts.now().Sub(start).Seconds()
	return r, nil
}

// innerProducts returns those of a question's dense vector with the phrases'.
func innerProducts(asked []float32, c PIQAContext) ([]float64, error) {
	if len(c.Phrases) != len(c.Vectors) {
		return nil, fmt.Errorf("%d phrases have %d vectors", len(c.Phrases), len(c.Vectors))
	}
	if len(c.Sparse) > 0 && len(c.Phrases) != len(c.Sparse) {
		return nil, fmt.Errorf("%d phrases have %d sparse vectors", len(c.Phrases), len(c.Sparse))
	}
	products := make([]float64, len(c.Vectors))
	for i, v := range c.Vectors {
		if len(v) != len(asked) {
			return nil, fmt.Errorf("a vector of %d coordinates meets one of %d", len(v), len(asked))
		}
		if len(c.Sparse) > 0 && len(c.Sparse[i]) != len(c.Words) {
			return nil, fmt.Errorf("a sparse vector of %d coordinates meets %d words", len(c.Sparse[i]), len(c.Words))
		}
		for j, x := range v {
			products[i] += float64(x) * float64(asked[j])
		}
	}
	return products, nil
}

// addSparse adds the inner products of sparse vectors.
func addSparse(products []float64, asked map[string]float64, c PIQAContext) {
	for i, sparse := range c.Sparse {
		for j, word := range c.Words {
			products[i] += asked[word] * float64(sparse[j])
		}
	}
}

// bestPhrase returns the phrase with the largest inner product, "" where there is none.
func bestPhrase(c PIQAContext, products []float64) string {
	best, top := "", math.Inf(-1)
	for i, product := range products {
		if product > top {
			best, top = c.Phrases[i], product
		}
	}
	return best
}

// holdsGold says whether an accepted answer is among the phrases.
func holdsGold(q Question, phrases []string) bool {
	accepted := gold(q)
	for _, p := range phrases {
		if len(accepted) > 0 && ExactMatch(p, accepted) {
			return true
		}
	}
	return false
}
