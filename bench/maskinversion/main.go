//go:build unix

// Command maskinversion is our side of the comparison with maskinversion-torch:
//
//	maskinversion FOLDER INPUT fp32|bf16 [FORM]
//
// FOLDER holds a vision-language model; INPUT is a safetensors file with pixels [1, 3, S, S], masks [K, h, w] and
// steps [1]. Of the protocol of [turns], "run" makes K embeddings from pixels and masks, and "encode" is the image's
// plain encoding. The setting is that of the authors' code: the last layer, a rate of 0.1.
package main

import (
	"context"
	"log"
	"os"

	"evident/bench/turns"
	"evident/internal/weights"
	"evident/maskinversion"
	"evident/model/vision"
	"evident/nn"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("maskinversion: ")
	if len(os.Args) < 4 || len(os.Args) > 5 {
		log.Fatal("usage: maskinversion FOLDER INPUT fp32|bf16 [FORM]")
	}
	precision, ok := map[string]nn.Precision{"fp32": nn.FP32, "bf16": nn.BF16}[os.Args[3]]
	if !ok {
		log.Fatalf("unknown precision %q: want fp32 or bf16", os.Args[3])
	}
	form := maskinversion.Auto
	if len(os.Args) == 5 {
		var err error
		if form, err = maskinversion.ParseForm(os.Args[4]); err != nil {
			log.Fatal(err)
		}
	}
	err := turns.Serve(os.Stdin, os.Stdout, func() (*turns.Side, error) {
		s, err := load(os.Args[1], os.Args[2], precision)
		if err != nil {
			return nil, err
		}
		s.options.Form = form
		return &turns.Side{
			Work: map[string]func(int) error{"run": s.invert, "encode": s.encode},
			Output: func() []float32 {
				var all []float32
				for _, r := range s.regions {
					all = append(all, r.Vector...)
				}
				return all
			},
		}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
}

// side is a model with its input and the last result.
type side struct {
	model    *vision.Model
	inverter *maskinversion.Inverter
	pixels   []float32 // [3, size, size]
	size     int
	masks    []maskinversion.Mask
	options  maskinversion.Options
	regions  []maskinversion.Region
}

func load(folder, input string, precision nn.Precision) (*side, error) {
	// As the command does, packed weights are kept beside the model, by the first run that needs them.
	model, err := vision.LoadWith(os.DirFS(folder), vision.Options{Precision: precision, CacheDir: folder})
	if err != nil {
		return nil, err
	}
	s := &side{model: model}
	s.inverter, err = maskinversion.New(context.Background(), model, maskinversion.Setup{Precision: precision})
	if err != nil {
		return nil, err
	}
	f, err := weights.Open(input)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tensors := map[string][]float32{}
	shapes := map[string][]int{}
	for _, name := range []string{"pixels", "masks", "steps"} {
		raw, err := f.Raw(name)
		if err != nil {
			return nil, err
		}
		shapes[name] = raw.Shape
		if tensors[name], err = f.Float32(name, raw.Shape...); err != nil {
			return nil, err
		}
	}
	s.pixels, s.size = tensors["pixels"], shapes["pixels"][3]
	s.options.Steps, s.options.MemoryMax = int(tensors["steps"][0]), 4<<30
	h, w := shapes["masks"][1], shapes["masks"][2]
	s.options.Batch = shapes["masks"][0] // as the authors' code divides
	for i := range shapes["masks"][0] {
		s.masks = append(s.masks, maskinversion.Mask{Width: w, Height: h, Values: tensors["masks"][i*h*w:][:h*w]})
	}
	return s, nil
}

// encode is the pass of the image alone. GOMAXPROCS says on how many threads.
func (s *side) encode(int) error {
	_, err := s.model.EncodeImage(context.Background(), s.pixels, s.size, s.size)
	return err
}

// invert encodes the image and makes an embedding of every mask.
func (s *side) invert(int) error {
	im, err := s.inverter.Prepare(context.Background(), s.pixels, s.size, s.size)
	if err != nil {
		return err
	}
	s.regions, err = im.Invert(context.Background(), s.masks, s.options)
	return err
}
