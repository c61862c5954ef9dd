package evident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"evident/internal/heatmap"
	"evident/internal/region"
	"evident/model/caption"
	"evident/model/vision"
)

// CaptionOptions tunes [Vision.CaptionRegions]. The zero value is the model's own setting.
type CaptionOptions struct {
	RegionOptions
	Count int // captions of each region at most; 0 means 1
	// Choices are captions of which the nearest is chosen, instead of writing one: for models without a decoder, or
	// to say nothing that nobody has written.
	Choices []string
}

// Caption says in words what a region shows.
type Caption struct {
	Text       string  `json:"text"`
	Score      float64 `json:"score"`                // 0…1: how surely the region shows this at all
	Similarity float64 `json:"similarity"`           // cosine of the text's vector and the region's
	Likelihood float64 `json:"likelihood,omitempty"` // 0…1: how likely the decoder found the words, the mean of a piece
	Dice       float64 `json:"dice"`                 // 0…1: how well the text's own map fits the mask

	field heatmap.Field
}

// Map returns where in the picture the caption's text is seen, by LeGrad, not scaled, spread over width × height pixels
// [height, width].
func (c *Caption) Map(width, height int) []float32 { return c.field.At(width, height) }

// PictureRegion is the name of the region that the whole picture is, where no mask is given.
const PictureRegion = "picture"

// captioner writes or chooses captions.
type captioner interface {
	Captions(ctx context.Context, vectors [][]float32, kind caption.Kind, n int) ([][]caption.Caption, error)
}

// CaptionRegions says in words what each region shows, and without a mask what the whole picture does. Vectors are made
// by the method that names regions best with the model, unless the options say otherwise. A caption is the decoder's own
// (DeCap, arXiv:2303.03032), or with Choices the nearest of those. The error is [ErrNoCaptions] of a model without
// a decoder, where there are no choices.
func (v *Vision) CaptionRegions(ctx context.Context, photo *Photo, masks []Mask, o CaptionOptions) (*Regions, error) {
	if o.Count < 0 || o.Count > CaptionsMax {
		return nil, fmt.Errorf("%d captions of a region: at most %d are written", o.Count, CaptionsMax)
	}
	writer, err := v.captioner(ctx, o.Choices)
	if err != nil {
		return nil, err
	}
	if len(masks) == 0 {
		whole, err := BoxMask(photo, PictureRegion, 0, 0, float64(photo.Width), float64(photo.Height))
		if err != nil {
			return nil, err
		}
		masks, o.Method = []Mask{whole}, cmp.Or(o.Method, string(region.Whole))
	}
	o.Method = cmp.Or(o.Method, v.naming())
	r, looked, err := v.regions(ctx, photo, masks, o.RegionOptions)
	if err != nil {
		return nil, err
	}
	kind := caption.Region
	if o.Method == string(region.Whole) {
		kind = caption.Picture
	}
	written, err := writer.Captions(ctx, r.vectors(), kind, max(1, o.Count))
	if err != nil {
		return nil, err
	}
	if err := v.support(ctx, r, looked, written); err != nil {
		return nil, err
	}
	return r, nil
}

// CaptionsMax is the most captions of one region: the search follows as many.
const CaptionsMax = 20

// support fills the regions' captions with what speaks for each: its text's vector beside the region's, and its map.
func (v *Vision) support(ctx context.Context, r *Regions, looked *region.Picture, written [][]caption.Caption) error {
	most := 0
	texts := make([][][]float32, len(r.Regions)) // vectors of each region's captions
	for i := range r.Regions {
		region := &r.Regions[i]
		for _, c := range written[i] {
			encoded, err := v.texts(ctx, []string{c.Text})
			if err != nil {
				return err
			}
			similarity := v.regionLogit(region.vector, &encoded[0])
			score, err := v.regionPresence(ctx, region.vector, similarity, r.Method)
			if err != nil {
				return err
			}
			region.Captions = append(region.Captions, Caption{
				Text: c.Text, Score: score, Similarity: similarity, Likelihood: c.Likelihood,
			})
			texts[i] = append(texts[i], encoded[0].Embedding)
		}
		most = max(most, len(texts[i]))
	}
	for k := range most {
		vectors := r.vectors()
		for i := range vectors {
			if k < len(texts[i]) {
				vectors[i] = texts[i][k]
			}
		}
		fields, dice, err := looked.Maps(ctx, vectors)
		if err != nil {
			return fmt.Errorf("captions of %s: %w", r.Path, err)
		}
		for i := range r.Regions {
			if k < len(texts[i]) {
				c := &r.Regions[i].Captions[k]
				c.field, c.Dice = fields[i], dice[i]
			}
		}
	}
	return nil
}

// captioner returns the model's decoder, or what chooses among captions.
func (v *Vision) captioner(ctx context.Context, choices []string) (captioner, error) {
	if len(choices) == 0 {
		return v.decoder()
	}
	const together = 256
	var vectors [][]float32
	for part := range slices.Chunk(choices, together) {
		encoded, err := v.texts(ctx, part)
		if err != nil {
			return nil, err
		}
		for _, text := range encoded {
			vectors = append(vectors, text.Embedding)
		}
	}
	return caption.NewNearest(choices, vectors), nil
}

// CaptionDecoder is the model's decoder of captions, for the other packages of this module. The error is [ErrNoCaptions]
// where it has none.
func (v *Vision) CaptionDecoder() (*caption.Decoder, error) { return v.decoder() }

// decoderFolder is where a model's folder has its decoder of captions.
const decoderFolder = "caption"

// openDecoder reads the decoder in a model's folder, and checks that it was trained for the model.
func openDecoder(files fs.FS, model *vision.Model) (*caption.Decoder, error) {
	folder, err := fs.Sub(files, decoderFolder)
	if err != nil {
		return nil, err
	}
	if _, err := fs.Stat(folder, "config.json"); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoCaptions
	}
	decoder, err := caption.Load(folder)
	if err == nil {
		err = decoder.Fits(context.Background(), model.Texts)
	}
	if err != nil {
		return nil, &sentinelError{ErrDamaged, err}
	}
	return decoder, nil
}
