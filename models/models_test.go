package models

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"testing"
)

// TestSumsAreTrue: caches take the listed digests for the files' content.
func TestSumsAreTrue(t *testing.T) {
	for _, name := range []string{Default, Fast, Vision} {
		model, err := Open(name)
		if errors.Is(err, ErrMissing) {
			t.Skip("built without models")
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"config.json", "model.safetensors"} {
			listed, ok := model.(*folder).SHA256(file)
			if !ok {
				t.Errorf("%s/%s is not listed in %s: run make model-sums", name, file, sums)
				continue
			}
			f, err := model.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.New()
			if _, err := io.Copy(sum, f); err != nil {
				t.Fatal(err)
			}
			if [sha256.Size]byte(sum.Sum(nil)) != listed {
				t.Errorf("%s/%s has another digest than %s says: run make model-sums", name, file, sums)
			}
		}
		if _, ok := model.(*folder).SHA256("vocab.txt"); ok {
			t.Error("a digest for a file that is not listed")
		}
		if _, err := fs.ReadFile(model, "vocab.txt"); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenMissing(t *testing.T) {
	for _, name := range []string{"no such model", "../models", "SHA256SUMS", ""} {
		if _, err := Open(name); !errors.Is(err, ErrMissing) {
			t.Errorf("open %q: %v", name, err)
		}
	}
}
