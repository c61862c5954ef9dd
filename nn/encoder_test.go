package nn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"evident/internal/kernel"
)

// TestEncoder compares every tier and precision with float64 on shapes that no kernel likes.
func TestEncoder(t *testing.T) {
	cases := map[string]struct {
		shape
		seqs       Sequences
		activation Activation
	}{
		"heads of 32":        {shape{2, 3, 32, 131}, Sequences{0, 37, 38, 101}, GELU},
		"heads of 64":        {shape{2, 2, 64, 257}, Sequences{0, 1, 97}, GELUTanh},
		"prime heads":        {shape{2, 3, 7, 41}, Sequences{0, 5, 5, 18, 71}, QuickGELU},
		"even, not of 32":    {shape{2, 5, 26, 67}, Sequences{0, 43, 76}, GELU},
		"one odd head":       {shape{2, 1, 37, 53}, Sequences{0, 19}, ReLU},
		"a long sequence":    {shape{1, 1, 32, 33}, Sequences{0, 613}, GELU},
		"larger than a tile": {shape{1, 2, 80, 96}, Sequences{0, 29}, GELU},
	}
	everyTier(t, func(t *testing.T) {
		for name, c := range cases {
			r := rand.New(rand.NewPCG(11, 3))
			all := randomWeights(r, c.shape)
			input := random(r, c.seqs.Rows()*c.width(), 1)
			want := reference(c.shape, all, c.activation, input, c.seqs)
			for precision, limit := range map[Precision]float64{
				FP32: 2e-6, BF16: 8e-3, Auto: 8e-3, Int8: 3e-2,
			} {
				if precision == Int8 && !kernel.Active().HasInt8() {
					t.Log("this tier multiplies no bytes here: int8 is not tested")
					continue
				}
				if precision != Int8 && precision != FP32 && !kernel.Active().HasBF16() {
					limit = 2e-6 // falls back to float32
				}
				x := slices.Clone(input)
				e := build(c.shape, all, c.activation, precision)
				if err := e.Forward(context.Background(), x, c.seqs); err != nil {
					t.Fatal(err)
				}
				err := relativeError(x, want)
				t.Logf("%s, precision %d: relative error %.2g", name, precision, err)
				if !(err <= limit) {
					t.Errorf("%s, precision %d: relative error %g, limit %g", name, precision, err, limit)
				}
			}
		}
	})
}

// TestEncoderKeyBias: a key bias far larger than the keys costs no digits.
func TestEncoderKeyBias(t *testing.T) {
	s, seqs := shape{2, 3, 32, 131}, Sequences{0, 37, 101}
	everyTier(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(4, 4))
		all := randomWeights(r, s)
		for _, w := range all {
			copy(w.qkvBias[s.width():], random(r, s.width(), 30))
		}
		input := random(r, seqs.Rows()*s.width(), 1)
		want := reference(s, all, GELU, input, seqs)
		for precision, limit := range map[Precision]float64{FP32: 2e-6, BF16: 8e-3} {
			x := slices.Clone(input)
			e := build(s, all, GELU, precision)
			if err := e.Forward(context.Background(), x, seqs); err != nil {
				t.Fatal(err)
			}
			if err := relativeError(x, want); !(err <= limit) {
				t.Errorf("precision %d: relative error %g, limit %g", precision, err, limit)
			}
		}
	})
}

// TestEncoderSameBits: neither the number of threads nor the company in a batch changes a bit.
func TestEncoderSameBits(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(5))
	s := shape{2, 4, 32, 512}
	seqs := Sequences{0, 211, 240, 241, 450}
	if testing.Short() {
		s, seqs = shape{1, 2, 32, 160}, Sequences{0, 131, 160, 161, 210}
	}
	everyTier(t, func(t *testing.T) {
		for _, precision := range []Precision{FP32, BF16, Int8} {
			r := rand.New(rand.NewPCG(5, 6))
			all := randomWeights(r, s)
			input := random(r, seqs.Rows()*s.width(), 1)
			e := build(s, all, GELU, precision)
			var want []float32
			for _, n := range []int{1, 2, 5} {
				e.Threads = n
				x := slices.Clone(input)
				if err := e.Forward(context.Background(), x, seqs); err != nil {
					t.Fatal(err)
				}
				if want == nil {
					want = x
				} else if !slices.Equal(x, want) {
					t.Errorf("precision %d: %d threads give other bits than one", precision, n)
				}
			}
			for i := range len(seqs) - 1 {
				from, to := seqs[i]*s.width(), seqs[i+1]*s.width()
				x := slices.Clone(input[from:to])
				if err := e.Forward(context.Background(), x, Sequences{0, seqs[i+1] - seqs[i]}); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(x, want[from:to]) {
					t.Errorf("precision %d: sequence %d alone gives other bits than in a batch", precision, i)
				}
			}
		}
	})
}

