package evident_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evident"
)

// A picture that was skipped is tried again under another limit, and by a version that reads more.
func TestSkippedPictureIsTriedAgain(t *testing.T) {
	openVision(t)
	ctx, data := context.Background(), filepath.Join(t.TempDir(), "idx")
	folder := filepath.Dir(drawPhoto(t, 30, 20).Path)
	add := func(o evident.AddOptions) *evident.AddReport {
		t.Helper()
		index, err := evident.Open(ctx, data, evident.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		defer index.Close()
		report, err := index.Add(ctx, []string{folder}, o)
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	small := evident.AddOptions{PixelsMax: 100}
	if r := add(small); r.Images != 0 || len(r.Skipped) != 1 {
		t.Fatalf("600 pixels under a limit of 100: %+v", r)
	}
	if r := add(small); r.Images != 0 || len(r.Skipped) != 1 {
		t.Errorf("again under the same limit: %+v", r)
	}
	if r := add(evident.AddOptions{}); r.Images != 1 || len(r.Skipped) != 0 {
		t.Errorf("without the limit: %+v", r)
	}

	// An older version noted the file as one that it does not read.
	data = filepath.Join(t.TempDir(), "old")
	add(small)
	path := filepath.Join(data, "catalog.json")
	catalog, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const limit = `"pixels_max":100`
	if !strings.Contains(string(catalog), limit) || !strings.Contains(string(catalog), `"version":3`) {
		t.Fatalf("not the catalog of this version: %s", catalog)
	}
	same := fmt.Sprintf(`"pixels_max":%d`, evident.PixelsMax) // so that only the version tells
	old := strings.Replace(strings.Replace(string(catalog), limit, same, 1), `"version":3`, `"version":1`, 1)
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := add(evident.AddOptions{}); r.Images != 1 {
		t.Errorf("after an older version: %+v", r)
	}
}
