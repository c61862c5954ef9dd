package evident

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"slices"

	"evident/internal/heatmap"
	"evident/internal/mask"
	"evident/internal/region"
)

// Methods that make vectors of regions; [RegionMethods] lists all.
const (
	RegionInversion = string(region.MaskInversion) // MaskInversion (arXiv:2407.20034)
	RegionCombined  = string(region.Combined)      // the weighted sum that names regions best, see docs/regions.md
)

// RegionMethods returns the names of the methods that make vectors of regions, MaskInversion first.
func RegionMethods() []string {
	var names []string
	for _, m := range region.Methods() {
		names = append(names, string(m))
	}
	return names
}

// RegionOptions tunes what is done with regions. The zero value is the model's own setting.
type RegionOptions struct {
	// Method makes the vectors. "" means [RegionInversion] of [Vision.Regions] and, of calls that compare
	// with texts, what names regions best with the model: [RegionCombined] where the model says how.
	Method string
	Size   int      // pixels a side that the model looks at
	Layers []int    // whose maps MaskInversion adds
	Steps  int      // of MaskInversion
	Alpha  float64  // how strongly MaskInversion holds on to the whole picture's vector; below 0 not at all
	Stride float64  // length of its first step, as a share of the start's
	Rate   float64  // instead of Stride: by how much its first step moves each value
	Prompt []string // templates such as "a photo of a {}" that labels are asked for in; none means the model's own

	// Progress, where it is set, is told of each step of MaskInversion, alone or as a part of a combination, by the
	// goroutine that asked.
	Progress func(RegionStep)
}

// RegionStep is how far MaskInversion is.
type RegionStep struct {
	Step, Steps int // the step just taken, from 1, and how many there will be at most
	Regions     []RegionSoFar
}

// RegionSoFar is where a region's vector stands.
type RegionSoFar struct {
	Mask string
	Dice float64 // how well the vector's map fits the mask
	// Map is where in the picture the vector is seen, by LeGrad, not scaled: [Rows, Columns] of patches. It changes
	// with the next step.
	Map           []float32
	Rows, Columns int
}

// Regions is what was made of regions of a picture.
type Regions struct {
	Model   string   `json:"model"`
	Method  string   `json:"method"`
	Path    string   `json:"path,omitempty"`
	Width   int      `json:"width"` // of the picture, in pixels
	Height  int      `json:"height"`
	Regions []Region `json:"regions"`
	// Matches says for each expression which region it means; of [Vision.MatchRegions].
	Matches []Match  `json:"matches,omitempty"`
	Notes   []string `json:"notes,omitempty"`

	photo *Photo
}

// Region is a region and what is known of it.
type Region struct {
	Mask string  `json:"mask"` // its name
	Area float64 `json:"area"` // share of the picture
	Box  [4]int  `json:"box"`  // left, top, right, bottom in pixels, the last two not inside
	// Dice is how well the vector's own map fits the mask, 0…1: 2·Σ map·mask / (Σ map + Σ mask).
	Dice      float64   `json:"dice"`
	Embedding []float32 `json:"embedding,omitempty"` // of length 1
	Labels    []Label   `json:"labels"`              // best first
	// Captions say in words what the region shows, best first; of [Vision.CaptionRegions].
	Captions []Caption `json:"captions,omitempty"`
	// Hits are the pictures of an index that show the same; of [Index.RetrieveRegions].
	Hits []RegionHit `json:"hits,omitempty"`

	vector []float32
	mask   *mask.Mask
	field  heatmap.Field
}

// Label is a text and how well it fits a region.
type Label struct {
	Text       string  `json:"text"`
	Score      float64 `json:"score"`      // 0…1: probability among the texts given; of a single text its presence
	Similarity float64 `json:"similarity"` // cosine; of a classifier the class's logit
}

// Vector returns the region's vector of length 1, also where Embedding is left out.
func (r *Region) Vector() []float32 { return r.vector }

// Map returns where in the picture the region's vector is seen, by LeGrad, not scaled, spread over width × height
// pixels [height, width].
func (r *Region) Map(width, height int) []float32 { return r.field.At(width, height) }

// Regions makes a vector of each region, by MaskInversion unless the options say otherwise. Regions do not
// influence each other. The error is a [*MaskError] for a mask that the picture has no pixel of.
func (v *Vision) Regions(ctx context.Context, photo *Photo, masks []Mask, o RegionOptions) (*Regions, error) {
	o.Method = cmp.Or(o.Method, RegionInversion)
	r, _, err := v.regions(ctx, photo, masks, o)
	if err != nil {
		return nil, err
	}
	for i := range r.Regions {
		r.Regions[i].Embedding = r.Regions[i].vector
	}
	return r, nil
}

