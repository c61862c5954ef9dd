package mix

import (
	"fmt"

	"evident/bm25"
)

// Explanation is a tree of labelled numbers; it shows the working of a score.
type Explanation = bm25.Explanation

// explain shows how an answer's probability came about: the calibration's terms, below them the
// fused score of its best span, below that the retriever's terms.
func explain(a Answer, s Setting, retrieval *Explanation) Explanation {
	best := a.Places[0]
	calibrated := s.Calibration.terms(a.Share, best.Features)
	fused := s.Fusion.terms(best.Features)
	score := Explanation{Label: "score of the best span", Value: best.Score, Details: fused[:]}
	if retrieval != nil {
		score.Details = append(score.Details, *retrieval)
	}
	share := Explanation{
		Label: fmt.Sprintf("share of all candidates, %d place(s)", len(a.Places)), Value: a.Share,
		Details: []Explanation{score},
	}
	return Explanation{
		Label: "probability that the answer is right", Value: a.Probability,
		Details: append(calibrated[:], share),
	}
}
