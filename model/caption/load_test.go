package caption

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"evident/model/vit"
)

// folder is the small decoder's, in memory.
func folder(t testing.TB) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	for _, name := range []string{"config.json", "model.safetensors", "pieces.txt"} {
		data, err := os.ReadFile("testdata/small/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	return files
}

// TestLoadRefuses: a folder that promises something else than it holds is an error that says what.
func TestLoadRefuses(t *testing.T) {
	for _, c := range []struct{ name, old, with, want string }{
		{"architecture", "EvidentCaption", "Other", "architecture"},
		{"activation", `"gelu"`, `"relu"`, "only gelu"},
		{"width", `"width": 42`, `"width": 45`, "the model needs"},
		{"heads", `"heads": 3`, `"heads": 4`, "do not divide"},
		{"no layer", `"layers": 2`, `"layers": 0`, "layers is 0"},
		{"more layers", `"layers": 2`, `"layers": 3`, "missing"},
		{"fewer layers", `"layers": 2`, `"layers": 1`, "has no place"},
		{"pieces", `"pieces": 67`, `"pieces": 66`, "pieces.txt has 67 lines"},
		{"end", `"end": 0`, `"end": 67`, "end is 67"},
		{"memory", `"rows": 13`, `"rows": 12`, "memory"},
		{"negative memory", `"rows": 13`, `"rows": -1`, "-1 rows"},
		{"kind", `"kind": "captions"`, `"kind": "poems"`, "nothing is remembered"},
		{"temperature", `"temperature": 0.05`, `"temperature": 0`, "temperature of 0"},
		{"beams", `"beams": 3`, `"beams": 0`, "0 beams"},
		{"power", `"length_power": 0.7`, `"length_power": -1`, "power of -1"},
		{"no JSON", `{`, `[`, "config.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := folder(t)
			config := string(files["config.json"].Data)
			if !strings.Contains(config, c.old) {
				t.Fatalf("config.json has no %s", c.old)
			}
			files["config.json"].Data = []byte(strings.Replace(config, c.old, c.with, 1))
			if _, err := Load(files); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
	for _, name := range []string{"config.json", "model.safetensors", "pieces.txt"} {
		files := folder(t)
		delete(files, name)
		if _, err := Load(files); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// texts encodes texts as the table says.
type texts map[string][]float32

func (m texts) EncodeTexts(_ context.Context, asked []string) ([]vit.Text, error) {
	var out []vit.Text
	for _, text := range asked {
		if m[text] == nil {
			return nil, errors.New("no vector of " + text)
		}
		out = append(out, vit.Text{Vector: m[text], Embedding: m[text]})
	}
	return out, nil
}

// TestFits: the model that the decoder was trained for, one whose texts have moved, and one of another size.
func TestFits(t *testing.T) {
	d := load(t)
	moved := append([]float32(nil), d.Probe.Vector...)
	for i := range moved {
		moved[i] += float32(i%2) * 0.1
	}
	var misfit *MisfitError
	if err := d.Fits(context.Background(), texts{d.Probe.Text: d.Probe.Vector}); err != nil {
		t.Errorf("its own model: %v", err)
	}
	for name, vector := range map[string][]float32{"moved": moved, "shorter": d.Probe.Vector[1:]} {
		if err := d.Fits(context.Background(), texts{d.Probe.Text: vector}); !errors.As(err, &misfit) {
			t.Errorf("%s: %v, want a MisfitError", name, err)
		}
	}
	if err := d.Fits(context.Background(), texts{}); err == nil || errors.As(err, &misfit) {
		t.Errorf("a model that fails: %v", err)
	}
}

func TestText(t *testing.T) {
	d := &Decoder{pieces: []string{"a", "snow", "##board", "##er", "'", "s", "t", "-", "shirt", ",", ".", "(", ")", "!"}}
	for _, c := range []struct {
		ids  []int
		want string
	}{
		{nil, ""},
		{[]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 10}, "a snowboarder's t-shirt, a snow."},
		{[]int{0, 11, 1, 12, 13}, "a (snow)!"},
	} {
		if got := d.text(c.ids); got != c.want {
			t.Errorf("%v: %q, want %q", c.ids, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	n := NewNearest([]string{"east", "north", "north east"}, [][]float32{{1, 0}, {0, 1}, {0.6, 0.8}})
	got, err := n.Captions(context.Background(), [][]float32{{0, 1}, {1, 0}}, Region, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{{"north", "north east"}, {"east", "north east"}} {
		if len(got[i]) != 2 || got[i][0].Text != want[0] || got[i][1].Text != want[1] {
			t.Errorf("vector %d: %v, want %v", i, got[i], want)
		}
	}
	if all, err := n.Captions(context.Background(), [][]float32{{0, 1}}, Region, 9); err != nil || len(all[0]) != 3 {
		t.Errorf("more than there are: %v, %v", all, err)
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if _, err := n.Captions(ended, [][]float32{{0, 1}}, Region, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v", err)
	}
}
