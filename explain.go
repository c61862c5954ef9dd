package evident

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"strings"

	"evident/internal/heatmap"
	"evident/internal/picture"
	"evident/legrad"
	"evident/model/vision"
)

// ExplainOptions tunes [Vision.Explain]. The zero value is the model's own setting.
type ExplainOptions struct {
	Layers []int  // whose maps are added; none means the model's own choice
	Size   int    // pixels a side that the model looks at; 0 means the model's own choice
	Aspect bool   // keep the picture's aspect ratio, at the same number of pixels, instead of squeezing it
	Each   bool   // scale each map by itself, as the authors' code does, instead of all by one scale
	Method string // how the maps are made, see [legrad.ParseMethod]; "" means "legrad"
}

// Explanation is where in a picture texts are seen.
type Explanation struct {
	Model  string    `json:"model"`
	Path   string    `json:"path,omitempty"`
	Width  int       `json:"width"` // of the picture, in pixels
	Height int       `json:"height"`
	Maps   []TextMap `json:"maps"`
	Notes  []string  `json:"notes,omitempty"`

	photo *Photo
	each  bool
	apart bool // values of two maps do not compare
}

// TextMap is one text's map.
type TextMap struct {
	Text       string  `json:"text"`
	Similarity float64 `json:"similarity"` // cosine of picture and text; of a classifier the class's probability
	Presence   float64 `json:"presence"`   // 0…1: how surely the text is seen at all
	Peak       [2]int  `json:"peak"`       // x, y of the strongest pixel
	Min        float64 `json:"min"`        // of the raw map
	Max        float64 `json:"max"`
	Words      string  `json:"words"`         // the map in a sentence
	Cut        bool    `json:"cut,omitempty"` // the text was longer than the model reads

	field  heatmap.Field
	region bool // it is the map of a region's vector, and Words is all there is to say
}

// TextError says why a text cannot be looked for.
type TextError struct {
	Text    string
	Reason  string
	Nearest []string // classes that are meant, perhaps
}

// Error names the text and the reason.
func (e *TextError) Error() string { return fmt.Sprintf("text %q: %s", shortened(e.Text), e.Reason) }

