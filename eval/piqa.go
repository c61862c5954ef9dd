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
// model. The baseline "first_candidate" takes the likeliest phrase of the paragraph, whatever the
// question.
//
// A vector of another length is an error, and so is a paragraph or a question without its vectors.
func RunPIQA(d *Dataset, contexts map[int]PIQAContext, questions map[string][]float32, opts Options) (*Report, error) {
	start := opts.now()
	var merged, first Scores
	found := map[int]int{} // by depth
	vectors, seen := 0, map[int]bool{}
	for i, q := range d.Questions {
		c, ok := contexts[q.Paragraph]
		if !ok {
			return nil, fmt.Errorf("question %s: its paragraph was not encoded", q.ID)
		}
		asked, ok := questions[q.ID]
		if !ok {
			return nil, fmt.Errorf("question %s was not encoded", q.ID)
		}
		best, err := nearest(asked, c)
		if err != nil {
			return nil, fmt.Errorf("question %s: %w", q.ID, err)
		}
		answer, likeliest := "", ""
		if best >= 0 {
			answer, likeliest = c.Phrases[best], c.Phrases[0]
		}
		merged.add(q, answer)
		first.add(q, likeliest)
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
	r.Baselines["first_candidate"] = first.Metrics()
	r.Seconds = opts.now().Sub(start).Seconds()
	return r, nil
}

// nearest returns the index of the vector with the largest inner product, -1 where there is none.
func nearest(asked []float32, c PIQAContext) (int, error) {
	if len(c.Phrases) != len(c.Vectors) {
		return 0, fmt.Errorf("%d phrases have %d vectors", len(c.Phrases), len(c.Vectors))
	}
	best, top := -1, math.Inf(-1)
	for i, v := range c.Vectors {
		if len(v) != len(asked) {
			return 0, fmt.Errorf("a vector of %d coordinates meets one of %d", len(asked), len(v))
		}
		product := 0.0
		for j, x := range v {
			product += float64(x) * float64(asked[j])
		}
		if product > top {
			best, top = i, product
		}
	}
	return best, nil
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
