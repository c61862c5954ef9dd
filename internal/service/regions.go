package service

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"slices"
	"strconv"

	"evident"
	"evident/api"
)

// Regions makes vectors of regions of a picture, and compares them with names and with the pictures of
// the index where these are asked for. partial, where it is not nil, is told how the vectors are found.
func (s *Service) Regions(
	ctx context.Context, r api.RegionRequest, up Upload, partial func(api.RegionSteps),
) (*api.RegionResult, error) {
	var o evident.RegionOptions
	if partial != nil {
		o.Progress = func(step evident.RegionStep) { partial(stepsOf(step)) }
	}
	return s.regions(ctx, r.Index, r.Image, r.Masks, up, func(
		ctx context.Context, l *listing, v *evident.Vision, photo *evident.Photo, masks []evident.Mask,
	) (*evident.Regions, error) {
		var found *evident.Regions
		var err error
		if len(r.Labels) > 0 {
			found, err = v.ClassifyRegions(ctx, photo, masks, r.Labels, o)
		} else {
			found, err = v.Regions(ctx, photo, masks, o)
		}
		if err != nil || r.Similar == 0 {
			return found, err
		}
		similar, err := l.index.RetrieveRegions(ctx, photo, masks, evident.RetrieveOptions{Top: r.Similar})
		if err != nil {
			return nil, err
		}
		for i := range found.Regions {
			found.Regions[i].Hits = similar.Regions[i].Hits
		}
		return found, nil
	}, r.Vectors)
}

// MatchRegions says which region of a picture each expression means.
func (s *Service) MatchRegions(
	ctx context.Context, r api.RegionMatchRequest, up Upload,
) (*api.RegionResult, error) {
	return s.regions(ctx, r.Index, r.Image, r.Masks, up, func(
		ctx context.Context, _ *listing, v *evident.Vision, photo *evident.Photo, masks []evident.Mask,
	) (*evident.Regions, error) {
		return v.MatchRegions(ctx, photo, masks, r.Expressions, evident.RegionOptions{})
	}, false)
}

// CaptionRegions says in words what regions of a picture show.
func (s *Service) CaptionRegions(
	ctx context.Context, r api.RegionCaptionRequest, up Upload,
) (*api.RegionResult, error) {
	return s.regions(ctx, r.Index, r.Image, r.Masks, up, func(
		ctx context.Context, _ *listing, v *evident.Vision, photo *evident.Photo, masks []evident.Mask,
	) (*evident.Regions, error) {
		return v.CaptionRegions(ctx, photo, masks, evident.CaptionOptions{Count: r.Count})
	}, false)
}

// ExportRegions returns vectors of regions as a file, and the milliseconds by stage.
func (s *Service) ExportRegions(
	ctx context.Context, r api.RegionExportRequest, up Upload,
) (file []byte, took map[string]float64, err error) {
	took, err = s.onRegions(ctx, r.Index, r.Image, r.Masks, up, func(
		ctx context.Context, _ *listing, v *evident.Vision, photo *evident.Photo, masks []evident.Mask,
	) error {
		e, err := v.ExportRegions(ctx, photo, masks, evident.ExportOptions{Form: r.Form, Half: r.Half, Unchecked: r.Unchecked})
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if r.File == "npy" {
			err = e.WriteNPY(&b)
		} else {
			err = e.Write(&b)
		}
		file = b.Bytes()
		return err
	})
	return file, took, err
}

// Forms lists how image generators take vectors, and whether those of the model that sees an index's pictures fit.
func (s *Service) Forms(ctx context.Context, index string) (forms []evident.ExportForm, fits []bool, err error) {
	l, err := s.use(index)
	if err != nil {
		return nil, nil, err
	}
	defer l.leave()
	vision, err := l.index.Vision(ctx)
	if err != nil {
		return nil, nil, s.names.problem(err)
	}
	forms = evident.ExportForms()
	for _, f := range forms {
		fits = append(fits, vision.FitsForm(f.Name))
	}
	return forms, fits, nil
}

// regionWork is what is done with the masks of a picture.
type regionWork func(
	context.Context, *listing, *evident.Vision, *evident.Photo, []evident.Mask,
) (*evident.Regions, error)