// TestEncoderConcurrent: callers share an encoder and its workers without touching each other.
func TestEncoderConcurrent(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	s := shape{2, 2, 32, 256}
	r := rand.New(rand.NewPCG(9, 9))
	e := build(s, randomWeights(r, s), GELU, Auto)
	run := func(rows int) []float32 {
		x := random(rand.New(rand.NewPCG(1, uint64(rows))), rows*s.width(), 1)
		if err := e.Forward(context.Background(), x, Sequences{0, rows}); err != nil {
			t.Error(err)
		}
		return x
	}
	var wait sync.WaitGroup
	for rows := 100; rows < 108; rows++ {
		want := run(rows)
		wait.Go(func() {
			for range 10 {
				if !slices.Equal(run(rows), want) {
					t.Errorf("%d rows: other bits with company", rows)
				}
			}
		})
	}
	wait.Wait()
}

// cancelled is a context that ends after it was asked so many times.
type cancelled struct {
	context.Context
	left int
}

func (c *cancelled) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestEncoderCancel(t *testing.T) {
	s := shape{3, 2, 8, 16}
	r := rand.New(rand.NewPCG(1, 1))
	e := build(s, randomWeights(r, s), GELU, FP32)
	ctx := &cancelled{context.Background(), 2}
	err := e.Forward(ctx, random(r, 3*s.width(), 1), Sequences{0, 3})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v after two layers, want %v", err, context.Canceled)
	}
}

// TestEncoderCancelInBatch: a large batch ends in the middle of a layer.
func TestEncoderCancelInBatch(t *testing.T) {
	s := shape{1, 2, 8, 16}
	r := rand.New(rand.NewPCG(1, 2))
	e := build(s, randomWeights(r, s), GELU, FP32)
	const rows = 1000 // two such sequences are two groups
	x := random(r, 2*rows*s.width(), 1)
	before := slices.Clone(x[rows*s.width():])
	ctx := &cancelled{context.Background(), 1}
	if err := e.Forward(ctx, x, Sequences{0, rows, 2 * rows}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v after one group, want %v", err, context.Canceled)
	}
	if !slices.Equal(x[rows*s.width():], before) {
		t.Error("the second group was computed after the context ended")
	}
}

func TestGroups(t *testing.T) {
	for _, c := range []struct {
		seqs Sequences
		want string
	}{
		{Sequences{0}, "[]"},
		{Sequences{0, 0}, "[]"},
		{Sequences{0, 5}, "[{0 0 [0 5]}]"},
		{Sequences{0, 5, 10, 11}, "[{0 0 [0 5 10]} {10 50 [0 1]}]"},
		{Sequences{0, 30, 31, 60}, "[{0 0 [0 30]} {30 900 [0 1]} {31 901 [0 29]}]"},
		{Sequences{0, 10, 10, 20}, "[{0 0 [0 10 10]} {10 100 [0 10]}]"},
	} {
		if got := fmt.Sprint(c.seqs.groups(10)); got != c.want {
			t.Errorf("%v: got %s, want %s", c.seqs, got, c.want)
		}
	}
}

func BenchmarkEncoder(b *testing.B) {
	for _, c := range []struct {
		name string
		shape
		tokens int
	}{
		{"6x384-256", shape{6, 12, 32, 1536}, 256},
		{"12x384-192", shape{12, 12, 32, 1536}, 192},
		{"2x768-197", shape{2, 12, 64, 3072}, 197},
		{"2x768-785", shape{2, 12, 64, 3072}, 785},
	} {
		r := rand.New(rand.NewPCG(1, 1))
		all := randomWeights(r, c.shape)
		input, x := random(r, c.tokens*c.width(), 1), make([]float32, c.tokens*c.width())
		d, wide, n := float64(c.width()), float64(c.wide), float64(c.tokens)
		flop := float64(c.layers) * n * (2*d*(4*d+2*wide) + 4*n*d)
		for _, precision := range []Precision{FP32, BF16, Int8} {
			for _, threads := range []int{1, 2} {
				e := build(c.shape, all, GELU, precision)
				e.Threads = threads
				kind := [...]string{FP32: "fp32", BF16: "bf16", Int8: "int8"}[precision]
				name := fmt.Sprintf("%s/%s/threads-%d", c.name, kind, threads)
				b.Run(name, func(b *testing.B) {
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
					least := math.Inf(1)
					for b.Loop() {
						copy(x, input)
						start := clock(b)
						if err := e.Forward(context.Background(), x, Sequences{0, c.tokens}); err != nil {
							b.Fatal(err)
						}
						least = min(least, float64(clock(b)-start))
					}
					b.ReportMetric(flop*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOPS")
					if threads == 1 { // processor time, the least of all rounds
						b.ReportMetric(flop/least, "GFLOPS-best")
					}
				})
			}
		}
	}
}
