package evident_test

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"evident"
	"evident/models"
)

// TestCaptionRegions: captions with what speaks for each; a region's are its own, whatever stands beside it.
func TestCaptionRegions(t *testing.T) {
	needCaptions(t)
	v, p := openVision(t), drawPhoto(t, 90, 61)
	masks := discMasks(t, p)
	o := evident.CaptionOptions{RegionOptions: quick, Count: 3}
	both, err := v.CaptionRegions(context.Background(), p, masks, o)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := v.CaptionRegions(context.Background(), p, masks[1:], o)
	if err != nil {
		t.Fatal(err)
	}
	if both.Method != evident.RegionCombined || len(both.Regions) != 2 {
		t.Errorf("%s, %d regions", both.Method, len(both.Regions))
	}
	for _, r := range both.Regions {
		if len(r.Captions) != 3 || r.Embedding != nil || r.Dice <= 0 {
			t.Fatalf("%s: %+v", r.Mask, r)
		}
		for i, c := range r.Captions {
			sum, texts := 0.0, encode(t, v, c.Text)
			for j, x := range r.Vector() {
				sum += float64(x) * float64(texts[j])
			}
			if math.Abs(sum-c.Similarity) > 1e-5 {
				t.Errorf("%q: similarity %g, the vectors' is %g", c.Text, c.Similarity, sum)
			}
			if c.Score < 0 || c.Score > 1 || c.Likelihood <= 0 || c.Likelihood > 1 || c.Dice <= 0 || c.Dice > 1 {
				t.Errorf("%q: %+v", c.Text, c)
			}
			if m := c.Map(90, 61); len(m) != 90*61 || slices.Max(m) <= 0 {
				t.Errorf("%q: a map of %d values up to %g", c.Text, len(m), slices.Max(m))
			}
			if slices.ContainsFunc(r.Captions[:i], func(other evident.Caption) bool { return other.Text == c.Text }) {
				t.Errorf("%q is said twice", c.Text)
			}
		}
	}
	for i, c := range alone.Regions[0].Captions {
		if other := both.Regions[1].Captions[i]; c.Text != other.Text || c.Score != other.Score || c.Dice != other.Dice {
			t.Errorf("caption %d is %q (%g) alone and %q (%g) in company", i, c.Text, c.Score, other.Text, other.Score)
		}
	}
	if drawn, err := both.Draw(evident.DrawOptions{}); err != nil || drawn.Bounds().Dx() < 90 {
		t.Errorf("drawn as %v, %v", drawn, err)
	}
}

// needCaptions skips the test in a build without a decoder of captions.
func needCaptions(t *testing.T) {
	t.Helper()
	if _, err := models.Open(models.Captions); err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
}

// encode returns a text's vector.
func encode(t *testing.T, v *evident.Vision, text string) []float32 {
	t.Helper()
	texts, err := v.Model().EncodeTexts(context.Background(), []string{text})
	if err != nil {
		t.Fatal(err)
	}
	return texts[0].Embedding
}

// TestCaptionPicture: without masks the whole picture is captioned, as with a mask of all of it.
func TestCaptionPicture(t *testing.T) {
	needCaptions(t)
	v, p := openVision(t), drawPhoto(t, 90, 61)
	r, err := v.CaptionRegions(context.Background(), p, nil, evident.CaptionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Regions) != 1 || r.Method != "whole" || r.Regions[0].Mask != evident.PictureRegion || r.Regions[0].Area != 1 {
		t.Fatalf("%+v", r)
	}
	if len(r.Regions[0].Captions) != 1 || strings.Contains(r.Regions[0].Captions[0].Text, "[") {
		t.Errorf("captions %+v", r.Regions[0].Captions)
	}
}

// TestCaptionChoices: of given captions the nearest, without a word of the decoder's.
func TestCaptionChoices(t *testing.T) {
	v, p := openVision(t), drawPhoto(t, 90, 61)
	choices := []string{"a crowd of elephants", "a red ball in the sky", "a plate of soup"}
	o := evident.CaptionOptions{RegionOptions: quick, Choices: choices, Count: 9}
	r, err := v.CaptionRegions(context.Background(), p, discMasks(t, p)[:1], o)
	if err != nil {
		t.Fatal(err)
	}
	said := r.Regions[0].Captions
	if len(said) != len(choices) {
		t.Fatalf("%d captions of %d", len(said), len(choices))
	}
	for i, c := range said {
		if !slices.Contains(choices, c.Text) || c.Likelihood != 0 || i > 0 && c.Similarity > said[i-1].Similarity {
			t.Errorf("caption %d: %+v", i, c)
		}
	}
}

// TestCaptionsRefused: too many captions, blank choices, and models without a decoder or with one of other weights.
func TestCaptionsRefused(t *testing.T) {
	v, p := openVision(t), drawPhoto(t, 90, 61)
	caption := func(v *evident.Vision, o evident.CaptionOptions) error {
		_, err := v.CaptionRegions(context.Background(), p, nil, o)
		return err
	}
	if err := caption(v, evident.CaptionOptions{Count: evident.CaptionsMax + 1}); err == nil {
		t.Error("too many captions: no error")
	}
	var text *evident.TextError
	if err := caption(v, evident.CaptionOptions{Choices: []string{"a dog", " "}}); !errors.As(err, &text) {
		t.Errorf("a blank choice: %v", err)
	}
	bare := copyModel(t, func(name string, data []byte) []byte {
		if strings.HasPrefix(name, "caption/") {
			return nil
		}
		return data
	})
	if err := caption(bare, evident.CaptionOptions{}); !errors.Is(err, evident.ErrNoCaptions) {
		t.Errorf("a model without a decoder: %v", err)
	}
	if err := caption(bare, evident.CaptionOptions{Choices: []string{"a dog"}}); err != nil {
		t.Errorf("a model without a decoder, with choices: %v", err)
	}
	needCaptions(t)
	other := copyModel(t, func(name string, data []byte) []byte {
		if name == "caption/config.json" {
			return []byte(strings.Replace(string(data), `"probe": "`, `"probe": "no `, 1))
		}
		return data
	})
	if err := caption(other, evident.CaptionOptions{}); !errors.Is(err, evident.ErrDamaged) || !strings.Contains(err.Error(), "training/caption") {
		t.Errorf("a decoder of other weights: %v", err)
	}
}

// copyModel opens a copy of the built-in model whose files are changed; nil leaves a file out.
func copyModel(t *testing.T, change func(name string, data []byte) []byte) *evident.Vision {
	t.Helper()
	folder, err := models.Open(models.Vision)
	if err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
	files := fstest.MapFS{}
	err = fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(folder, name)
		if data = change(name, data); data != nil {
			files[name] = &fstest.MapFile{Data: data}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := evident.OpenVision(context.Background(), evident.VisionOptions{Model: files, Name: "copy"})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
