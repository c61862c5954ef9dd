package document

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"evident/internal/unprivileged"
)

// write makes a file below dir and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "a.md", "# Title\n\nText.\n")
	d, err := Read(context.Background(), dir+"/./a.md", ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("# Title\n\nText.\n"))
	hash := hex.EncodeToString(sum[:])
	if d.Path != path || d.Format != "md" || d.Title != "Title" || d.SHA256 != hash {
		t.Errorf("got %+v", d)
	}
}

// TestTimeOutPasses: a file that took too long is not at fault for good, others are.
func TestTimeOutPasses(t *testing.T) {
	long := []byte("<html>" + strings.Repeat("<p>a", 30_000))
	for name, want := range map[string]bool{"long.html": true, "empty.html": false} {
		data := long
		if name == "empty.html" {
			data = nil
		}
		_, err := Parse(t.Context(), name, data, ReadOptions{Duration: 1})
		var skip *SkipError
		if !errors.As(err, &skip) || skip.Passing != want {
			t.Errorf("%s: got %+v, want a skip that passes: %v", name, err, want)
		}
	}
}

func TestReadSkips(t *testing.T) {
	dir := t.TempDir()
	locked := write(t, dir, "locked.txt", "secret")
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, path, reason string }{
		{"empty", write(t, dir, "empty.txt", ""), "empty"},
		{"binary", write(t, dir, "junk.txt", "\x00\x01\x02junk"), "binary, not a document"},
		{"image", write(t, dir, "a.txt", "\x89PNG\r\n\x1A\n\x00"), "image, not a document"},
		{
			"too large", write(t, dir, "large.txt", strings.Repeat("word ", 1<<18)),
			"larger than the limit of 1 MiB",
		},
		{"folder", dir, "a folder"},
		{"device", "/dev/null", "not a regular file"},
		{"locked", locked, "permission denied"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "locked" {
				if err := unprivileged.Here(); err != nil {
					t.Skipf("NOT TESTED: %v", err)
				}
			}
			if c.name == "device" && runtime.GOOS == "windows" {
				t.Skip("/dev/null is absent: this is Windows")
			}
			_, err := Read(context.Background(), c.path, ReadOptions{FileBytesMax: 1 << 20})
			var skip *SkipError
			if !errors.As(err, &skip) || skip.Reason != c.reason || skip.Path != c.path {
				t.Errorf("got %v, want a skip of %s: %s", err, c.path, c.reason)
			}
		})
	}
}

func TestReadMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.txt")
	_, err := Read(context.Background(), path, ReadOptions{})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that says %s does not exist", err, path)
	}
}

// goDocuments returns the folder of documents that come with Go.
func goDocuments(t *testing.T) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("the go command is absent: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "doc")
}

// TestGoSpecification reads the documents that come with Go, as a first user would.
func TestGoSpecification(t *testing.T) {
	path := filepath.Join(goDocuments(t), "go_spec.html")
	d, err := Read(context.Background(), path, ReadOptions{})
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the Go specification is absent: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if d.Title != "The Go Programming Language Specification" {
		t.Errorf("title %q", d.Title)
	}
	const line = "int32       the set of all signed 32-bit integers (-2147483648 to 2147483647)"
	for _, p := range checkPassages(t, d, PassageOptions{}) {
		if strings.Contains(d.Text[p.Span.Start:p.Span.End], line) {
			if p.Heading != "Numeric types" {
				t.Errorf("the passage stands under %q", p.Heading)
			}
			return
		}
	}
	t.Errorf("no passage holds %q", line)
}

// TestGoDocuments checks the promises on every document below GOROOT/doc.
func TestGoDocuments(t *testing.T) {
	root := goDocuments(t)
	if _, err := os.Stat(root); err != nil {
		t.Skipf("the documents of Go are absent: %v", err)
	}
	read := 0
	for file, err := range Walk(context.Background(), []string{root}, WalkOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		d, err := Read(context.Background(), file.Path, ReadOptions{})
		if err != nil {
			t.Error(err)
			continue
		}
		if len(checkPassages(t, d, PassageOptions{})) == 0 {
			t.Errorf("%s: no passages", file.Path)
		}
		read++
	}
	if read == 0 {
		t.Error("nothing read")
	}
}
