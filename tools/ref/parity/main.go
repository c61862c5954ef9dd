// Command parity runs a vision-language model's folder on given pixels, texts and directions and writes what
// parity.py, which calls it, compares with the reference packages.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"math"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"evident/internal/weights"
	"evident/legrad"
	"evident/model/vision"
	"evident/nn"
)

func main() {
	log.SetFlags(0)
	folder := flag.String("folder", "", "the model")
	in := flag.String("in", "", "safetensors with pixels [1, 3, h, w], directions [T, E] and, in the metadata, texts as JSON")
	out := flag.String("out", "", "safetensors to write: image, texts, layers")
	precision := flag.String("precision", "fp32", "of the products: fp32, or auto for what the CPU does best")
	repeat := flag.Int("repeat", 1, "encode the image so many times and report the least processor time")
	flag.Parse()
	runtime.GOMAXPROCS(1) // processor time is then that of one thread
	if err := run(*folder, *in, *out, *precision, *repeat); err != nil {
		log.Fatal("parity: ", err)
	}
}

// report is printed on standard output.
type report struct {
	Model       string  `json:"model"`
	Tokens      int     `json:"tokens"`
	LoadCPU     float64 `json:"load_cpu_s"`
	ImageCPU    float64 `json:"image_cpu_s"`     // one encode, the least of all
	ExplainCPU  float64 `json:"explain_cpu_s"`   // the same encode with the model's map layers, and one map
	LoadPeak    float64 `json:"load_peak_mib"`   // resident, of files mapped too
	Peak        float64 `json:"peak_mib"`        // after everything
	EncodePeak  float64 `json:"encode_peak_mib"` // after load and encode
	TextsMissed string  `json:"texts,omitempty"` // why there are none
}

func run(folder, in, out, precision string, repeat int) error {
	opts := vision.Options{Precision: nn.FP32}
	if precision == "auto" {
		opts.Precision = nn.Auto
	}
	start := cpu()
	m, err := vision.LoadWith(os.DirFS(folder), opts)
	if err != nil {
		return err
	}
	r := report{Model: m.Name, LoadCPU: cpu() - start, LoadPeak: peak()}
	f, err := weights.Open(in)
	if err != nil {
		return err
	}
	defer f.Close()
	pixels, shape, err := floats(f, "pixels")
	if err != nil {
		return err
	}
	results := map[string]weights.Tensor{}
	r.Tokens = m.Tokens(shape[2], shape[3])
	r.ImageCPU = math.Inf(1)
	for range repeat {
		start := cpu()
		im, err := m.EncodeImage(context.Background(), pixels, shape[2], shape[3])
		if err != nil {
			return err
		}
		r.ImageCPU = min(r.ImageCPU, cpu()-start)
		results["image"] = tensor(im.Vector, 1, len(im.Vector))
	}
	r.EncodePeak = peak()
	if err := explain(m, f, pixels, shape, opts.Precision, results, &r); err != nil {
		return err
	}
	if err := texts(m, f.Metadata()["texts"], results); errors.Is(err, fs.ErrNotExist) {
		r.TextsMissed = err.Error()
	} else if err != nil {
		return err
	}
	r.Peak = peak()
	to, err := os.Create(out)
	if err != nil {
		return err
	}
	if err := errors.Join(weights.Write(to, results, nil), to.Close()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// explain draws every layer for every direction.
func explain(
	m *vision.Model, f *weights.File, pixels []float32, shape []int, precision nn.Precision,
	results map[string]weights.Tensor, r *report,
) error {
	values, size, err := floats(f, "directions")
	if err != nil {
		return err
	}
	directions := slices.Collect(slices.Chunk(values, size[1]))
	all := make([]int, len(m.Encoder.Layers))
	for i := range all {
		all[i] = i
	}
	for _, layers := range [][]int{m.MapLayers, all} {
		e, err := legrad.New(m.Tower, legrad.Options{Layers: layers, Precision: precision})
		if err != nil {
			return err
		}
		start := cpu()
		im, err := e.Encode(context.Background(), pixels, shape[2], shape[3])
		if err != nil {
			return err
		}
		if len(layers) < len(all) { // as explain does
			if _, err := im.Relevance(context.Background(), directions[:1]); err != nil {
				return err
			}
			r.ExplainCPU = cpu() - start
			continue
		}
		maps, err := im.LayerRelevance(context.Background(), directions)
		if err != nil {
			return err
		}
		results["layers"] = tensor(slices.Concat(slices.Concat(maps...)...), len(all), len(directions), im.Height, im.Width)
	}
	return nil
}

func texts(m *vision.Model, list string, results map[string]weights.Tensor) error {
	var all []string
	if err := json.Unmarshal([]byte(list), &all); err != nil {
		return fmt.Errorf("texts: %w", err)
	}
	if m.Classes != nil {
		all = m.Classes
	}
	encoded, err := m.EncodeTexts(context.Background(), all)
	if err != nil {
		return err
	}
	var joined []float32
	for _, text := range encoded {
		joined = append(joined, text.Vector...)
	}
	results["texts"] = tensor(joined, len(all), m.Size())
	return nil
}

func floats(f *weights.File, name string) ([]float32, []int, error) {
	raw, err := f.Raw(name)
	if err != nil {
		return nil, nil, err
	}
	values, err := f.Float32(name, raw.Shape...)
	return values, raw.Shape, err
}

func tensor(values []float32, shape ...int) weights.Tensor {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return weights.Tensor{DType: weights.F32, Shape: shape, Data: data}
}

// usage is what this process has used so far.
func usage() (u syscall.Rusage) {
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for other arguments only
	return u
}

// cpu returns the seconds of processor time.
func cpu() float64 {
	u := usage()
	return (time.Duration(u.Utime.Nano()) + time.Duration(u.Stime.Nano())).Seconds()
}

// peak returns the most resident memory so far in MiB; Linux counts in KiB.
func peak() float64 { return float64(usage().Maxrss) / 1024 }
