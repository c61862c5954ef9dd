package evident

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"evident/internal/heatmap"
	"evident/internal/region"
	"evident/model/vision"
	"evident/model/vit"
)

// ClassifyRegions ranks labels for each region: how well "a photo of a LABEL" fits its vector, and with which
// probability it is that label and none of the others. Of a single label the score is how surely it is
// seen in the region at all. The error is a [*TextError] for a label without words, or one that a
// classifier does not know.
func (v *Vision) ClassifyRegions(
	ctx context.Context, photo *Photo, masks []Mask, labels []string, o RegionOptions,
) (*Regions, error) {
	texts, err := v.labels(ctx, labels, o.Prompt)
	if err != nil {
		return nil, err
	}
	o.Method = cmp.Or(o.Method, v.naming())
	r, _, err := v.regions(ctx, photo, masks, o)
	if err != nil {
		return nil, err
	}
	if err := v.rank(ctx, r, labels, texts); err != nil {
		return nil, err
	}
	return r, nil
}

// Match is the region that an expression means.
type Match struct {
	Text string `json:"text"`
	// Mask is the name of the region that fits best; "" where none fits, as Presence says.
	Mask     string       `json:"mask"`
	Presence float64      `json:"presence"` // 0…1: how surely the best region shows the expression at all
	Ranking  []RankedMask `json:"ranking"`  // best first
}

// RankedMask is a region and how well an expression fits it.
type RankedMask struct {
	Mask       string  `json:"mask"`
	Score      float64 `json:"score"` // 0…1: probability among the regions
	Similarity float64 `json:"similarity"`
}

// PresenceMin is the presence below which an expression means no region.
const PresenceMin = 0.1

// MatchRegions says which region each expression means, and which expressions fit each region. An expression that no
// region shows matches none. Expressions are taken as they are, "the brown dog on the left", without a
// template unless the options give one.
func (v *Vision) MatchRegions(
	ctx context.Context, photo *Photo, masks []Mask, expressions []string, o RegionOptions,
) (*Regions, error) {
	if len(o.Prompt) == 0 {
		o.Prompt = []string{"{}"}
	}
	texts, err := v.labels(ctx, expressions, o.Prompt)
	if err != nil {
		return nil, err
	}
	o.Method = cmp.Or(o.Method, v.naming())
	r, _, err := v.regions(ctx, photo, masks, o)
	if err != nil {
		return nil, err
	}
	if err := v.rank(ctx, r, expressions, texts); err != nil {
		return nil, err
	}
	for i, expression := range expressions {
		m, err := v.match(ctx, r, expression, &texts[i])
		if err != nil {
			return nil, err
		}
		r.Matches = append(r.Matches, *m)
	}
	return r, nil
}

// match ranks the regions for one expression.
func (v *Vision) match(ctx context.Context, r *Regions, expression string, text *vision.Text) (*Match, error) {
	m := &Match{Text: expression}
	logits := make([]float64, len(r.Regions))
	for i := range r.Regions {
		logits[i] = v.regionLogit(r.Regions[i].vector, text)
	}
	for i, p := range softmax(logits, v.regionScale(r.Method)) {
		m.Ranking = append(m.Ranking, RankedMask{Mask: r.Regions[i].Mask, Score: p, Similarity: logits[i]})
	}
	best := slices.Index(logits, slices.Max(logits))
	presence, err := v.regionPresence(ctx, r.Regions[best].vector, logits[best], r.Method)
	if err != nil {
		return nil, err
	}
	if m.Presence = presence; presence >= PresenceMin {
		m.Mask = r.Regions[best].Mask
	}
	slices.SortStableFunc(m.Ranking, func(a, b RankedMask) int { return cmp.Compare(b.Similarity, a.Similarity) })
	return m, nil
}

// rank fills the labels of each region.
func (v *Vision) rank(ctx context.Context, r *Regions, labels []string, texts []vision.Text) error {
	for i := range r.Regions {
		vector := r.Regions[i].vector
		logits := make([]float64, len(texts))
		for j := range texts {
			logits[j] = v.regionLogit(vector, &texts[j])
		}
		scores := softmax(logits, v.regionScale(r.Method))
		if len(scores) == 1 {
			presence, err := v.regionPresence(ctx, vector, logits[0], r.Method)
			if err != nil {
				return err
			}
			scores[0] = presence
		}
		for j, text := range labels {
			r.Regions[i].Labels = append(r.Regions[i].Labels, Label{Text: text, Score: scores[j], Similarity: logits[j]})
		}
		slices.SortStableFunc(r.Regions[i].Labels, func(a, b Label) int { return cmp.Compare(b.Similarity, a.Similarity) })
	}
	for i, text := range texts {
		if text.Cut {
			r.Notes = append(r.Notes, fmt.Sprintf("text %q is longer than the model reads: its end was cut", shortened(labels[i])))
		}
	}
	return nil
}

// labels encodes labels in templates. With several templates a label's vector is the mean of its vectors of length 1,
// scaled to length 1 (as CLIP's ensembles).
func (v *Vision) labels(ctx context.Context, labels, templates []string) ([]vision.Text, error) {
	for _, t := range templates {
		if !strings.Contains(t, "{}") {
			return nil, &TextError{Text: t, Reason: "a template has {} where the label goes"}
		}
	}
	if len(templates) == 0 || v.model.Classes != nil {
		templates = []string{cmp.Or(v.model.Prompt, "{}")}
		if v.model.Classes != nil {
			templates[0] = "{}"
		}
	}
	var sums []vision.Text
	for i, t := range templates {
		asked := make([]string, len(labels))
		for j, label := range labels {
			if strings.TrimSpace(label) == "" {
				return nil, &TextError{Text: label, Reason: "it has no words"}
			}
			asked[j] = strings.ReplaceAll(t, "{}", label)
		}
		texts, err := v.texts(ctx, asked)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			sums = texts
			continue
		}
		for j := range texts {
			for k, x := range texts[j].Embedding {
				sums[j].Embedding[k] += x
			}
			sums[j].Cut = sums[j].Cut || texts[j].Cut
		}
	}
	for j := range sums {
		vit.Normalise(sums[j].Embedding)
	}
	return sums, nil
}

// regionLogit is how well a text fits a vector of length 1: its cosine. Of a classifier it is what the head says,
// for a vector of the length that the model's have, in units of that length.
func (v *Vision) regionLogit(vector []float32, text *vision.Text) float64 {
	if v.model.Classes != nil {
		return dot(vector, text.Vector) + float64(text.Bias)/v.regionScale("")
	}
	return dot(vector, text.Embedding)
}

// regionScale is what cosines are multiplied by to become logits of probabilities.
func (v *Vision) regionScale(method string) float64 {
	return float64(region.Scale(v.model, region.Method(method)))
}

// regionPresence is how surely a text with this logit is seen in a region at all, judged against everyday names or a
// classifier's other classes.
func (v *Vision) regionPresence(ctx context.Context, vector []float32, logit float64, method string) (float64, error) {
	against, err := v.against(ctx)
	if err != nil {
		return 0, err
	}
	others := make([]float64, len(against))
	for i := range against {
		others[i] = v.regionLogit(vector, &against[i])
	}
	return heatmap.Presence(logit, v.regionScale(method), others), nil
}

// softmax returns the probabilities that scaled logits stand for.
func softmax(logits []float64, scale float64) []float64 {
	largest, sum := slices.Max(logits), 0.0
	p := make([]float64, len(logits))
	for i, l := range logits {
		p[i] = math.Exp(scale * (l - largest))
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}
