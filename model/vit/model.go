package vit

import (
	"context"

	"evident/internal/pack"
	"evident/internal/picture"
)

// Model is a vision-language model: a tower of images, and what makes vectors of texts that compare with those
// of images. Whatever files it was read from, this is what commands use. It is safe for concurrent use.
type Model struct {
	*Tower
	Name        string         // says architecture and size, for people: "CLIP ViT-B/16"
	Recipe      picture.Recipe // how a picture becomes the pixels of a vector
	MapSize     int            // pixels a side that maps are best made with
	MapLayers   []int          // whose LeGrad maps are added
	Inversion   Inversion      // how regions' vectors are best made
	Scale, Bias float32        // the logit of a text is Scale times its cosine, plus Bias
	Prompt      string         // how a class name is asked for, "a photo of a {}"; "" for as it is
	Classes     []string       // the only texts there are, where the model is a classifier; nil where any text will do
	Texts       TextEncoder
	Regions     Regions     // how regions are named best
	Packed      pack.Report // whether the weights came from a cache, and what became of it
}

// Regions says how vectors of regions, made by several methods, are put together so that they are named best: chosen
// on held-out photos. The zero value says nothing.
type Regions struct {
	Weights map[string]float32 // of each method's vector of length 1 in the sum
	Scales  map[string]float32 // by method: what cosines with texts are multiplied by to become logits
}

// Inversion is how MaskInversion is best run on a model, as it was chosen on data that no test has. The zero value
// is no choice: then what the authors' code does counts.
type Inversion struct {
	Layers []int   // whose maps are compared with masks; none means the last
	Size   int     // pixels a side that the image is looked at with; 0 means [Model.MapSize]
	Steps  int     // 0 means 10
	Stride float64 // length of the first move as a share of the image's vector; 0 means a rate of 0.1
	Alpha  float64 // weight of the regularisation
}

// TextEncoder makes vectors of texts.
type TextEncoder interface {
	EncodeTexts(ctx context.Context, texts []string) ([]Text, error)
}

// Text is an encoded text.
type Text struct {
	Vector    []float32 // [E] as the tower gives it
	Embedding []float32 // [E] Vector, scaled to length 1
	Bias      float32   // of a class, where the model is a classifier
	Cut       bool      // the text was longer than the model reads
}

// Logit returns how well a text fits an image: of a classifier what its head says of the class, of other
// models Scale times the cosine, plus Bias. Softmax or, where the model has a Bias, the logistic function makes
// probabilities of logits.
func (m *Model) Logit(im *Image, text *Text) float32 {
	dot := func(a, b []float32) float64 {
		sum := 0.0
		for i, v := range a {
			sum += float64(v) * float64(b[i])
		}
		return sum
	}
	if m.Classes != nil {
		return float32(dot(im.Vector, text.Vector)) + text.Bias
	}
	return m.Scale*float32(dot(im.Embedding, text.Embedding)) + m.Bias
}

// EncodeTexts returns a vector for each text. What the model cannot read of a long text is cut.
func (m *Model) EncodeTexts(ctx context.Context, texts []string) ([]Text, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	return m.Texts.EncodeTexts(ctx, texts)
}

// EncodePicture returns the vector of a picture, which it prepares as the recipe says.
func (m *Model) EncodePicture(ctx context.Context, im *picture.Image) (*Image, error) {
	return m.EncodeImage(ctx, m.Recipe.Apply(im), m.Recipe.Size[1], m.Recipe.Size[0])
}

// EncodeImage returns the vector of pixels [3, height, width], normalised as the recipe says. What is left
// right and below of the last whole patch is not seen, as in the references: SigLIP's images of 384 pixels have
// 27 patches of 14.
func (m *Model) EncodeImage(ctx context.Context, pixels []float32, height, width int) (*Image, error) {
	h, w := height/m.Patch*m.Patch, width/m.Patch*m.Patch
	if h == height && w == width || h == 0 || w == 0 {
		return m.Encode(ctx, pixels, height, width)
	}
	seen := make([]float32, 0, 3*h*w)
	for channel := range 3 {
		for y := range h {
			seen = append(seen, pixels[(channel*height+y)*width:][:w]...)
		}
	}
	return m.Encode(ctx, seen, h, w)
}
