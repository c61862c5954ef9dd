package nn

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"evident/internal/pack"
)

// openCache opens the cache of a model whose weights are said to be in a file.
func openCache(t *testing.T, dir, precision string) *pack.Cache {
	t.Helper()
	later := func() time.Time { return time.Now().Add(10 * time.Second) }
	o := pack.Options{Dir: filepath.Join(dir, "cache"), Precision: precision, Now: later}
	c := pack.Open(os.DirFS(dir), []string{"model.safetensors"}, o)
	if c == nil {
		t.Fatal("there is no cache")
	}
	return c
}

// TestLoadLinear: a layer from a cache computes the same bits as one that was packed, in every tier.
func TestLoadLinear(t *testing.T) {
	everyTier(t, func(t *testing.T) {
		for _, asked := range []Precision{Auto, FP32, BF16, Int8} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("weights"), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, size := range [][2]int{{1, 1}, {7, 31}, {32, 32}, {65, 97}, {384, 1152}} {
				in, out := size[0], size[1]
				const m = 17
				r := rand.New(rand.NewPCG(uint64(in), uint64(out)))
				weight, bias, x := random(r, in*out, 1), random(r, out, 1), random(r, m*in, 1)
				if out == 97 {
					bias = nil
				}
				name := fmt.Sprintf("%dx%d", out, in)
				forward := func(l *Linear) []float32 {
					y := make([]float32, m*out)
					l.Forward(y, x, m)
					return y
				}
				plain := NewLinear(weight, bias, in, out, asked)
				want := forward(plain)
				for _, state := range []pack.State{pack.Made, pack.Used} {
					c := openCache(t, dir, asked.Native().String())
					l, err := LoadLinear(c, name, in, out, asked, func() ([]float32, []float32, error) {
						if state == pack.Used {
							return nil, nil, errors.New("weights are read although they are packed")
						}
						return weight, bias, nil
					})
					if err != nil {
						t.Fatal(err)
					}
					c.Keep()
					if got := c.Report().State; got != state {
						t.Fatalf("%v %s: %v", asked, name, c.Report())
					}
					if got := forward(l); !slices.Equal(got, want) {
						t.Errorf("%v %s, %s: other outputs than without a cache", asked, name, state)
					}
					if l.Precision() != plain.Precision() || !slices.Equal(l.Weight(), plain.Weight()) {
						t.Errorf("%v %s, %s: another weight than without a cache", asked, name, state)
					}
				}
			}
		}
	})
}

// TestPanelsStayMapped: a layer's panels are there for as long as the layer is, also when it is dropped
// while it computes and the collector is always at work. Memory that is given back too early ends the
// process.
func TestPanelsStayMapped(t *testing.T) {
	const in, out, m = 129, 257, 33
	dir, r := t.TempDir(), rand.New(rand.NewPCG(1, 2))
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("weights"), 0o600); err != nil {
		t.Fatal(err)
	}
	weight, x := random(r, in*out, 1), random(r, m*in, 1)
	loaded := func() *Linear {
		c := openCache(t, dir, "fp32")
		l, err := LoadLinear(c, "w", in, out, FP32, func() ([]float32, []float32, error) {
			return weight, nil, nil
		})
		if err != nil {
			t.Error(err)
		}
		c.Keep()
		return l
	}
	want := make([]float32, m*out)
	loaded().Forward(want, x, m) // and the file is made
	done := make(chan struct{})
	var collector, users sync.WaitGroup
	collector.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
			}
		}
	})
	for range 4 {
		users.Go(func() {
			y := make([]float32, m*out)
			for range 25 {
				l := loaded()
				runtime.GC()
				if l.Forward(y, x, m); !slices.Equal(y, want) {
					t.Error("other outputs")
				}
			}
		})
	}
	users.Wait()
	close(done)
	collector.Wait()
}

func TestLoadLinearError(t *testing.T) {
	broken := errors.New("broken")
	l, err := LoadLinear(nil, "", 2, 3, Auto, func() ([]float32, []float32, error) { return nil, nil, broken })
	if l != nil || !errors.Is(err, broken) {
		t.Errorf("%v, %v", l, err)
	}
}

// TestLayoutIsPinned: caches hold what is packed here. Does this test fail, then old caches are no
// longer what the kernels read: raise pack.Layout, and put the new digests here.
func TestLayoutIsPinned(t *testing.T) {
	if pack.Layout != 1 {
		t.Fatalf("layout %d: the digests below are of 1", pack.Layout)
	}
	want := map[Precision]string{
		FP32: "4c19d75aa10b3d34",
		BF16: "5a56a1d4780497ca",
		Int8: "cdd5fb674a41fd6b",
	}
	const in, out = 71, 45
	weight, bias := make([]float32, in*out), make([]float32, out)
	for i := range weight {
		weight[i] = float32(i*i%8191-4096) / 777
	}
	for i := range bias {
		bias[i] = float32(i) / 3
	}
	everyTier(t, func(t *testing.T) {
		for precision, digest := range want {
			if precision.Native() != precision {
				t.Logf("%v NOT TESTED: this tier has none of its own", precision)
				continue
			}
			l := NewLinear(weight, bias, in, out, precision)
			sum := sha256.New()
			for _, part := range [][]byte{
				pack.Raw(l.f32), pack.Raw(l.bf16), pack.Raw(l.int8), pack.Raw(l.scales), pack.Raw(l.offset),
				pack.Raw(l.bias),
			} {
				sum.Write(part)
			}
			if got := hex.EncodeToString(sum.Sum(nil)[:8]); got != digest {
				t.Errorf("%v: packed bytes have digest %s, want %s", precision, got, digest)
			}
		}
	})
}
