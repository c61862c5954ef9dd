//go:build unix

// Command legrad is our side of the comparison with legrad-torch:
//
//	legrad FOLDER INPUT fp32|bf16
//
// FOLDER holds a vision-language model; INPUT is a safetensors file with pixels [1, 3, S, S] and directions
// [T, E], one for each text. Of the protocol of [turns], "run" draws T maps [S, S] from pixels, and "encode"
// is the image's plain encoding.
package main

import (
	"context"
	"log"
	"os"
	"slices"

	"evident/bench/turns"
	"evident/internal/weights"
	"evident/legrad"
	"evident/model/vision"
	"evident/nn"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("legrad: ")
	if len(os.Args) != 4 {
		log.Fatal("usage: legrad FOLDER INPUT fp32|bf16")
	}
	precision, ok := map[string]nn.Precision{"fp32": nn.FP32, "bf16": nn.BF16}[os.Args[3]]
	if !ok {
		log.Fatalf("unknown precision %q: want fp32 or bf16", os.Args[3])
	}
	err := turns.Serve(os.Stdin, os.Stdout, func() (*turns.Side, error) {
		s, err := load(os.Args[1], os.Args[2], precision)
		if err != nil {
			return nil, err
		}
		return &turns.Side{
			Work:   map[string]func(int) error{"run": s.explain, "encode": s.encode},
			Output: func() []float32 { return slices.Concat(s.maps...) },
		}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
}

// side is a model with its input and the last result.
type side struct {
	model     *vision.Model
	explainer *legrad.Explainer
	pixels    []float32   // [3, size, size]
	texts     [][]float32 // [T, E]
	size      int
	maps      [][]float32 // [T, size, size], each in 0..1
}

func load(folder, input string, precision nn.Precision) (*side, error) {
	// As the command does, packed weights are kept beside the model, by the first run that needs them.
	model, err := vision.LoadWith(os.DirFS(folder), vision.Options{Precision: precision, CacheDir: folder})
	if err != nil {
		return nil, err
	}
	e, err := legrad.New(model.Tower, legrad.Options{Precision: precision})
	if err != nil {
		return nil, err
	}
	f, err := weights.Open(input)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := &side{model: model, explainer: e}
	raw, err := f.Raw("pixels")
	if err != nil {
		return nil, err
	}
	s.size = raw.Shape[3]
	if s.pixels, err = f.Float32("pixels", 1, 3, s.size, s.size); err != nil {
		return nil, err
	}
	if raw, err = f.Raw("directions"); err != nil {
		return nil, err
	}
	all, err := f.Float32("directions", raw.Shape...)
	s.texts = slices.Collect(slices.Chunk(all, raw.Shape[1]))
	return s, err
}

// encode is the pass of the image alone. GOMAXPROCS says on how many threads.
func (s *side) encode(int) error {
	_, err := s.model.EncodeImage(context.Background(), s.pixels, s.size, s.size)
	return err
}

// explain draws one map for each text as the reference hands them out: as large as the image, in 0..1.
func (s *side) explain(int) error {
	im, err := s.explainer.Encode(context.Background(), s.pixels, s.size, s.size)
	if err != nil {
		return err
	}
	grids, err := im.Relevance(context.Background(), s.texts)
	if err != nil {
		return err
	}
	s.maps = s.maps[:0]
	for _, grid := range grids {
		s.maps = append(s.maps, legrad.Heatmap(grid, im.Height, im.Width, s.size/im.Height))
	}
	return nil
}
