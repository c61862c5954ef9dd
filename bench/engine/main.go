//go:build unix

// Command engine is our side of the comparison with ONNX Runtime: it loads one encoder and runs it
// whenever it is told to, so that the two sides can take turns.
//
//	engine FILE fp32|bf16|int8
//
// FILE begins with a line of JSON (the struct header); then come the float32 values of the input
// and of each layer's tensors, little-endian. Standard input holds one line a run: the number of
// threads. For each run, standard output gets a line: wall seconds, CPU seconds. The input "output
// PATH" writes the last result.
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
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"evident/nn"
)

type header struct {
	Layers  int     `json:"layers"`
	Width   int     `json:"width"`
	Heads   int     `json:"heads"`
	Wide    int     `json:"wide"`
	Tokens  int     `json:"tokens"`
	Epsilon float32 `json:"epsilon"`
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
	file, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	encoder, input, err := load(bufio.NewReaderSize(file, 1<<20), precision)
	if err != nil {
		log.Fatalf("load %s: %v", os.Args[1], err)
	}
	if err := serve(os.Stdin, os.Stdout, encoder, input); err != nil {
		log.Fatal(err)
	}
}

// load reads the encoder and its input.
func load(r *bufio.Reader, precision nn.Precision) (*nn.Encoder, []float32, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, nil, err
	}
	var h header
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, nil, err
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
	input := read(h.Tokens * h.Width)
	e := &nn.Encoder{Width: h.Width}
	for range h.Layers {
		e.Layers = append(e.Layers, nn.EncoderLayer{
			Heads: h.Heads, QKV: linear(h.Width, 3*h.Width), Out: linear(h.Width, h.Width),
			AttentionNorm: norm(), Up: linear(h.Width, h.Wide), Down: linear(h.Wide, h.Width),
			FeedForwardNorm: norm(), Activation: nn.GELU,
		})
	}
	return e, input, err
}

// serve obeys the lines of in until it ends.
func serve(in io.Reader, out io.Writer, e *nn.Encoder, input []float32) error {
	x, lines := make([]float32, len(input)), bufio.NewScanner(in)
	for lines.Scan() {
		if path, ok := strings.CutPrefix(lines.Text(), "output "); ok {
			if err := write(path, x); err != nil {
				return err
			}
			fmt.Fprintln(out, "written")
			continue
		}
		n, err := strconv.Atoi(lines.Text())
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no number of threads", lines.Text())
		}
		runtime.GOMAXPROCS(n)
		e.Threads = n
		copy(x, input)
		cpu, start := processTime(), time.Now()
		seqs := nn.Sequences{0, len(x) / e.Width}
		if err := e.Forward(context.Background(), x, seqs); err != nil {
			return err
		}
		fmt.Fprintf(out, "%g %g\n", time.Since(start).Seconds(), (processTime() - cpu).Seconds())
	}
	return lines.Err()
}

func write(path string, x []float32) error {
	raw := make([]byte, 0, 4*len(x))
	for _, v := range x {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return os.WriteFile(path, raw, 0o644)
}

// processTime is the CPU time of all threads so far.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatalf("read CPU time: %v", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
