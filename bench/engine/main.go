//go:build unix

// Command engine is our side of the comparison with ONNX Runtime: it loads one encoder and runs it
// whenever it is told to, so that the two sides can take turns.
//
//	engine FILE fp32|bf16|int8
//
// FILE begins with a line of JSON (the struct header); then come the float32 values of the input
// and of each layer's tensors, little-endian. Standard output begins with the line "loaded SECONDS".
// Standard input holds one line a run: the number of threads. For each run, standard output gets a
// line: wall seconds, CPU seconds. The input "output PATH" writes the last result; "memory" answers with
// the peak and the present resident bytes of the process.
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
	"runtime/debug"
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
	file, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	start := time.Now()
	encoder, input, seqs, err := load(bufio.NewReaderSize(file, 1<<20), precision)
	if err != nil {
		log.Fatalf("load %s: %v", os.Args[1], err)
	}
	fmt.Printf("loaded %g\n", time.Since(start).Seconds())
	debug.FreeOSMemory() // what loading left behind is not what running takes
	if err := serve(os.Stdin, os.Stdout, encoder, input, seqs); err != nil {
		log.Fatal(err)
	}
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

// serve obeys the lines of in until it ends.
func serve(in io.Reader, out io.Writer, e *nn.Encoder, input []float32, seqs nn.Sequences) error {
	x, lines := make([]float32, len(input)), bufio.NewScanner(in)
	for lines.Scan() {
		if path, ok := strings.CutPrefix(lines.Text(), "output "); ok {
			if err := write(path, x); err != nil {
				return err
			}
			fmt.Fprintln(out, "written")
			continue
		}
		if lines.Text() == "memory" {
			peak, now, err := memory()
			if err != nil {
				return err
			}
			fmt.Fprintln(out, peak, now)
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

// memory returns the peak and the present resident bytes of this process.
func memory() (peak, now int64, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &peak)
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &now)
	}
	return 1024 * peak, 1024 * now, nil
}

// processTime is the CPU time of all threads so far.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatalf("read CPU time: %v", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
