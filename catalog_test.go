package evident

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSkipsThatPass: a picture that was skipped because there was no model is looked at again once there is one, though the file has
// not changed. A file that is at fault itself is not.
func TestSkipsThatPass(t *testing.T) {
	data, folder := filepath.Join(t.TempDir(), "data"), t.TempDir()
	write(t, folder, "empty.txt", "", "a.txt", "The bridge was opened in 1931.")
	photo, err := os.ReadFile(filepath.Join("internal", "picture", "testdata", "444.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, folder, "photo.jpg", string(photo))
	index := func(vision VisionOptions) *AddReport {
		t.Helper()
		x, err := Open(t.Context(), data, Options{Create: true, Vision: vision})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		report, err := x.Add(t.Context(), []string{folder}, AddOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	wantTally(t, index(VisionOptions{Model: os.DirFS(t.TempDir())}), "1 documents: 1 added, 0 changed, 0 unchanged, 0 removed, 2 skipped")
	wantTally(t, index(VisionOptions{}), "1 documents: 1 added, 0 changed, 1 unchanged, 0 removed, 1 skipped")
}
