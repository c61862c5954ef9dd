package evident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"evident/internal/cells"
	"evident/internal/generator"
	"evident/internal/weights"
)

// ExportOptions tunes [Vision.ExportRegions]. The zero value is the vectors as the model makes them.
type ExportOptions struct {
	RegionOptions
	// Form is how a family of image generators takes vectors; see [ExportForms]. "" means "plain".
	Form string
	Half bool // float16 instead of float32
	Side int  // longest side of the maps and masks written beside the vectors, in pixels; 0 means 512
	// Unchecked writes the form also where the model is not the encoder that its generators know. They will
	// not understand the vectors.
	Unchecked bool
}

// ExportForm is how a family of image generators takes vectors.
type ExportForm struct {
	Name, For     string // "kandinsky", and which generators in words
	Encoder, Pull string // the model that vectors must come from, and its name at the hub; "" for any
}

// ExportForms lists the forms.
func ExportForms() []ExportForm {
	var forms []ExportForm
	for _, f := range generator.Forms() {
		forms = append(forms, ExportForm{f.Name, f.For, f.Encoder.Name, f.Encoder.Pull})
	}
	return forms
}

// FitsForm says whether generators of a form can understand the model's vectors.
func (v *Vision) FitsForm(name string) bool {
	form, err := generator.ParseForm(name)
	return err == nil && v.model.Classes == nil && form.Fits(v.model) == nil
}

// ExportError says that a form's generators do not understand the model's vectors.
type ExportError struct {
	Form ExportForm
	err  error
}

// Error names both.
func (e *ExportError) Error() string { return e.err.Error() }

// Unwrap returns the reason.
func (e *ExportError) Unwrap() error { return e.err }

// Export is vectors of regions in the form that image generators take.
type Export struct {
	*Regions
	Form    string           `json:"form"`
	Fits    bool             `json:"fits"`              // the model can be the encoder that the generators know
	Encoder string           `json:"encoder,omitempty"` // that they know
	Tensors map[string][]int `json:"tensors"`           // names and shapes of what Write writes
	DType   string           `json:"dtype"`

	tensors map[string]weights.Tensor
}

// ExportRegions makes vectors of regions in the form that image generators take, and beside each where in the picture
// it is seen, as a spatial mask. Vectors have the length of the picture's own, as the model makes it: generators
// were trained with such. The error is an [*ExportError] where the model is not the form's encoder.
func (v *Vision) ExportRegions(ctx context.Context, photo *Photo, masks []Mask, o ExportOptions) (*Export, error) {
	form, err := generator.ParseForm(cmp.Or(o.Form, "plain"))
	if err != nil {
		return nil, err
	}
	misfit := form.Fits(v.model)
	if misfit != nil && !o.Unchecked {
		return nil, &ExportError{ExportForm{form.Name, form.For, form.Encoder.Name, form.Encoder.Pull}, misfit}
	}
	if v.model.Classes != nil {
		return nil, errors.New("the model is a classifier: no generator takes its vectors")
	}
	r, err := v.Regions(ctx, photo, masks, o.RegionOptions)
	if err != nil {
		return nil, err
	}
	vectors, err := v.forGenerators(ctx, r, photo, cmp.Or(o.Side, 512))
	if err != nil {
		return nil, fmt.Errorf("export regions of %s: %w", photo.Path, err)
	}
	e := &Export{
		Regions: r, Form: form.Name, Fits: misfit == nil, Encoder: form.Encoder.Name, DType: "float32",
		Tensors: map[string][]int{}, tensors: form.Tensors(vectors),
	}
	if misfit != nil {
		r.Notes = append(r.Notes, "not checked: "+misfit.Error())
	}
	for name, t := range e.tensors {
		if o.Half {
			e.tensors[name] = weights.ToFloat16(t)
			e.DType = "float16"
		}
		e.Tensors[name] = t.Shape
	}
	return e, nil
}

// forGenerators scales the vectors, and spreads their maps and masks over a canvas of the picture's shape, both sides
// multiples of 8 pixels, as generators have them.
func (v *Vision) forGenerators(ctx context.Context, r *Regions, photo *Photo, side int) (*generator.Vectors, error) {
	const cell = 8
	if side < cell || side > 4096 {
		return nil, fmt.Errorf("a longest side of %d pixels: want %d to 4096", side, cell)
	}
	longest := float64(max(photo.Width, photo.Height))
	fit := func(n int) int { return cell * max(1, int(math.Round(float64(n)/longest*float64(side)/cell))) }
	out := &generator.Vectors{Width: fit(photo.Width), Height: fit(photo.Height)}
	whole, err := v.model.EncodePicture(ctx, photo.image)
	if err != nil {
		return nil, err
	}
	size := v.model.Recipe.Size
	nothing, err := v.model.EncodeImage(ctx, make([]float32, 3*size[0]*size[1]), size[1], size[0])
	if err != nil {
		return nil, err
	}
	out.Nothing = nothing.Vector
	length := float32(math.Sqrt(dot(whole.Vector, whole.Vector)))
	for i := range r.Regions {
		region := &r.Regions[i]
		scaled := make([]float32, len(region.vector))
		for j, x := range region.vector {
			scaled[j] = length * x
		}
		covered, err := region.mask.Coverage(out.Width, out.Height)
		if err != nil {
			return nil, err
		}
		out.Regions = append(out.Regions, scaled)
		out.Maps = append(out.Maps, cells.MinMax(region.Map(out.Width, out.Height)))
		out.Masks = append(out.Masks, covered)
	}
	return out, nil
}

// Write writes a safetensors file. Its metadata says what it holds: form, model, encoder, whether the model fits,
// method, scaling, and, in order, the regions.
func (e *Export) Write(w io.Writer) error {
	metadata := map[string]string{
		"form": e.Form, "model": e.Model, "method": e.Method, "picture": e.Path, "encoder": e.Encoder,
		"fits": strconv.FormatBool(e.Fits), "normalisation": "the length of the picture's own vector",
	}
	for i, r := range e.Regions.Regions {
		metadata["region."+strconv.Itoa(i)] = r.Mask
	}
	return weights.Write(w, e.tensors, metadata)
}

// WriteNPY writes the regions' vectors, of length 1, in NumPy's format: float32 [regions, values].
func (e *Export) WriteNPY(w io.Writer) error {
	vectors := e.vectors()
	out, err := weights.NewNPYWriter(w, len(vectors), len(vectors[0]))
	if err != nil {
		return err
	}
	for _, v := range vectors {
		if err := out.Write(v); err != nil {
			return err
		}
	}
	return out.Close()
}

// Describe says in a line which tensors Write writes.
func (e *Export) Describe() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.Tensors)) {
		parts = append(parts, fmt.Sprintf("%s %v", name, e.Tensors[name]))
	}
	return strings.Join(parts, ", ") + ", " + e.DType
}
