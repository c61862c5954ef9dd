package caption

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"evident/internal/goldentest"
)

func load(t testing.TB) *Decoder {
	t.Helper()
	d, err := Load(os.DirFS("testdata/small"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// vectorsOf returns the rows of a golden array.
func vectorsOf(t testing.TB, a *goldentest.Arrays, name string, size int) [][]float32 {
	t.Helper()
	values, shape := a.Floats(t, name)
	if shape[1] != size {
		t.Fatalf("%s is %v, want rows of %d", name, shape, size)
	}
	return slices.Collect(slices.Chunk(values, size))
}

// TestLogits compares every next piece's logits with torch, in every tier.
func TestLogits(t *testing.T) {
	a := goldentest.Open(t, "testdata/small")
	ids, shape := a.Ints(t, "ids")
	goldentest.EachTier(t, func(t *testing.T) {
		d := load(t)
		var got []float32
		for i, vector := range vectorsOf(t, a, "vectors", d.Size) {
			first := make([]float32, d.width)
			d.prefix.Forward(first, vector, 1)
			b := &beam{first: first}
			for at := range shape[1] + 1 {
				logits, err := d.next(context.Background(), []*beam{b})
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, logits...)
				if at < shape[1] {
					b = b.longer(int(ids[i*shape[1]+at]), 0)
				}
			}
		}
		a.Compare(t, "logits", got, 2e-4, false)
	})
}

// TestProjection compares the projection on each kind's memory.
func TestProjection(t *testing.T) {
	a, d := goldentest.Open(t, "testdata/small"), load(t)
	for _, kind := range []Kind{Picture, Region} {
		var got []float32
		for _, v := range vectorsOf(t, a, "vectors", d.Size) {
			got = append(got, d.Project(v, kind)...)
		}
		a.Compare(t, kind.String(), got, 1e-5, false)
	}
}

// written is a caption of the golden file: text and likelihood.
type written [2]any

// TestCaptions: greedy and with beams, the captions that a search over the whole distribution finds, in every tier, all
// vectors together and each by itself.
func TestCaptions(t *testing.T) {
	a := goldentest.Open(t, "testdata/small")
	data, err := os.ReadFile(filepath.Join("testdata", "small", "captions.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string][][]written
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	goldentest.EachTier(t, func(t *testing.T) {
		for _, kind := range []Kind{Picture, Region} {
			for _, beams := range []int{1, 3} {
				d := load(t)
				r := d.Reading()
				r.Beams = beams
				d, err := d.With(r)
				if err != nil {
					t.Fatal(err)
				}
				vectors := vectorsOf(t, a, "vectors", d.Size)
				together, err := d.Captions(context.Background(), vectors, kind, beams)
				if err != nil {
					t.Fatal(err)
				}
				for i, want := range golden[kind.String()+" "+strconv.Itoa(beams)] {
					compareCaptions(t, together[i], want)
					alone, err := d.Captions(context.Background(), vectors[i:i+1], kind, beams)
					if err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(alone[0], together[i]) {
						t.Errorf("%v %d: %v in company, %v alone", kind, i, together[i], alone[0])
					}
				}
			}
		}
	})
}

func compareCaptions(t *testing.T, got []Caption, want []written) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d captions, want %d", len(got), len(want))
		return
	}
	for i, c := range got {
		likelihood := want[i][1].(float64)
		if c.Text != want[i][0] || math.Abs(c.Likelihood-likelihood) > 1e-4 {
			t.Errorf("caption %d is %q (%.5f), want %q (%.5f)", i, c.Text, c.Likelihood, want[i][0], likelihood)
		}
	}
}