// shortened cuts a text for a message.
func shortened(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// Prompt returns what a class is asked for as: "dog" → "a photo of a dog".
func (v *Vision) Prompt(class string) string {
	if v.model.Prompt == "" || v.model.Classes != nil {
		return class
	}
	return strings.ReplaceAll(v.model.Prompt, "{}", class)
}

// Explain shows where in the picture each text is seen, by LeGrad (arXiv:2404.03214) unless another method
// is asked for. The picture is encoded once, whatever the number of texts. The error is a [*TextError] for a text without
// words, or one that a classifier does not know.
func (v *Vision) Explain(ctx context.Context, photo *Photo, texts []string, o ExplainOptions) (*Explanation, error) {
	encodedTexts, err := v.texts(ctx, texts)
	if err != nil {
		return nil, err
	}
	vectors := make([][]float32, len(texts))
	for i := range encodedTexts {
		vectors[i] = encodedTexts[i].Embedding
	}
	recipe, err := v.recipe(photo, o)
	if err != nil {
		return nil, err
	}
	seen, err := v.see(ctx, recipe.Apply(photo.image), recipe.Size, vectors, o)
	if err != nil {
		return nil, fmt.Errorf("explain %s: %w", photo.Path, err)
	}
	e := &Explanation{
		Model: v.name, Path: photo.Path, Width: photo.Width, Height: photo.Height,
		Notes: slices.Clone(photo.Notes), photo: photo, each: o.Each, apart: seen.apart,
	}
	presence, similarity, err := v.presence(ctx, &seen.image, encodedTexts)
	if err != nil {
		return nil, err
	}
	for i, text := range texts {
		m := TextMap{
			Text: text, Similarity: similarity[i], Presence: presence[i], Cut: encodedTexts[i].Cut,
			field: heatmap.Field{Rows: seen.image.Height, Columns: seen.image.Width, Values: seen.maps[i]},
		}
		values := m.Raw(photo.Width, photo.Height)
		m.Min, m.Max = float64(slices.Min(values)), float64(slices.Max(values))
		if seen.apart { // values may be negative; the least of them is nothing
			legrad.MinMax(values)
		}
		s := heatmap.Summarise(values, photo.Width)
		m.Peak, m.Words = s.Peak, s.Words(presence[i])
		if m.Cut {
			e.Notes = append(e.Notes, fmt.Sprintf("text %q is longer than the model reads: its end was cut", shortened(text)))
		}
		e.Maps = append(e.Maps, m)
	}
	return e, nil
}

// Raw returns the map as it was computed, not scaled, spread over width × height pixels
// [height, width].
func (m *TextMap) Raw(width, height int) []float32 { return m.field.At(width, height) }

// texts encodes texts.
func (v *Vision) texts(ctx context.Context, texts []string) ([]vision.Text, error) {
	if len(texts) == 0 {
		return nil, &TextError{Reason: "there is no text to look for"}
	}
	for _, text := range texts {
		if strings.TrimSpace(text) == "" {
			return nil, &TextError{Text: text, Reason: "it has no words"}
		}
	}
	encoded, err := v.model.EncodeTexts(ctx, texts)
	var class *vision.ClassError
	if errors.As(err, &class) {
		return nil, &TextError{Text: class.Text, Reason: "the model is a classifier and has no such class", Nearest: class.Near}
	}
	return encoded, err
}

// Sizes that the model may be made to look at, in pixels a side: attention takes the square of their
// square.
const sizeMax = 1024

// recipe is how the picture is prepared for a map. The whole picture is squeezed into a square,
// also where a vector is made of its middle: nothing may be left out of a map.
func (v *Vision) recipe(photo *Photo, o ExplainOptions) (picture.Recipe, error) {
	side, patch := o.Size, v.model.Patch
	if side == 0 {
		side = v.model.MapSize
	}
	if side < patch || side > sizeMax {
		return picture.Recipe{}, fmt.Errorf("size %d: the model looks at %d to %d pixels a side", o.Size, patch, sizeMax)
	}
	r := picture.Recipe{
		Size: [2]int{side / patch * patch, side / patch * patch}, Mode: picture.Squash,
		Mean: v.model.Recipe.Mean, Std: v.model.Recipe.Std,
	}
	if o.Aspect {
		root := math.Sqrt(float64(photo.Width) / float64(photo.Height))
		fit := func(pixels float64) int {
			return patch * min(max(1, int(math.Round(pixels/float64(patch)))), 4*side/patch)
		}
		r.Size = [2]int{fit(float64(side) * root), fit(float64(side) / root)}
	}
	return r, nil
}

// DrawOptions tunes [Explanation.Draw]. The zero value is what people look at best.
type DrawOptions struct {
	Layout  string  // overlay, contour, side or heat; "" means overlay
	Palette string  // even or jet; "" means even
	Opacity float64 // of the map where it is hottest; 0 means 0.75
	Bare    bool    // no titles and no scale
	SideMax int     // longest side of a tile, in pixels; 0 means 1024, less where there are many
}

// Draw shows the maps over the picture.
func (e *Explanation) Draw(o DrawOptions) (image.Image, error) {
	layout, err := heatmap.LayoutNamed(o.Layout)
	if err != nil {
		return nil, err
	}
	palette, err := heatmap.PaletteNamed(o.Palette)
	if err != nil {
		return nil, err
	}
	if o.Opacity < 0 || o.Opacity > 1 {
		return nil, errors.New("the opacity is not between 0 and 1")
	}
	side := o.SideMax
	if side == 0 {
		side = max(256, int(1024/math.Sqrt(math.Sqrt(float64(len(e.Maps))))))
	}
	im := e.photo.image
	if longest := max(im.Width, im.Height); longest > side {
		im = im.Resize(max(1, im.Width*side/longest), max(1, im.Height*side/longest), picture.Bicubic)
	}
	tiles := make([]heatmap.Tile, len(e.Maps))
	for i, heat := range e.heat(im.Width, im.Height) {
		m := &e.Maps[i]
		tiles[i] = heatmap.Tile{Title: m.Text, Heat: heat, Detail: m.detail()}
	}
	return heatmap.Draw(im, tiles, heatmap.Options{Layout: layout, Palette: palette, Opacity: o.Opacity, Bare: o.Bare}), nil
}

// detail is what stands below a map.
func (m *TextMap) detail() string {
	if m.region {
		return m.Words
	}
	return fmt.Sprintf("similarity %.2f, seen %.0f %%\n%s", m.Similarity, 100*m.Presence, m.Words)
}

// Forget lets go of picture and maps, so that many explanations can be kept. What is left is what
// JSON shows; Draw and Raw are of no use after it.
func (e *Explanation) Forget() *Explanation {
	e.photo = nil
	for i := range e.Maps {
		e.Maps[i].field = heatmap.Field{}
	}
	return e
}

// heat returns the maps [height, width] on the scale 0…1.
func (e *Explanation) heat(width, height int) [][]float32 {
	maps, presence := make([][]float32, len(e.Maps)), make([]float64, len(e.Maps))
	for i := range e.Maps {
		maps[i], presence[i] = e.Maps[i].Raw(width, height), e.Maps[i].Presence
	}
	if e.each || e.apart {
		for _, m := range maps {
			legrad.MinMax(m)
		}
	}
	if !e.each {
		heatmap.Scale(maps, presence)
	}
	return maps
}
