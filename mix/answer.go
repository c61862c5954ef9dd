package mix

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"

	"evident/document"
)

// Answer is one distinct text with every place it was found.
type Answer struct {
	Text        string  // as written at its best place
	Probability float64 // that it is right, calibrated
	Share       float64 // of all candidates' weight, 0..1
	Places      []Place // best first, never empty
	Why         Explanation
}

// Place is one span of text that holds an answer.
type Place struct {
	Passage  int               // index into the passages
	Bytes    document.ByteSpan // in the passage's text
	Score    float64           // fused
	Features Features
}

// candidates returns the spans of all readings as scored places, best first.
func candidates(readings []Reading, passages []Passage, fusion Fusion, perPassage, tokensMax int) []Place {
	starts, ends := make([][]float32, len(readings)), make([][]float32, len(readings))
	for i, r := range readings {
		starts[i], ends[i] = r.Start, r.End
	}
	all := logSumExp(starts...) + logSumExp(ends...)
	top := 0.0
	for _, p := range passages {
		top = max(top, float64(p.Score))
	}
	var places []Place
	for i := range readings {
		r := &readings[i]
		own := logSumExp(r.Start) + logSumExp(r.End)
		bm25 := 0.0
		if s := float64(passages[r.Passage].Score); s > 0 && top > 0 {
			bm25 = math.Log(s / top)
		}
		for _, s := range r.bestSpans(perPassage, tokensMax) {
			f := Features{
				Span: float64(s.logit) - all, Local: float64(s.logit) - own,
				Relevance: float64(r.Relevance), Answerable: float64(r.Answerable), BM25: bm25,
			}
			places = append(places, Place{Passage: r.Passage, Bytes: s.bytes, Score: fusion.Score(f), Features: f})
		}
	}
	slices.SortStableFunc(places, func(a, b Place) int { return cmp.Compare(b.Score, a.Score) })
	return places
}

// merge joins places of equal text into answers, best first, and drops places that overlap a
// better one in the same passage: they are the same finding with other edges.
func merge(places []Place, passages []Passage, calibration Calibration) []Answer {
	if len(places) == 0 {
		return nil
	}
	total, peak := 0.0, places[0].Score
	for _, p := range places {
		total += math.Exp(p.Score - peak)
	}
	type group struct {
		places []Place
		weight float64
	}
	var order []string
	groups := map[string]*group{}
	var kept []Place
	for _, p := range places {
		key := Key(quote(p, passages))
		g, known := groups[key]
		if !known {
			if overlapsAny(p, kept) {
				continue
			}
			g = &group{}
			groups[key] = g
			order = append(order, key)
		}
		g.weight += math.Exp(p.Score - peak)
		if !overlapsAny(p, g.places) {
			g.places = append(g.places, p)
			kept = append(kept, p)
		}
	}
	answers := make([]Answer, len(order))
	for i, key := range order {
		g := groups[key]
		best, share := g.places[0], g.weight/total
		answers[i] = Answer{
			Text: quote(best, passages), Share: share, Places: g.places,
			Probability: calibration.Probability(share, best.Features),
		}
	}
	slices.SortStableFunc(answers, func(a, b Answer) int {
		return cmp.Compare(b.Probability, a.Probability)
	})
	return answers
}

func quote(p Place, passages []Passage) string {
	return passages[p.Passage].Text[p.Bytes.Start:p.Bytes.End]
}

func overlapsAny(p Place, others []Place) bool {
	return slices.ContainsFunc(others, func(o Place) bool {
		return p.Passage == o.Passage && p.Bytes.Start < o.Bytes.End && o.Bytes.Start < p.Bytes.End
	})
}

// Key maps answers that a reader would call the same to one key: case, punctuation and
// leading articles do not matter. Text of punctuation alone is its own key.
func Key(text string) string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r)
	})
	for len(words) > 1 && (words[0] == "the" || words[0] == "a" || words[0] == "an") {
		words = words[1:]
	}
	if len(words) == 0 {
		return text
	}
	return strings.Join(words, " ")
}