// regions makes the vectors and their maps, and returns the picture as the model has looked at it, so that more maps
// can be drawn of it.
func (v *Vision) regions(
	ctx context.Context, photo *Photo, masks []Mask, o RegionOptions,
) (*Regions, *region.Picture, error) {
	r, looked, err := v.look(ctx, photo, masks, o)
	if err != nil {
		return nil, nil, err
	}
	fields, dice, err := looked.Maps(ctx, r.vectors())
	if err != nil {
		return nil, nil, fmt.Errorf("regions of %s: %w", photo.Path, err)
	}
	for i := range r.Regions {
		r.Regions[i].field, r.Regions[i].Dice = fields[i], dice[i]
	}
	return r, looked, nil
}

// vectors returns the regions' vectors.
func (r *Regions) vectors() [][]float32 {
	all := make([][]float32, len(r.Regions))
	for i := range r.Regions {
		all[i] = r.Regions[i].vector
	}
	return all
}

// look makes the vectors.
func (v *Vision) look(
	ctx context.Context, photo *Photo, masks []Mask, o RegionOptions,
) (*Regions, *region.Picture, error) {
	method, err := region.ParseMethod(o.Method)
	if err != nil {
		return nil, nil, err
	}
	seer, err := v.seer(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	masks = slices.Clone(masks)
	nameMasks(masks, "region")
	raw := make([]*mask.Mask, len(masks))
	for i, m := range masks {
		if m.mask == nil || m.mask.Width != photo.Width || m.mask.Height != photo.Height {
			return nil, nil, &MaskError{m.Name, photo.Width, photo.Height, fmt.Errorf("it is of another picture")}
		}
		raw[i] = m.mask
	}
	looked, err := seer.Look(photo.image, raw)
	if err != nil {
		return nil, nil, err
	}
	if o.Progress != nil {
		looked.Steps = func(s region.Step) { o.Progress(stepOf(s, masks)) }
	}
	vectors, err := looked.Vectors(ctx, method)
	if err != nil {
		return nil, nil, fmt.Errorf("regions of %s: %w", photo.Path, err)
	}
	r := &Regions{
		Model: v.name, Method: o.Method, Path: photo.Path, Width: photo.Width, Height: photo.Height,
		Notes: slices.Clone(photo.Notes), photo: photo,
	}
	for i, m := range masks {
		b := m.Bounds()
		r.Regions = append(r.Regions, Region{
			Mask: m.Name, Area: float64(m.Area()) / float64(photo.Width*photo.Height),
			Box: [4]int{b.Min.X, b.Min.Y, b.Max.X, b.Max.Y}, Labels: []Label{}, vector: vectors[i], mask: m.mask,
		})
		if m.mask.Full() {
			m.note = "it covers the whole picture"
		}
		if m.note != "" {
			r.Notes = append(r.Notes, fmt.Sprintf("mask %s: %s", m.Name, m.note))
		}
	}
	return r, looked, nil
}

// stepOf names the regions of a step.
func stepOf(s region.Step, masks []Mask) RegionStep {
	step := RegionStep{Step: s.Step, Steps: s.Steps}
	for i, m := range s.Maps {
		step.Regions = append(step.Regions, RegionSoFar{
			Mask: masks[i].Name, Dice: s.Dice[i], Map: m.Values, Rows: m.Rows, Columns: m.Columns,
		})
	}
	return step
}

// seer returns the one for the options, made at the first call.
func (v *Vision) seer(ctx context.Context, o RegionOptions) (*region.Seer, error) {
	opts := region.Options{Size: o.Size, Layers: o.Layers, Steps: o.Steps, Alpha: o.Alpha, Stride: o.Stride, Rate: o.Rate}
	key := fmt.Sprint(opts)
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.seers[key]; s != nil {
		return s, nil
	}
	s, err := region.New(ctx, v.model, opts)
	if err == nil {
		v.seers[key] = s
	}
	return s, err
}

// naming is the method that names regions best with the model.
func (v *Vision) naming() string {
	if region.Combines(v.model) {
		return RegionCombined
	}
	return RegionInversion
}

// Draw shows where each region's vector is seen, over the picture, each map on its own scale; of a region with captions
// where its first caption is.
func (r *Regions) Draw(o DrawOptions) (image.Image, error) {
	e := &Explanation{Width: r.Width, Height: r.Height, photo: r.photo, each: true}
	for i := range r.Regions {
		region := &r.Regions[i]
		m := TextMap{Text: region.Mask, field: region.field, region: true, Words: fmt.Sprintf("fits its mask by %.2f", region.Dice)}
		if len(region.Captions) > 0 {
			said := &region.Captions[0]
			m.field, m.Words = said.field, fmt.Sprintf("%s\nseen %.0f %%; fits its mask by %.2f", said.Text, 100*said.Score, said.Dice)
		}
		if len(region.Labels) > 0 {
			best := region.Labels[0]
			m.Words += fmt.Sprintf("; %s %.2f", best.Text, best.Score)
		}
		e.Maps = append(e.Maps, m)
	}
	return e.Draw(o)
}