func (s *Service) regions(
	ctx context.Context, index, id string, masks []api.RegionMask, up Upload, work regionWork, vectors bool,
) (*api.RegionResult, error) {
	var result *api.RegionResult
	took, err := s.onRegions(ctx, index, id, masks, up, func(
		ctx context.Context, l *listing, v *evident.Vision, photo *evident.Photo, masks []evident.Mask,
	) error {
		found, err := work(ctx, l, v, photo, masks)
		if err == nil {
			result, err = s.keepRegions(found, id, vectors)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	result.TookMS = took
	return result, nil
}

// onRegions opens a picture and its masks for a computation, and returns the milliseconds by stage.
func (s *Service) onRegions(
	ctx context.Context, index, id string, masks []api.RegionMask, up Upload,
	work func(context.Context, *listing, *evident.Vision, *evident.Photo, []evident.Mask) error,
) (map[string]float64, error) {
	l, err := s.use(index)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	if err := oneOf("image and an uploaded image", id != "", up != nil); err != nil {
		return nil, err
	}
	t := s.timer()
	err = s.compute(ctx, func(ctx context.Context) error {
		vision, err := l.index.Vision(ctx)
		if err != nil {
			return err
		}
		begun := s.o.Now()
		photo, err := s.photo(ctx, l, id, up)
		if err != nil {
			return err
		}
		read, err := masksOf(masks, photo)
		if err != nil {
			return err
		}
		begun = t.stage("decode", begun)
		err = work(ctx, l, vision, photo, read)
		t.stage("maskinv", begun)
		return err
	})
	if err != nil {
		return nil, err
	}
	return t.done(), nil
}

// stepsOf is a step as it travels.
func stepsOf(step evident.RegionStep) api.RegionSteps {
	w := api.RegionSteps{Step: step.Step, Steps: step.Steps, Regions: []api.RegionSoFar{}}
	for _, r := range step.Regions {
		w.Regions = append(w.Regions, api.RegionSoFar{
			Mask: r.Mask, Dice: r.Dice, Rows: r.Rows, Columns: r.Columns, Map: greys(r.Map),
		})
	}
	return w
}

// masksOf reads the masks of a request for a picture.
func masksOf(wire []api.RegionMask, photo *evident.Photo) ([]evident.Mask, error) {
	var masks []evident.Mask
	for i, w := range wire {
		name := w.Name
		if name == "" {
			name = "region " + strconv.Itoa(i+1)
		}
		where := fmt.Sprintf("mask %d, %s", i, quoted(name))
		if err := oneOf("box, polygon, polygons, circle, rle and png of "+where, w.Box != nil, w.Polygon != nil,
			w.Polygons != nil, w.Circle != nil, w.RLE != nil, w.PNG != ""); err != nil {
			return nil, err
		}
		content, err := maskContent(w)
		if err != nil {
			return nil, api.NewProblem("bad-mask", where+": "+err.Error()).Because(err)
		}
		read, err := evident.ParseMasks(content, name, photo)
		if err != nil {
			return nil, api.NewProblem("bad-mask", err.Error()).Because(err)
		}
		masks = append(masks, read...)
	}
	return masks, nil
}

// maskContent is a mask as a file would hold it.
func maskContent(w api.RegionMask) ([]byte, error) {
	if w.PNG == "" {
		return json.Marshal(w)
	}
	return base64.StdEncoding.DecodeString(w.PNG)
}

// keepRegions turns regions into what travels, and keeps their maps.
func (s *Service) keepRegions(found *evident.Regions, image string, vectors bool) (*api.RegionResult, error) {
	w := &api.RegionResult{
		ID: newID(), Model: found.Model, Method: found.Method, Image: image, Path: found.Path,
		Width: found.Width, Height: found.Height, Notes: found.Notes, Regions: []api.Region{},
	}
	k := &kept{wire: api.Explanation{ID: w.ID}}
	for i := range found.Regions {
		r := &found.Regions[i]
		shown := r.Map
		if len(r.Captions) > 0 {
			shown = r.Captions[0].Map
		}
		heat, err := heatOf(shown, found.Width, found.Height)
		if err != nil {
			return nil, err
		}
		k.heats, k.bytes = append(k.heats, heat), k.bytes+len(heat)
		one := api.Region{
			Mask: r.Mask, Area: r.Area, Box: r.Box, Dice: r.Dice, Labels: []api.RegionLabel{},
			Heat: fmt.Sprintf("/api/%s/regions/%s/maps/%d/heat.png", api.Version, w.ID, i),
		}
		if vectors {
			one.Vector = r.Vector()
		}
		for _, l := range r.Labels {
			one.Labels = append(one.Labels, api.RegionLabel{Text: l.Text, Score: l.Score, Similarity: l.Similarity})
		}
		for _, c := range r.Captions {
			one.Captions = append(one.Captions, api.RegionCaption{
				Text: c.Text, Score: c.Score, Similarity: c.Similarity, Likelihood: c.Likelihood, Dice: c.Dice,
			})
		}
		for _, h := range r.Hits {
			one.Similar = append(one.Similar, api.RegionHit{ImageHit: h.ImageHit, Peak: h.Peak, Box: h.Box, Words: h.Words})
		}
		w.Regions = append(w.Regions, one)
	}
	for _, m := range found.Matches {
		one := api.RegionMatch{Text: m.Text, Mask: m.Mask, Presence: m.Presence, Ranking: []api.RankedMask{}}
		for _, r := range m.Ranking {
			one.Ranking = append(one.Ranking, api.RankedMask{Mask: r.Mask, Score: r.Score, Similarity: r.Similarity})
		}
		w.Matches = append(w.Matches, one)
	}
	s.kept.keep(k)
	return w, nil
}

// heatOf is a map as a grey PNG, from its least to its most.
func heatOf(mapOf func(width, height int) []float32, width, height int) ([]byte, error) {
	if longest := max(width, height); longest > heatSideMax {
		width, height = max(1, width*heatSideMax/longest), max(1, height*heatSideMax/longest)
	}
	grey := image.NewGray(image.Rect(0, 0, width, height))
	grey.Pix = greys(mapOf(width, height))
	var file bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&file, grey); err != nil {
		return nil, fmt.Errorf("encode a map: %w", err)
	}
	return file.Bytes(), nil
}

// greys scales values to 0…255, from the least to the most.
func greys(values []float32) []byte {
	least, most := slices.Min(values), slices.Max(values)
	grey := make([]byte, len(values))
	if most > least {
		for i, v := range values {
			grey[i] = uint8((v-least)/(most-least)*255 + 0.5)
		}
	}
	return grey
}

// RegionHeat returns a map of regions that are still kept, as PNG.
func (s *Service) RegionHeat(id string, n int) ([]byte, error) {
	k, err := s.kept.find(id)
	if err != nil {
		return nil, err
	}
	if n < 0 || n >= len(k.heats) {
		return nil, api.NewProblem("not-found", "the regions "+quoted(id)+" have no map "+strconv.Itoa(n))
	}
	return k.heats[n], nil
}
