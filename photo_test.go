package evident

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestPhotoAgain: a picture that is asked about again is not decoded again, unless its file has changed; what is allowed is
// asked each time.
func TestPhotoAgain(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		content, err := os.ReadFile(filepath.Join("internal", "picture", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	folder, x := t.TempDir(), newIndex(t)
	write(t, folder, "a.jpg", read("444.jpg"))
	add(t, x, folder)
	path := filepath.Join(folder, "a.jpg")
	photo := func() *Photo {
		t.Helper()
		p, err := x.Photo(t.Context(), path, PhotoOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := photo()
	first.Path = "changed by its caller"
	second := photo()
	if second.image != first.image || second.Path != path {
		t.Errorf("asked again, %s was decoded again", second.Path)
	}
	var tooLarge *PhotoSizeError
	if _, err := x.Photo(t.Context(), path, PhotoOptions{PixelsMax: 3}); !errors.As(err, &tooLarge) {
		t.Errorf("of a picture with too many pixels: %v", err)
	}
	write(t, folder, "a.jpg", read("420-5x5.jpg"))
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	if third := photo(); third.image == first.image || third.Width != 5 {
		t.Errorf("the file has changed, and still is %d wide", third.Width)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Photo(t.Context(), path, PhotoOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a file that is gone: %v", err)
	}
}
