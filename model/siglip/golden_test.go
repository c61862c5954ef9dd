package siglip_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"evident/internal/kernel"
	"evident/legrad"
	"evident/model/siglip"
	"evident/model/vit"
	"evident/nn"
)

// sharedGolden are the authors' packages' results on tiny random models (its README has the tolerances).
const sharedGolden = "../../../shared/golden/vision"

// array is a .npy file.
type array struct {
	shape  []int
	values []float64
}

var npyHeader = regexp.MustCompile(`'descr': '<([fi])(\d)', 'fortran_order': False, 'shape': \(([\d, ]*)\)`)

func readArray(t testing.TB, path string) (a array, ok bool) {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, false
	}
	if err != nil {
		t.Fatal(err)
	}
	end := 10 + int(binary.LittleEndian.Uint16(data[8:]))
	header := npyHeader.FindSubmatch(data[:end])
	if header == nil {
		t.Fatalf("%s: header %q", path, data[:end])
	}
	for part := range strings.SplitSeq(string(header[3]), ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(part)); err == nil {
			a.shape = append(a.shape, n)
		}
	}
	for body := bytes.NewReader(data[end:]); body.Len() > 0; {
		switch string(header[1]) + string(header[2]) {
		case "f4":
			var v float32
			err = binary.Read(body, binary.LittleEndian, &v)
			a.values = append(a.values, float64(v))
		case "i8":
			var v int64
			err = binary.Read(body, binary.LittleEndian, &v)
			a.values = append(a.values, float64(v))
		default:
			t.Fatalf("%s: type %s", path, header[1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return a, true
}

func (a array) floats() []float32 {
	out := make([]float32, len(a.values))
	for i, v := range a.values {
		out[i] = float32(v)
	}
	return out
}

// rows returns the ids of texts.
func (a array) rows() (rows [][]int32) {
	for row := range slices.Chunk(a.values, a.shape[1]) {
		var ids []int32
		for _, v := range row {
			ids = append(ids, int32(v))
		}
		rows = append(rows, ids)
	}
	return rows
}

// compare reports the largest difference, relative to the largest value where asked for.
func compare(t *testing.T, name string, got []float32, want array, relative bool, limit float64) {
	t.Helper()
	if len(got) != len(want.values) {
		t.Errorf("%s has %d values, want %d", name, len(got), len(want.values))
		return
	}
	worst, at, scale := 0.0, 0, 1.0
	if relative {
		scale = slices.Max(want.values)
	}
	for i := range got {
		if d := math.Abs(float64(got[i])-want.values[i]) / scale; !(d <= worst) {
			worst, at = d, i
		}
	}
	t.Logf("%-40s %.1e", name, worst)
	if !(worst <= limit) {
		t.Errorf("%s: value %d is %g, want %g (difference %.2g, limit %g)", name, at, got[at], want.values[at], worst, limit)
	}
}

func embeddings(texts []vit.Text) (vectors []float32, units [][]float32) {
	for _, text := range texts {
		vectors, units = append(vectors, text.Vector...), append(units, text.Embedding)
	}
	return vectors, units
}

func flatten(maps [][]float32) []float32 { return slices.Concat(maps...) }

// TestSharedGolden compares both layouts with the authors' packages, in every tier.
func TestSharedGolden(t *testing.T) {
	for _, folder := range []string{"siglip_tiny", "hf_siglip_tiny"} {
		path := filepath.Join(sharedGolden, folder)
		if _, err := os.Stat(path); err != nil {
			t.Skip("skipped: the shared golden values are not here:", err)
		}
		for tier := kernel.Generic; tier <= kernel.AVX512BF16; tier++ {
			t.Run(folder+"/"+tier.String(), func(t *testing.T) {
				restore, err := kernel.Force(tier)
				if err != nil {
					t.Skipf("NOT TESTED: %v", err)
				}
				defer restore()
				m, err := siglip.Load(os.DirFS(path), siglip.Options{Precision: nn.FP32})
				if err != nil {
					t.Fatal(err)
				}
				testGolden(t, m, path)
			})
		}
	}
}

// testGolden compares everything that a folder has.
func testGolden(t *testing.T, m *vit.Model, path string) {
	ctx := context.Background()
	open := func(name string) (array, bool) { return readArray(t, filepath.Join(path, name+".npy")) }
	texts := map[string][][]float32{}
	for in, out := range map[string]string{"in_tokens": "out_text_embedding", "in_tokens_empty": "out_text_embedding_empty"} {
		ids, _ := open(in)
		encoded, err := m.Texts.(*siglip.Texts).EncodeIDs(ctx, ids.rows())
		if err != nil {
			t.Fatal(err)
		}
		want, _ := open(out)
		var vectors []float32
		vectors, texts[in] = embeddings(encoded)
		compare(t, out, vectors, want, false, 1e-4)
	}
	seen := 0
	for _, tag := range []string{"", "_g8", "_g6"} {
		pixels, ok := open("in_image" + tag)
		if !ok {
			continue
		}
		h, w := pixels.shape[2], pixels.shape[3]
		for layers, list := range map[string][]int{"last2": {2, 3}, "all": {0, 1, 2, 3}} {
			e, err := legrad.New(m.Tower, legrad.Options{Layers: list, Precision: nn.FP32})
			if err != nil {
				t.Fatal(err)
			}
			im, err := e.Encode(ctx, pixels.floats(), h, w)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := open("out_image_embedding" + tag)
			compare(t, "out_image_embedding"+tag, im.Vector, want, false, 1e-4)
			for in, out := range map[string]string{"in_tokens": "out_legrad_layers", "in_tokens_empty": "out_legrad_layers_empty"} {
				maps, err := im.LayerRelevance(ctx, texts[in])
				if err != nil {
					t.Fatal(err)
				}
				var all []float32
				for _, layer := range maps {
					all = append(all, flatten(layer)...)
				}
				if want, ok := open(out + tag); ok && layers == "all" {
					compare(t, out+tag, all, want, true, 1e-4)
					seen++
				}
			}
		}
	}
	if seen < 2 {
		t.Errorf("only %d golden maps were compared", seen)
	}
}
