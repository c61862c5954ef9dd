package bert

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"evident/internal/tokenize"
	"evident/internal/weights"
	"evident/nn"
)

// The goldens are written by tools/ref/encoders.py with transformers.

// golden is a file of reference outputs with its inputs.
type golden struct {
	file   *weights.File
	inputs []goldenInput
}

type goldenInput struct {
	First, Second string
	IDs, Types    []int32
}

func (g *goldenInput) pair() Pair {
	p := Pair{Types: g.Types}
	for _, id := range g.IDs {
		p.Tokens = append(p.Tokens, tokenize.Token{ID: id, Start: -1, End: -1})
	}
	return p
}

func openGolden(t testing.TB, path string) (g golden, pairs []Pair) {
	t.Helper()
	var err error
	if g.file, err = weights.Open(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.file.Close() })
	if err := json.Unmarshal([]byte(g.file.Metadata()["inputs"]), &g.inputs); err != nil {
		t.Fatal(err)
	}
	for i := range g.inputs {
		pairs = append(pairs, g.inputs[i].pair())
	}
	return g, pairs
}

// precisions are the bounds: the largest error in float32, the relative root mean square in
// bfloat16. Merely rounding both factors of all linear products to bfloat16, with all else in
// float32, costs 5.0e-3 on the inputs of minilm.safetensors (tools/ref/encoders.py rounding), and
// 5.3e-3 with queries, keys and values rounded too; the last layer's products into the stream are
// float32 for that reason. Bytes have no bar, but a bound that a broken scale exceeds:
// all-MiniLM-L6-v2 has values that spend most of a scale, and errs by 7.5e-2. The few terms of the
// small models do not average out.
var precisions = []struct {
	name      string
	precision nn.Precision
	largest   float64
	rms       float64
	rmsSmall  float64
}{
	{"fp32", nn.FP32, 1e-4, 1e-5, 1e-5},
	{"bf16", nn.BF16, math.Inf(1), 5e-3, 2e-2},
	{"int8", nn.Int8, math.Inf(1), 1e-1, 1e-1},
}

// compare checks got against the golden tensor of that name.
func (g *golden) compare(t *testing.T, name string, got []float32, largest, rms float64) {
	t.Helper()
	tensor, err := g.file.Raw(name)
	if err != nil {
		t.Fatal(err)
	}
	want, err := g.file.Float32(name, tensor.Shape...)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%s has %d values, want %d", name, len(got), len(want))
	}
	worst, at, square, all := 0.0, 0, 0.0, 0.0
	for i, w := range want {
		d := math.Abs(float64(got[i]) - float64(w))
		if !(d <= worst) {
			worst, at = d, i
		}
		square += d * d
		all += float64(w) * float64(w)
	}
	relative := math.Sqrt(square / all)
	t.Logf("%s: largest error %.2g, relative RMS %.4g", name, worst, relative)
	if !(worst <= largest && relative <= rms) {
		t.Errorf("%s: error %g at %d: got %g, want %g (allowed %g); relative RMS %g (allowed %g)",
			name, worst, at, got[at], want[at], largest, relative, rms)
	}
}

func testdata(kind string) string { return filepath.Join("testdata", kind) }

