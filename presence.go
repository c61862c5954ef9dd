package evident

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"evident/internal/heatmap"
	"evident/model/vision"
	"evident/model/vit"
)

// everydayNames are what presence is judged against: things of which most pictures show few.
var everydayNames = []string{
	"person", "child", "dog", "cat", "horse", "bird", "car", "bus", "bicycle", "boat", "airplane", "tree",
	"flower", "food", "bottle", "chair", "table", "bed", "computer", "phone", "book", "ball", "house", "sky",
	"water", "street", "snow", "grass", "sign", "clock", "shoe", "toy",
}

// presence returns how surely each text is seen in a picture at all, and its similarity. A
// classifier's are both the probability of the class.
func (v *Vision) presence(ctx context.Context, im *vit.Image, texts []vision.Text) (presence, similarity []float64, err error) {
	against, err := v.against(ctx)
	if err != nil {
		return nil, nil, err
	}
	if v.model.Classes != nil {
		p := v.probabilities(im, texts, against)
		return p, p, nil
	}
	others := make([]float64, len(against))
	for i := range against {
		others[i] = dot(im.Embedding, against[i].Embedding)
	}
	for i := range texts {
		s := dot(im.Embedding, texts[i].Embedding)
		similarity = append(similarity, s)
		presence = append(presence, heatmap.Presence(s, float64(v.model.Scale), others))
	}
	return presence, similarity, nil
}

// against returns what texts are judged against: a classifier's other classes, or everyday names.
// They are encoded once.
func (v *Vision) against(ctx context.Context) ([]vision.Text, error) {
	v.mu.Lock()
	known := v.others
	v.mu.Unlock()
	if known != nil {
		return known, nil
	}
	names := slices.Clone(v.model.Classes)
	if names == nil {
		for _, n := range everydayNames {
			names = append(names, v.Prompt(n))
		}
	}
	encoded, err := v.texts(ctx, names)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	v.others = encoded
	v.mu.Unlock()
	return encoded, nil
}

// probabilities returns the softmax over all classes, for those in texts.
func (v *Vision) probabilities(im *vit.Image, texts, all []vision.Text) []float64 {
	largest, sum := math.Inf(-1), 0.0
	logits := make([]float64, len(all))
	for i := range all {
		logits[i] = float64(v.model.Logit(im, &all[i]))
		largest = max(largest, logits[i])
	}
	for _, l := range logits {
		sum += math.Exp(l - largest)
	}
	p := make([]float64, len(texts))
	for i := range texts {
		p[i] = math.Exp(float64(v.model.Logit(im, &texts[i]))-largest) / sum
	}
	return p
}

func dot(a, b []float32) float64 {
	sum := 0.0
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

// Likely returns the classes of an image classifier that it sees in the picture, the most probable
// first, at most n.
func (v *Vision) Likely(ctx context.Context, photo *Photo, n int) ([]string, error) {
	if v.model.Classes == nil {
		return nil, errors.New("the model reads any text and has no classes of its own")
	}
	all, err := v.against(ctx)
	if err != nil {
		return nil, err
	}
	im, err := v.model.EncodePicture(ctx, photo.image)
	if err != nil {
		return nil, err
	}
	p := v.probabilities(im, all, all)
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[b], p[a]) })
	var names []string
	for _, at := range order[:min(n, len(order))] {
		names = append(names, v.model.Classes[at])
	}
	return names, nil
}
