//go:build unix

// Command engine is our side of the comparison with ONNX Runtime and torch: one encoder, see [turns].
//
//	engine FILE fp32|bf16|int8
//
// FILE begins with a line of JSON (the struct header); then come the float32 values of the input
// and of each layer's tensors, little-endian.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"os"

	"evident/bench/turns"
	"evident/nn"
)

type header struct {
	Layers  int     `json:"layers"`
	Width   int     `json:"width"`
	Heads   int     `json:"heads"`
	Wide    int     `json:"wide"`
	Batch   int     `json:"batch"`
	Tokens  int     `json:"tokens"`
	Epsilon float32 `json:"epsilon"`
	PreNorm bool    `json:"prenorm"`
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("engine: ")
	if len(os.Args) != 3 {
		log.Fatal("usage: engine FILE fp32|bf16|int8")
	}
	precision, ok := map[string]nn.Precision{
		"fp32": nn.FP32, "bf16": nn.BF16, "int8": nn.Int8,
	}[os.Args[2]]
	if !ok {
		log.Fatalf("unknown precision %q: want fp32, bf16 or int8", os.Args[2])
	}
	err := turns.Serve(os.Stdin, os.Stdout, func() (*turns.Side, error) { return side(os.Args[1], precision) })
	if err != nil {
		log.Fatal(err)
	}
}

// side loads an encoder.
func side(path string, precision nn.Precision) (*turns.Side, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	e, input, seqs, err := load(bufio.NewReaderSize(file, 1<<20), precision)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	x := make([]float32, len(input))
	run := func(threads int) error {
		e.Threads = threads
		copy(x, input)
		return e.Forward(context.Background(), x, seqs)
	}
	return &turns.Side{
		Work:   map[string]func(int) error{"run": run},
		Output: func() []float32 { return x },
	}, nil
}

// load reads the encoder, its input, and where its sequences begin.
func load(
	r *bufio.Reader, precision nn.Precision,
) (e *nn.Encoder, input []float32, seqs nn.Sequences, err error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, nil, nil, err
	}
	var h header
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, nil, nil, err
	}
	read := func(n int) []float32 {
		raw := make([]byte, 4*n)
		if _, e := io.ReadFull(r, raw); e != nil {
			err = e
		}
		x := make([]float32, n)
		for i := range x {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		return x
	}
	linear := func(in, out int) *nn.Linear {
		weight := read(in * out)
		return nn.NewLinear(weight, read(out), in, out, precision)
	}
	norm := func() *nn.LayerNorm {
		return &nn.LayerNorm{Gain: read(h.Width), Bias: read(h.Width), Epsilon: h.Epsilon}
	}
	input = read(h.Batch * h.Tokens * h.Width)
	for i := range h.Batch + 1 {
		seqs = append(seqs, i*h.Tokens)
	}
	e = &nn.Encoder{Width: h.Width}
	for range h.Layers {
		e.Layers = append(e.Layers, nn.EncoderLayer{
			Heads: h.Heads, QKV: linear(h.Width, 3*h.Width), Out: linear(h.Width, h.Width),
			AttentionNorm: norm(), Up: linear(h.Width, h.Wide), Down: linear(h.Wide, h.Width),
			FeedForwardNorm: norm(), Activation: nn.GELU, PreNorm: h.PreNorm,
		})
	}
	return e, input, seqs, err
}
