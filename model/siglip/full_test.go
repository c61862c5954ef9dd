package siglip_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"evident/internal/weights"
	"evident/legrad"
	"evident/model/siglip"
	"evident/model/vit"
	"evident/nn"
)

// fullSize are the tensors of SigLIP ViT-B/16 at 224 pixels by OpenCLIP's names, 203 million values, all cut from
// one piece of random ones. Norms are near 1, or the stream would die away.
func fullSize() map[string]weights.Tensor {
	const d, wide, vocabulary, places = 768, 3072, 32000, 64
	rng := rand.New(rand.NewPCG(4, 2))
	values := func(n int, shift, scale float64) []byte {
		data := make([]byte, 0, 2*n)
		for range n {
			bits := math.Float32bits(float32(shift + rng.NormFloat64()*scale))
			data = binary.LittleEndian.AppendUint16(data, uint16(bits>>16))
		}
		return data
	}
	small, near1 := values(vocabulary*d, 0, 0.04), values(d, 1, 0.1)
	all := map[string]weights.Tensor{}
	add := func(name string, shape ...int) {
		size, data := 2, small
		for _, n := range shape {
			size *= n
		}
		if strings.Contains(name, "norm") && strings.HasSuffix(name, "weight") || strings.Contains(name, "ln_") {
			data = near1
		}
		all[name] = weights.Tensor{DType: weights.BF16, Shape: shape, Data: data[:size]}
	}
	linear := func(name string, out, in int) {
		add(name+".weight", out, in)
		add(name+".bias", out)
	}
	norm := func(name string) {
		add(name+".weight", d)
		add(name+".bias", d)
	}
	const trunk, pool = "visual.trunk.", "visual.trunk.attn_pool."
	for i := range 12 {
		at, texts := fmt.Sprintf("%sblocks.%d.", trunk, i), fmt.Sprintf("text.transformer.resblocks.%d.", i)
		for _, name := range []string{at + "norm1", at + "norm2", texts + "ln_1", texts + "ln_2"} {
			norm(name)
		}
		linear(at+"attn.qkv", 3*d, d)
		add(texts+"attn.in_proj_weight", 3*d, d)
		add(texts+"attn.in_proj_bias", 3*d)
		linear(at+"attn.proj", d, d)
		linear(texts+"attn.out_proj", d, d)
		linear(at+"mlp.fc1", wide, d)
		linear(texts+"mlp.c_fc", wide, d)
		linear(at+"mlp.fc2", d, wide)
		linear(texts+"mlp.c_proj", d, wide)
	}
	add(trunk+"patch_embed.proj.weight", d, 3, 16, 16)
	add(trunk+"patch_embed.proj.bias", d)
	add(trunk+"pos_embed", 1, 14*14, d)
	norm(trunk + "norm")
	add(pool+"latent", 1, 1, d)
	for name, out := range map[string]int{"q": d, "kv": 2 * d, "proj": d, "mlp.fc1": wide} {
		linear(pool+name, out, d)
	}
	linear(pool+"mlp.fc2", d, wide)
	norm(pool + "norm")
	add("text.token_embedding.weight", vocabulary, d)
	add("text.positional_embedding", places, d)
	norm("text.ln_final")
	linear("text.text_projection", d, d)
	add("logit_scale")
	add("logit_bias")
	return all
}

// TestFullSize: SigLIP ViT-B/16 loads from a folder, encodes and is explained; it says how long that takes and
// how much memory. It is asked for by EVIDENT_TEST_FULL=1.
func TestFullSize(t *testing.T) {
	if os.Getenv("EVIDENT_TEST_FULL") == "" {
		t.Skip("skipped: it writes 400 MB and takes 1 GB of memory: set EVIDENT_TEST_FULL=1")
	}
	folder := t.TempDir()
	file, err := os.Create(filepath.Join(folder, openWeights))
	if err != nil {
		t.Fatal(err)
	}
	if err := weights.Write(file, fullSize(), nil); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	config := `{"model_cfg":{"embed_dim":768,"custom_text":true,"vision_cfg":{"image_size":224,
		"timm_model_name":"vit_base_patch16_siglip_224","timm_pool":"map","timm_proj":"none"},
		"text_cfg":{"context_length":64,"vocab_size":32000,"width":768,"heads":12,"layers":12,
		"no_causal_mask":true,"proj_bias":true,"pool_type":"last","norm_kwargs":{"eps":1e-6}}}}`
	if err := os.WriteFile(filepath.Join(folder, openConfig), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, precision := range []nn.Precision{nn.Auto, nn.FP32} {
		start := time.Now()
		m, err := siglip.LoadOpen(os.DirFS(folder), siglip.Options{Precision: precision})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("precision %d: loaded in %v, %s", precision, time.Since(start).Round(time.Millisecond), m.Name)
		testFullSize(t, m)
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "VmHWM") {
				t.Log("peak memory, what writes the file included: ", strings.TrimSpace(line))
			}
		}
	}
}

func testFullSize(t *testing.T, m *vit.Model) {
	ctx := context.Background()
	fastest := func(name string, run func() error) {
		best := time.Duration(math.MaxInt64)
		for range 3 {
			start := time.Now()
			if err := run(); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(start))
		}
		t.Logf("%-32s %v", name, best.Round(10*time.Microsecond))
	}
	inputs := [][]int32{make([]int32, 64)}
	var texts []vit.Text
	fastest("a text", func() (err error) {
		texts, err = m.Texts.(*siglip.Texts).Tower.Encode(ctx, inputs)
		return err
	})
	rng := rand.New(rand.NewPCG(7, 7))
	for _, size := range [][2]int{{224, 224}, {336, 448}} {
		pixels := make([]float32, 3*size[0]*size[1])
		for i := range pixels {
			pixels[i] = float32(rng.NormFloat64())
		}
		fastest(fmt.Sprintf("an image of %v", size), func() error {
			im, err := m.EncodeImage(ctx, pixels, size[0], size[1])
			if err == nil && (len(im.Vector) != 768 || slices.ContainsFunc(im.Vector, func(v float32) bool { return v != v })) {
				t.Fatal("the vector is not one of 768 numbers")
			}
			return err
		})
		e, err := legrad.New(m.Tower, legrad.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, count := range []int{1, 20} {
			fastest(fmt.Sprintf("with maps of %d texts", count), func() error {
				im, err := e.Encode(ctx, pixels, size[0], size[1])
				if err != nil {
					return err
				}
				maps, err := im.CorrectedRelevance(ctx, slices.Repeat([][]float32{texts[0].Embedding}, count), texts[0].Embedding)
				if err == nil && (len(maps) != count || len(maps[0]) != size[0]*size[1]/256) {
					t.Fatalf("%d maps of %d cells", len(maps), len(maps[0]))
				}
				return err
			})
		}
	}
}
