package service

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"image"
	"strconv"
	"sync"

	"evident"
	"evident/api"
)

// Upload is a picture that came with a request: the bytes of its file; nil where none came.
type Upload []byte

// photo returns the picture that a request means: the upload, or one of the index.
func (s *Service) photo(ctx context.Context, l *listing, id string, up Upload) (*evident.Photo, error) {
	o := evident.PhotoOptions{PixelsMax: s.o.PixelsMax}
	if up != nil {
		photo, err := evident.ReadPhoto(bytes.NewReader(up), o)
		return photo, s.names.imageProblem(err)
	}
	d, err := l.find(ctx, id)
	if err != nil {
		return nil, err
	}
	photo, err := l.index.Photo(ctx, d.Path, o)
	return photo, s.names.imageProblem(err)
}

// imageProblem names what is wrong with a picture. Whatever a decoder says of the bytes that it was
// given is the bytes' fault.
func (n *names) imageProblem(err error) error {
	if err == nil {
		return nil
	}
	if code := codeOf(err); code != "internal" {
		return n.problem(err)
	}
	return n.coded("not-an-image", err.Error(), err)
}

// oneOf says whether exactly one of a picture's possible sources was given.
func oneOf(what string, given ...bool) error {
	n := 0
	for _, g := range given {
		if g {
			n++
		}
	}
	if n == 1 {
		return nil
	}
	return api.NewProblem("ambiguous", "give exactly one of "+what)
}

// Image returns a picture of the index for display.
func (s *Service) Image(ctx context.Context, index, id string, side int) (im image.Image, err error) {
	l, err := s.use(index)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	err = s.compute(ctx, func(ctx context.Context) error {
		photo, err := s.photo(ctx, l, id, nil)
		if err == nil {
			im = photo.Image(side)
		}
		return err
	})
	return im, err
}

// imagesDefault is how many pictures a search returns.
const imagesDefault = 24

// SearchImages returns the pictures that show what a text says, or that are like another.
func (s *Service) SearchImages(
	ctx context.Context, r api.ImageSearchRequest, up Upload,
) (*api.ImageSearchResult, error) {
	l, err := s.use(r.Index)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	if err := oneOf("query, like and an uploaded image", r.Query != "", r.Like != "", up != nil); err != nil {
		return nil, err
	}
	if r.Top == 0 {
		r.Top = imagesDefault
	}
	t := s.timer()
	result := &api.ImageSearchResult{Query: r.Query, Like: r.Like}
	err = s.compute(ctx, func(ctx context.Context) error {
		q := evident.ImageQuery{Text: r.Query}
		if r.Query == "" {
			photo, err := s.photo(ctx, l, r.Like, up)
			if err != nil {
				return err
			}
			q.Photo = photo
		}
		begun := s.o.Now()
		hits, err := l.index.SearchImages(ctx, q, evident.SearchOptions{Top: r.Top})
		result.Hits = hits
		t.stage("search_images", begun)
		return err
	})
	result.TookMS = t.done()
	return result, err
}

// Embed returns vectors of texts or of a picture.
func (s *Service) Embed(
	ctx context.Context, r api.EmbeddingRequest, up Upload,
) (*api.EmbeddingResult, error) {
	l, err := s.use(r.Index)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	if err := oneOf("texts, image and an uploaded image", len(r.Texts) > 0, r.Image != "", up != nil); err != nil {
		return nil, err
	}
	result := &api.EmbeddingResult{}
	err = s.compute(ctx, func(ctx context.Context) error {
		vision, err := l.index.Vision(ctx)
		if err != nil {
			return err
		}
		result.Model = vision.Name()
		if len(r.Texts) > 0 {
			result.Vectors, err = vision.EmbedTexts(ctx, r.Texts)
			return err
		}
		photo, err := s.photo(ctx, l, r.Image, up)
		if err != nil {
			return err
		}
		vector, err := vision.EmbedPhoto(ctx, photo)
		result.Vectors = [][]float32{vector}
		return err
	})
	return result, err
}

// kept is an explanation that can still be drawn.
type kept struct {
	wire  api.Explanation
	drawn *evident.Explanation // nil of regions
	heats [][]byte             // maps of regions, as PNG
	bytes int
}

// explanations keeps the newest explanations, so that their maps can be fetched and drawn anew.
type explanations struct {
	mu    sync.Mutex
	order []*kept // oldest first
}

// What is kept at most: bytes of pictures and maps, and the longest side of a picture.
const (
	keptBytesMax = 128 << 20
	keptSideMax  = 1600
)

func (e *explanations) keep(k *kept) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.order = append(e.order, k)
	held := 0
	for i := len(e.order) - 1; i >= 0; i-- {
		if held += e.order[i].bytes; held > keptBytesMax && i < len(e.order)-1 {
			e.order = append([]*kept{}, e.order[i+1:]...)
			return
		}
	}
}

