package mix

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"evident/internal/pack"
	"evident/models"
	"evident/nn"
)

// TestPackedReadersReadTheSame: the embedded readers, while a cache is made, from it, and after it was
// damaged, to the bit.
func TestPackedReadersReadTheSame(t *testing.T) {
	for _, c := range []struct {
		name      string
		precision nn.Precision
	}{{models.Default, nn.Auto}, {models.Default, nn.Int8}, {models.Fast, nn.FP32}} {
		folder, err := models.Open(c.name)
		if errors.Is(err, models.ErrMissing) {
			t.Skipf("NOT TESTED: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		o := LoadOptions{Precision: c.precision}
		read := func() ([]Reading, pack.Report) {
			r, err := LoadReader(folder, o)
			if err != nil {
				t.Fatal(err)
			}
			readings, err := r.Read(context.Background(), question, someTexts)
			if err != nil {
				t.Fatal(err)
			}
			return readings, r.Packed()
		}
		want, _ := read()
		o.CacheDir = t.TempDir()
		path := filepath.Join(o.CacheDir, c.name+"-"+c.precision.Native().String()+".packed")
		for i, state := range []pack.State{pack.Made, pack.Used, pack.Made, pack.Used} {
			if i == 2 {
				spoil(t, path)
			}
			got, report := read()
			if report.State != state || report.Path != path {
				t.Errorf("%s, %v: %v, want %q", c.name, c.precision, report, state)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %v, %s: other readings than without a cache", c.name, c.precision, state)
			}
		}
	}
}

// spoil changes one bit in the middle of a file.
func spoil(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	if _, err := f.ReadAt(one, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 4
	if _, err := f.WriteAt(one, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
