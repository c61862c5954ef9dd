package weights

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func folderOf(t *testing.T, tensors map[string]Tensor, files map[string]string) fstest.MapFS {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, tensors, nil); err != nil {
		t.Fatal(err)
	}
	folder := fstest.MapFS{"model.safetensors": {Data: b.Bytes()}}
	for name, content := range files {
		folder[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return folder
}

// TestOverlay: what a folder has itself counts, all else comes from its base.
func TestOverlay(t *testing.T) {
	base := folderOf(t, map[string]Tensor{
		"a": FromFloat32([]float32{1, 2}, 2), "b": FromFloat32([]float32{3}, 1),
	}, map[string]string{"vocab.txt": "base", "config.json": "base"})
	own := folderOf(t, map[string]Tensor{
		"b": FromFloat32([]float32{4, 5, 6}, 3), "c": FromFloat32([]float32{7}, 1),
	}, map[string]string{"config.json": "own"})
	joined, err := Overlay(own, base)
	if err != nil {
		t.Fatal(err)
	}
	file, err := OpenFolder(joined)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, want := range map[string][]float32{"a": {1, 2}, "b": {4, 5, 6}, "c": {7}} {
		got, err := file.Float32(name, len(want))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s is %v, %v, want %v", name, got, err, want)
		}
	}
	for name, want := range map[string]string{"vocab.txt": "base", "config.json": "own"} {
		if got, err := fs.ReadFile(joined, name); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := fs.ReadFile(joined, "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file of neither: %v", err)
	}
}

func TestOverlayRefuses(t *testing.T) {
	good := folderOf(t, map[string]Tensor{"a": FromFloat32([]float32{1}, 1)}, nil)
	for name, bad := range map[string]fstest.MapFS{
		"missing": {},
		"short":   {"model.safetensors": {Data: []byte("abc")}},
		"long":    {"model.safetensors": {Data: []byte(strings.Repeat("\xff", 8) + "{}")}},
		"cut":     {"model.safetensors": {Data: good["model.safetensors"].Data[:20]}},
	} {
		if _, err := Overlay(bad, good); err == nil {
			t.Errorf("own %s: accepted", name)
		}
		if _, err := Overlay(good, bad); err == nil {
			t.Errorf("base %s: accepted", name)
		}
	}
}
