// Package maskinversion makes an embedding for a region of an image (Bousselham et al., "MaskInversion: Localized
// Embeddings via Optimization of Explainability Maps", arXiv:2407.20034), without training: it starts from the
// image's own vector and moves it until the map that LeGrad draws for it is the region's mask. Only the vector
// moves. It lives where the model's texts and images live, and compares with both.
//
// Of a vector e the loss is, with X LeGrad's map of e/|e| scaled to 0…1 and Y the mask,
//
//	1 - (2·ΣXY + 1)/(ΣX + ΣY + 1) + α·(1 - cos(e₀, e))
//
// and AdamW takes the steps. The gradient is closed form, nothing is differentiated by tape; one encoding of an
// image serves any number of masks, and masks never influence each other: a mask has the same vector, to the bit,
// alone and in any company, on any number of threads.
//
// What the paper leaves open, or the authors' code does otherwise, and we chose:
//
//   - Their code adds up what several masks do: it divides each gradient by the number of masks, which Adam
//     does not see but for its epsilon, and on SigLIP it draws one map for all. Here every mask is alone;
//     [Options].Batch divides as their code does.
//   - The loss is flat at its start where the image's vector is the very mean that LeGrad reads, as of models
//     that pool the mean, by their last layer: every map is nothing but rounding. There the start is moved
//     towards what the mask covers first; see [Options].Nudge.
//   - The start is the vector as the model gives it, not scaled; of CoCa, whose vectors open_clip scales, it has
//     length 1.
//   - A map without any height, which would be 0/0, is zeros and moves nothing.
//
// Shapes: K is the number of masks, E the length of a vector, N the number of tokens.
package maskinversion

import (
	"context"
	"fmt"
	"slices"

	"evident/legrad"
	"evident/model/vit"
	"evident/nn"
)

// Setup is how an [Inverter] is made. The zero value is the model's own choice, or that of the authors' code.
type Setup struct {
	Layers    []int        // whose maps are added; none means the model's own choice, else the last alone
	Precision nn.Precision // of the products of all steps; Auto is bf16 where native, FP32 is exact

	// Empty is the vector of [legrad.EmptyText], with which maps are corrected of models that need it
	// (SigLIP); nil asks the model for it. Uncorrected leaves maps as they are.
	Empty       []float32
	Uncorrected bool
}

// Inverter makes regions' embeddings by one model. It is safe for concurrent use.
type Inverter struct {
	model  *vit.Model
	layers []int

	pool   vit.AttentionPool    // whose attention maps are of; nil where it is the blocks'
	head   *legrad.MeanHead     // what the score reads, and
	blocks []*nn.BlockRelevance // the way through each layer, where it is the blocks'
	scale  scaling
	empty  []float32 // with which maps are corrected; nil for not
}

// New prepares the inverter of a model. The context ends the making of the empty text's vector.
func New(ctx context.Context, m *vit.Model, s Setup) (*Inverter, error) {
	layers := s.Layers
	if len(layers) == 0 {
		layers = m.Inversion.Layers
	}
	count := len(m.Encoder.Layers)
	if len(layers) == 0 {
		layers = []int{count - 1}
	}
	layers = slices.Clone(layers)
	slices.Sort(layers)
	layers = slices.Compact(layers)
	for _, layer := range layers {
		if layer < 0 || layer >= count {
			return nil, fmt.Errorf("there is no layer %d: the model has layers 0 to %d", layer, count-1)
		}
	}
	v := &Inverter{model: m, layers: layers, scale: pixelsFirst}
	switch pool := m.Pool.(type) {
	case vit.AttentionPool:
		v.pool = pool
		if pool.AnswersAll() {
			v.scale = cellsFirst
			if !s.Uncorrected {
				return v, v.correct(ctx, s.Empty)
			}
		}
		return v, nil
	case *vit.TokenPool:
		v.head = legrad.NewMeanHead(pool)
	default:
		return nil, fmt.Errorf("maps of a tower that pools by %T are not known", pool)
	}
	precision := s.Precision
	if precision == nn.Auto {
		precision = nn.BF16 // float32 where the CPU does not multiply it
	}
	for _, layer := range v.layers {
		block := nn.NewBlockRelevance(&m.Encoder.Layers[layer], precision)
		block.SetThreads(m.Encoder.Threads)
		v.blocks = append(v.blocks, block)
	}
	return v, nil
}

// correct takes the vector of a text that names nothing, of which it asks the model where it is not given.
func (v *Inverter) correct(ctx context.Context, empty []float32) error {
	if empty == nil {
		texts, err := v.model.EncodeTexts(ctx, []string{legrad.EmptyText})
		if err != nil {
			return fmt.Errorf("the text %q, with which this model's maps are corrected: %w", legrad.EmptyText, err)
		}
		empty = texts[0].Embedding
	}
	if len(empty) != v.model.Size() {
		return fmt.Errorf("the empty text has a vector of %d values, the model's have %d", len(empty), v.model.Size())
	}
	v.empty = vit.Normalise(slices.Clone(empty))
	return nil
}

// Layers returns the layers whose maps are compared with masks, in order.
func (v *Inverter) Layers() []int { return slices.Clone(v.layers) }

// Precision is the arithmetic of the products that take the time: FP32 or BF16.
func (v *Inverter) Precision() nn.Precision {
	if v.pool != nil {
		return nn.FP32
	}
	return v.blocks[0].Precision()
}