func load(t testing.TB, folder string, p nn.Precision) *Model {
	t.Helper()
	m, err := Load(os.DirFS(folder), Options{Precision: p})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSmallModelsEqualReference(t *testing.T) {
	for _, kind := range []string{
		"bert", "bert-qa", "bert-quick", "roberta", "roberta-qa", "distilbert", "distilbert-qa",
		"joint",
	} {
		for _, p := range precisions {
			t.Run(kind+"/"+p.name, func(t *testing.T) {
				m := load(t, testdata(kind), p.precision)
				g, pairs := openGolden(t, filepath.Join(testdata(kind), "golden.safetensors"))
				h, err := m.Encode(context.Background(), pairs)
				if err != nil {
					t.Fatal(err)
				}
				check := func(name string, got []float32) {
					t.Helper()
					g.compare(t, name, got, p.largest, p.rmsSmall)
				}
				check("hidden", h.Rows)
				if (m.QA() != nil) != (kind == "bert-qa" || kind == "roberta-qa" ||
					kind == "distilbert-qa") || (m.Joint() != nil) != (kind == "joint") {
					t.Fatalf("heads: %v, %v", m.QA(), m.Joint())
				}
				if p.precision != nn.FP32 {
					return // heads compute in float32 always
				}
				if qa := m.QA(); qa != nil {
					start, end := qa.Logits(h)
					check("start", start)
					check("end", end)
				}
				if joint := m.Joint(); joint != nil {
					l := joint.Logits(h)
					check("start", l.Start)
					check("end", l.End)
					var both []float32
					for i := range l.Relevance {
						both = append(both, l.Relevance[i], l.Answerability[i])
					}
					check("pair", both)
				}
			})
		}
	}
}

// TestInputsDoNotMix checks that an input gives the same rows alone and in company, in any order.
func TestInputsDoNotMix(t *testing.T) {
	m := load(t, testdata("bert"), nn.FP32)
	_, pairs := openGolden(t, filepath.Join(testdata("bert"), "golden.safetensors"))
	together, err := m.Encode(context.Background(), pairs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range pairs {
		alone, err := m.Encode(context.Background(), pairs[i:i+1])
		if err != nil {
			t.Fatal(err)
		}
		for k := range pairs[i].Tokens {
			for c, v := range together.Row(i, k) {
				if d := math.Abs(float64(alone.Row(0, k)[c] - v)); d > 1e-6 {
					t.Fatalf("input %d, token %d differs by %g", i, k, d)
				}
			}
		}
	}
	if none, err := m.Encode(context.Background(), nil); err != nil || len(none.Rows) != 0 {
		t.Errorf("no inputs: %v, %v", none, err)
	}
}

// TestMiniLMEqualsReference runs a real checkpoint, tokenizer included.
func TestMiniLMEqualsReference(t *testing.T) {
	folder := os.Getenv("EVIDENT_TEST_MINILM")
	if folder == "" {
		t.Skip("all-MiniLM-L6-v2 is absent: make it with `python tools/ref/minilm.py FOLDER` and " +
			"set EVIDENT_TEST_MINILM=FOLDER")
	}
	for _, p := range precisions {
		t.Run(p.name, func(t *testing.T) {
			m := load(t, folder, p.precision)
			g, _ := openGolden(t, "testdata/minilm.safetensors")
			var inputs []Pair
			for _, in := range g.inputs {
				tok := m.Tokenizer()
				pair := tok.EncodeOne(tok.Tokens(in.Second), m.TokensMax())
				if in.First != "" {
					pair = tok.EncodePair(tok.Tokens(in.First), tok.Tokens(in.Second), m.TokensMax())
				}
				if fmt.Sprint(in.pair().Types) != fmt.Sprint(pair.Types) || !sameIDs(in.IDs, pair) {
					t.Fatalf("%q and %q: tokens %v, want %v", in.First, in.Second, pair, in.IDs)
				}
				inputs = append(inputs, pair)
			}
			h, err := m.Encode(context.Background(), inputs)
			if err != nil {
				t.Fatal(err)
			}
			g.compare(t, "hidden", h.Rows, p.largest, p.rms)
		})
	}
}

func sameIDs(ids []int32, p Pair) bool {
	return slices.EqualFunc(ids, p.Tokens, func(id int32, t tokenize.Token) bool { return id == t.ID })
}

func BenchmarkLoadMiniLM(b *testing.B) {
	folder := os.Getenv("EVIDENT_TEST_MINILM")
	if folder == "" {
		b.Skip("all-MiniLM-L6-v2 is absent: see TestMiniLMEqualsReference")
	}
	for b.Loop() {
		load(b, folder, nn.Auto)
	}
}

func BenchmarkEncodeMiniLM(b *testing.B) {
	folder := os.Getenv("EVIDENT_TEST_MINILM")
	if folder == "" {
		b.Skip("all-MiniLM-L6-v2 is absent: see TestMiniLMEqualsReference")
	}
	m := load(b, folder, nn.Auto)
	_, pairs := openGolden(b, "testdata/minilm.safetensors")
	for b.Loop() {
		if _, err := m.Encode(context.Background(), pairs); err != nil {
			b.Fatal(err)
		}
	}
}