func (e *explanations) find(id string) (*kept, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, k := range e.order {
		if k.wire.ID == id {
			return k, nil
		}
	}
	return nil, api.NewProblem("not-found", "there is no explanation "+quoted(id)+"; old ones are let go")
}

// Explain shows where in a picture texts are seen.
func (s *Service) Explain(
	ctx context.Context, r api.ExplainRequest, up Upload,
) (*api.Explanation, error) {
	l, err := s.use(r.Index)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	if err := oneOf("image and an uploaded image", r.Image != "", up != nil); err != nil {
		return nil, err
	}
	t := s.timer()
	var e *evident.Explanation
	err = s.compute(ctx, func(ctx context.Context) error {
		vision, err := l.index.Vision(ctx)
		if err != nil {
			return err
		}
		begun := s.o.Now()
		photo, err := s.photo(ctx, l, r.Image, up)
		if err != nil {
			return err
		}
		begun = t.stage("decode", begun)
		e, err = vision.Explain(ctx, photo, r.Texts, evident.ExplainOptions{Each: r.Each})
		t.stage("legrad", begun)
		return err
	})
	if err != nil {
		return nil, err
	}
	k := &kept{drawn: e.Keep(keptSideMax), wire: wireOf(e, r.Image, newID())}
	k.bytes = k.drawn.HeldBytes()
	k.wire.TookMS = t.done()
	s.kept.keep(k)
	return &k.wire, nil
}

// wireOf returns an explanation as it travels.
func wireOf(e *evident.Explanation, image, id string) api.Explanation {
	w := api.Explanation{
		ID: id, Model: e.Model, Image: image, Path: e.Path, Width: e.Width, Height: e.Height,
		Notes: e.Notes, Maps: []api.TextMap{},
	}
	for i, m := range e.Maps {
		at := "/api/" + api.Version + "/explanations/" + id + "/maps/" + strconv.Itoa(i)
		w.Maps = append(w.Maps, api.TextMap{
			Text: m.Text, Similarity: m.Similarity, Presence: m.Presence, Peak: m.Peak,
			Min: m.Min, Max: m.Max, Words: m.Words, Cut: m.Cut, Heat: at + "/heat.png", Raw: at + "/raw.npy",
		})
	}
	return w
}

func newID() string {
	var id [9]byte
	_, _ = rand.Read(id[:]) // it cannot fail
	return hex.EncodeToString(id[:])
}

// explanation returns what is kept of an explanation; regions are none.
func (s *Service) explanation(id string) (*kept, error) {
	k, err := s.kept.find(id)
	if err == nil && k.drawn == nil {
		err = api.NewProblem("not-found", "there is no explanation "+quoted(id))
	}
	return k, err
}

// Explanation returns one that is still kept.
func (s *Service) Explanation(id string) (*api.Explanation, error) {
	k, err := s.explanation(id)
	if err != nil {
		return nil, err
	}
	return &k.wire, nil
}

// Overlay draws an explanation.
func (s *Service) Overlay(ctx context.Context, id string, q api.OverlayQuery) (im image.Image, err error) {
	k, err := s.explanation(id)
	if err != nil {
		return nil, err
	}
	err = s.compute(ctx, func(context.Context) error {
		im, err = k.drawn.Draw(evident.DrawOptions{
			Layout: q.Layout, Palette: q.Palette, Opacity: q.Opacity, Bare: q.Bare, SideMax: q.Side,
		})
		return err
	})
	return im, err
}

// Picture returns the picture of an explanation for display.
func (s *Service) Picture(ctx context.Context, id string) (im image.Image, err error) {
	k, err := s.explanation(id)
	if err != nil {
		return nil, err
	}
	err = s.compute(ctx, func(context.Context) error {
		im = k.drawn.Picture(0)
		return nil
	})
	return im, err
}

// heatSideMax is the longest side of a grey map: the page stretches it over the picture.
const heatSideMax = 512

// Heat returns a map of an explanation on the scale that all of its texts share.
func (s *Service) Heat(ctx context.Context, id string, n int) (im image.Image, err error) {
	k, err := s.keptMap(id, n)
	if err != nil {
		return nil, err
	}
	err = s.compute(ctx, func(context.Context) error {
		im = k.drawn.Heat(heatSideMax)[n]
		return nil
	})
	return im, err
}

// RawMap returns a map as it was computed [height, width].
func (s *Service) RawMap(id string, n int) (values []float32, width, height int, err error) {
	k, err := s.keptMap(id, n)
	if err != nil {
		return nil, 0, 0, err
	}
	width, height = k.wire.Width, k.wire.Height
	return k.drawn.Maps[n].Raw(width, height), width, height, nil
}

func (s *Service) keptMap(id string, n int) (*kept, error) {
	k, err := s.explanation(id)
	if err != nil {
		return nil, err
	}
	if n < 0 || n >= len(k.wire.Maps) {
		return nil, api.NewProblem("not-found", "explanation "+quoted(id)+" has no map "+strconv.Itoa(n))
	}
	return k, nil
}
