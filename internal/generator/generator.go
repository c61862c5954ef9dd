// Package generator knows in which form image generators that are conditioned on an image's vector take it: which
// encoder the vector must come from, how long it is, and the names and shapes of the tensors.
//
// A generator understands the vectors of one encoder alone, that it was trained with: vectors of another model are
// noise to it, also where they have the same number of values. So each form names its encoder, and [Form.Fits]
// compares what can be compared of a model without knowing its weights: sizes and the activation.
package generator

import (
	"fmt"
	"slices"
	"strings"

	"evident/internal/weights"
	"evident/model/vit"
	"evident/nn"
)

// Encoder is a vision tower that generators were trained with.
type Encoder struct {
	Name                       string // as people know it
	Pull                       string // its name at the hub
	Size, Width, Layers, Patch int    // values of a vector; of a token; blocks; pixels a side of a patch
	Activation                 nn.Activation
}

// The encoders.
var (
	vitL = Encoder{"OpenAI's CLIP ViT-L/14", "openai/clip-vit-large-patch14", 768, 1024, 24, 14, nn.QuickGELU}
	vitH = Encoder{"OpenCLIP ViT-H/14 (LAION-2B)", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", 1024, 1280, 32, 14, nn.GELU}
	vitG = Encoder{
		"OpenCLIP ViT-bigG/14 (LAION-2B)", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k", 1280, 1664, 48, 14, nn.GELU,
	}
)

// Form is how generators take vectors.
type Form struct {
	Name    string
	For     string  // which generators, in words
	Encoder Encoder // the zero value is any

	tensors func(v *Vectors, put func(name string, values []float32, shape ...int))
}

// Forms lists the forms. What they say was read off the pipelines of diffusers (docs/generation.md has the places).
func Forms() []Form {
	return []Form{
		{"kandinsky", "Kandinsky 2.2's decoder: KandinskyV22Pipeline", vitG, kandinsky},
		{"unclip", "Karlo's decoder: UnCLIPImageVariationPipeline", vitL, unclip},
		{"stable-unclip", "Stable Diffusion 2.1 unCLIP: StableUnCLIPImg2ImgPipeline", vitH, stableUnCLIP},
		{"stable-unclip-small", "Stable Diffusion 2.1 unCLIP small: the same pipeline", vitL, stableUnCLIP},
		{"ip-adapter", "IP-Adapter for Stable Diffusion 1.5, and ip-adapter_sdxl_vit-h", vitH, ipAdapter},
		{"ip-adapter-sdxl", "IP-Adapter for Stable Diffusion XL: ip-adapter_sdxl", vitG, ipAdapter},
		{"plain", "any other: the vectors as the model makes them", Encoder{}, stableUnCLIP},
	}
}

// ParseForm returns the form of that name.
func ParseForm(name string) (Form, error) {
	var names []string
	for _, f := range Forms() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Form{}, fmt.Errorf("unknown form %q: there are %s", name, strings.Join(names, ", "))
}

// MisfitError says that a generator does not understand a model's vectors.
type MisfitError struct {
	Form Form
	Has  string // what the model is
}

func (e *MisfitError) Error() string {
	w := e.Form.Encoder
	return fmt.Sprintf("%s understands vectors of %s alone (%d values; width %d, %d layers, patches of %d): the model has %s",
		e.Form.Name, w.Name, w.Size, w.Width, w.Layers, w.Patch, e.Has)
}

// Fits says whether a model can be the form's encoder. It cannot tell apart two trainings of one architecture.
func (f *Form) Fits(m *vit.Model) error {
	want := f.Encoder
	if want.Size == 0 {
		return nil
	}
	has := Encoder{Size: m.Size(), Width: m.Width, Layers: len(m.Encoder.Layers), Patch: m.Patch}
	if has.Layers > 0 {
		has.Activation = m.Encoder.Layers[0].Activation
	}
	text := fmt.Sprintf("%d values; width %d, %d layers, patches of %d", has.Size, has.Width, has.Layers, has.Patch)
	if want.Activation != has.Activation {
		text += ", another activation"
	}
	if has.Name, has.Pull = want.Name, want.Pull; has != want {
		return &MisfitError{*f, text}
	}
	return nil
}

// Vectors is what is written.
type Vectors struct {
	Regions       [][]float32 // [n][E] vectors of regions, of the length that the encoder's have
	Nothing       []float32   // [E] the encoder's vector of a picture that is 0 everywhere once normalised
	Height, Width int         // of Maps and Masks
	Maps          [][]float32 // [n][Height·Width] where each vector is seen, 0…1
	Masks         [][]float32 // [n][Height·Width] the masks, 0…1
}

// Tensors returns what the form's generators take, and "map" and "mask" [n, height, width] beside it.
func (f *Form) Tensors(v *Vectors) map[string]weights.Tensor {
	all := map[string]weights.Tensor{}
	put := func(name string, values []float32, shape ...int) {
		all[name] = weights.FromFloat32(values, shape...)
	}
	n := len(v.Regions)
	put("map", slices.Concat(v.Maps...), n, v.Height, v.Width)
	put("mask", slices.Concat(v.Masks...), n, v.Height, v.Width)
	f.tensors(v, put)
	return all
}

// kandinsky has "image_embeds" and "negative_image_embeds" [n, E].
func kandinsky(v *Vectors, put func(string, []float32, ...int)) {
	n, size := len(v.Regions), len(v.Nothing)
	put("image_embeds", slices.Concat(v.Regions...), n, size)
	put("negative_image_embeds", slices.Repeat(v.Nothing, n), n, size)
}

// unclip has "image_embeddings" [n, E].
func unclip(v *Vectors, put func(string, []float32, ...int)) {
	put("image_embeddings", slices.Concat(v.Regions...), len(v.Regions), len(v.Nothing))
}

// stableUnCLIP has "image_embeds" [n, E]; the pipeline itself normalises them, adds noise, and takes zeros for none.
func stableUnCLIP(v *Vectors, put func(string, []float32, ...int)) {
	put("image_embeds", slices.Concat(v.Regions...), len(v.Regions), len(v.Nothing))
}

// ipAdapter has "ip_adapter_image_embeds" [2, n, E], of one adapter with n pictures: first zeros, for guidance, then
// the vectors; and "ip_adapter_masks" [1, n, height, width], 1 where the map is at least half.
func ipAdapter(v *Vectors, put func(string, []float32, ...int)) {
	n, size := len(v.Regions), len(v.Nothing)
	put("ip_adapter_image_embeds", append(make([]float32, n*size), slices.Concat(v.Regions...)...), 2, n, size)
	masks := slices.Concat(v.Maps...)
	for i, heat := range masks {
		masks[i] = 0
		if heat >= 0.5 {
			masks[i] = 1
		}
	}
	put("ip_adapter_masks", masks, 1, n, v.Height, v.Width)
}
