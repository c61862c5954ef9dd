package nn

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// referenceGuests computes guests in float64 from what they are: each is the last token of a longer
// sequence of which the others have not noticed.
func referenceGuests(
	s shape, all []weights, x []float64, guests []float64, in, seqs Sequences,
) []float64 {
	d := s.width()
	one := variant{shape: s}
	one.layers = 1
	guests = slices.Clone(guests)
	for layer := range all {
		next := one.reference(all[layer:layer+1], GELU, x, seqs, nil)
		for i := range len(seqs) - 1 {
			host := x[seqs[i]*d : seqs[i+1]*d]
			for g := in[i]; g < in[i+1]; g++ {
				together := slices.Concat(host, guests[g*d:][:d])
				out := one.reference(all[layer:layer+1], GELU, together, Sequences{0, len(together) / d}, nil)
				copy(guests[g*d:][:d], out[len(host):])
			}
		}
		x = next
	}
	return guests
}

// runGuests runs hosts and guests as a caller does.
func runGuests(t *testing.T, e *Encoder, hosts, guests []float32, in, seqs Sequences) []float32 {
	t.Helper()
	kept := map[int]*Kept{}
	for i := range e.Layers {
		kept[i] = &Kept{QKV: make([]float32, 3*seqs.Rows()*e.Width)}
	}
	if err := e.ForwardKeep(context.Background(), slices.Clone(hosts), seqs, kept); err != nil {
		t.Fatal(err)
	}
	x := slices.Clone(guests)
	if err := e.ForwardGuests(context.Background(), x, in, seqs, kept); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestGuests compares every tier and precision with float64 on shapes that no kernel likes.
func TestGuests(t *testing.T) {
	cases := map[string]struct {
		shape
		seqs, guests Sequences
	}{
		"heads of 32":         {shape{2, 3, 32, 131}, Sequences{0, 37, 38, 101}, Sequences{0, 5, 6, 23}},
		"prime heads":         {shape{2, 3, 7, 41}, Sequences{0, 5, 18, 71}, Sequences{0, 0, 3, 7}},
		"one more than 32":    {shape{3, 2, 32, 64}, Sequences{0, 31, 63}, Sequences{0, 2, 3}},
		"heads of 37":         {shape{1, 2, 37, 53}, Sequences{0, 32}, Sequences{0, 67}},
		"nobody in the first": {shape{2, 2, 16, 29}, Sequences{0, 9, 20}, Sequences{0, 0, 1}},
	}
	everyTier(t, func(t *testing.T) {
		for name, c := range cases {
			r := rand.New(rand.NewPCG(17, 3))
			all := randomWeights(r, c.shape)
			hosts := random(r, c.seqs.Rows()*c.width(), 1)
			guests := random(r, c.guests.Rows()*c.width(), 1)
			want := referenceGuests(c.shape, all, widen(hosts), widen(guests), c.guests, c.seqs)
			for precision, limit := range map[Precision]float64{FP32: 2e-6, BF16: 8e-3} {
				e := build(c.shape, all, GELU, precision)
				got := runGuests(t, e, hosts, guests, c.guests, c.seqs)
				if err := relativeError(got, want); !(err <= limit) {
					t.Errorf("%s, precision %d: relative error %g, limit %g", name, precision, err, limit)
				}
			}
		}
	})
}

// TestGuestsSameBits: neither the number of threads nor other guests change a bit.
func TestGuestsSameBits(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	s, seqs, in := shape{2, 2, 32, 96}, Sequences{0, 40, 77}, Sequences{0, 9, 30}
	r := rand.New(rand.NewPCG(8, 8))
	all := randomWeights(r, s)
	hosts, guests := random(r, seqs.Rows()*s.width(), 1), random(r, in.Rows()*s.width(), 1)
	for _, precision := range []Precision{FP32, Auto} {
		e := build(s, all, GELU, precision)
		e.Threads = 1
		want := runGuests(t, e, hosts, guests, in, seqs)
		e.Threads = 3
		if !slices.Equal(runGuests(t, e, hosts, guests, in, seqs), want) {
			t.Errorf("precision %d: three threads give other bits than one", precision)
		}
		d := s.width()
		alone := runGuests(t, e, hosts, guests[4*d:5*d], Sequences{0, 1, 1}, seqs)
		if !slices.Equal(alone, want[4*d:5*d]) {
			t.Errorf("precision %d: a guest alone has other bits than in company", precision)
		}
	}
}

func TestGuestsStop(t *testing.T) {
	s := shape{1, 1, 4, 5}
	e := build(s, randomWeights(rand.New(rand.NewPCG(1, 1)), s), GELU, FP32)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	kept := map[int]*Kept{0: {QKV: make([]float32, 3*4)}}
	err := e.ForwardGuests(ctx, make([]float32, 4), Sequences{0, 1}, Sequences{0, 1}, kept)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
