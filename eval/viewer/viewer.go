// Package viewer puts a vision-language model and methods of package legrad before the photos of an evaluation:
// what do they make of a picture's bytes and a class's name?
package viewer

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"evident/eval"
	"evident/internal/picture"
	"evident/legrad"
	"evident/model/vision"
	"evident/model/vit"
)

// Options tunes [New]. The zero value is the model's own choice.
type Options struct {
	MapSize int    // pixels a side of the picture that maps are made of
	Prompt  string // how a class name is asked for; {} is the name
}

// Viewer is a model before photos. It is safe for concurrent use.
type Viewer struct {
	model *vision.Model
	opts  Options

	mu       sync.Mutex
	prepared map[string]legrad.Method // by specification
	named    map[string]vision.Text   // class names asked for before
}

// New prepares a model.
func New(model *vision.Model, opts Options) (*Viewer, error) {
	if opts.MapSize == 0 {
		opts.MapSize = model.MapSize
	}
	if opts.MapSize < model.Patch || opts.MapSize%model.Patch != 0 {
		return nil, fmt.Errorf("maps of %d pixels a side: want a multiple of the model's patches of %d pixels",
			opts.MapSize, model.Patch)
	}
	if opts.Prompt == "" {
		opts.Prompt = model.Prompt
	}
	if opts.Prompt == "" {
		opts.Prompt = "{}"
	}
	if !strings.Contains(opts.Prompt, "{}") {
		return nil, fmt.Errorf("the prompt %q has no {} where the class name goes", opts.Prompt)
	}
	return &Viewer{
		model: model, opts: opts, prepared: map[string]legrad.Method{}, named: map[string]vision.Text{},
	}, nil
}

// MapSize is the pixels a side of the picture that maps are made of.
func (v *Viewer) MapSize() int { return v.opts.MapSize }

// Seer returns the model with methods as an evaluation asks it; the first is judged. See [legrad.ParseMethod] for how they
// are named.
func (v *Viewer) Seer(ctx context.Context, methods ...string) (eval.Seer, error) {
	d, err := v.drawer(ctx, methods)
	if err != nil {
		return nil, err
	}
	return &seer{d}, nil
}

// drawer is the model with methods.
type drawer struct {
	*Viewer
	names   []string
	methods []legrad.Method
}

func (v *Viewer) drawer(ctx context.Context, methods []string) (*drawer, error) {
	d := &drawer{Viewer: v, names: methods}
	for _, name := range methods {
		m, err := v.method(ctx, name)
		if err != nil {
			return nil, err
		}
		d.methods = append(d.methods, m)
	}
	return d, nil
}

// Methods implements [eval.Seer] and [eval.Classifier].
func (d *drawer) Methods() []string { return d.names }

// method returns a method by its specification.
func (v *Viewer) method(ctx context.Context, specification string) (legrad.Method, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if m, ok := v.prepared[specification]; ok {
		return m, nil
	}
	name, opts, err := legrad.ParseMethod(specification)
	if err != nil {
		return nil, err
	}
	if name == "legrad" {
		if opts.Layers == nil {
			opts.Layers = v.model.MapLayers
		}
		if pool, ok := v.model.Pool.(vit.AttentionPool); ok && pool.AnswersAll() {
			empty, err := v.Texts(ctx, []string{legrad.EmptyText})
			if err != nil {
				return nil, err
			}
			opts.Empty = empty[0]
		}
	}
	m, err := legrad.NewMethod(name, v.model.Tower, opts)
	if err != nil {
		return nil, err
	}
	v.prepared[specification] = m
	return m, nil
}

// Names implements [eval.Embedder]: vectors of class names in the prompt.
func (v *Viewer) Names(ctx context.Context, names []string) ([][]float32, error) {
	texts, err := v.classes(ctx, names)
	if err != nil {
		return nil, err
	}
	return embeddings(texts), nil
}

// classes encodes class names in the prompt, each once.
func (v *Viewer) classes(ctx context.Context, names []string) ([]vision.Text, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var missing, prompts []string
	for _, name := range names {
		if _, ok := v.named[name]; !ok {
			missing = append(missing, name)
			prompts = append(prompts, strings.ReplaceAll(v.opts.Prompt, "{}", name))
		}
	}
	texts, err := v.encode(ctx, prompts)
	if err != nil {
		return nil, err
	}
	for i, name := range missing {
		v.named[name] = texts[i]
	}
	all := make([]vision.Text, len(names))
	for i, name := range names {
		all[i] = v.named[name]
	}
	return all, nil
}

// Texts implements [eval.Embedder].
func (v *Viewer) Texts(ctx context.Context, texts []string) ([][]float32, error) {
	encoded, err := v.encode(ctx, texts)
	if err != nil {
		return nil, err
	}
	return embeddings(encoded), nil
}

// encode encodes texts, some hundreds at a time.
func (v *Viewer) encode(ctx context.Context, texts []string) ([]vision.Text, error) {
	const together = 256
	var all []vision.Text
	for part := range slices.Chunk(texts, together) {
		encoded, err := v.model.EncodeTexts(ctx, part)
		if err != nil {
			return nil, err
		}
		all = append(all, encoded...)
	}
	return all, nil
}

func embeddings(texts []vision.Text) [][]float32 {
	vectors := make([][]float32, len(texts))
	for i := range texts {
		vectors[i] = texts[i].Embedding
	}
	return vectors
}

// Picture implements [eval.Embedder].
func (v *Viewer) Picture(ctx context.Context, file []byte) ([]float32, error) {
	im, err := decode(file)
	if err != nil {
		return nil, err
	}
	encoded, err := v.model.EncodePicture(ctx, im)
	if err != nil {
		return nil, err
	}
	return encoded.Embedding, nil
}

func decode(file []byte) (*picture.Image, error) {
	return picture.Decode(bytes.NewReader(file), picture.Options{})
}

// seer implements [eval.Seer].
type seer struct{ *drawer }

// Maps squeezes the picture to a square, whatever the model does for its vectors: so are the outlines.
func (s *seer) Maps(ctx context.Context, file []byte, classes []string) ([][]eval.Heatmap, error) {
	side := s.opts.MapSize
	texts, err := s.Names(ctx, classes)
	if err != nil {
		return nil, err
	}
	im, err := decode(file)
	if err != nil {
		return nil, err
	}
	recipe := s.model.Recipe
	recipe.Size, recipe.Mode, recipe.Shortest = [2]int{side, side}, picture.Squash, 0
	maps, err := legrad.MapsOf(ctx, s.methods, recipe.Apply(im), side, side, texts)
	if err != nil {
		return nil, err
	}
	grid := side / s.model.Patch
	all := make([][]eval.Heatmap, len(maps))
	for i := range maps {
		for _, m := range maps[i] {
			all[i] = append(all[i], eval.Heatmap{Height: grid, Width: grid, Values: m})
		}
	}
	return all, nil
}
