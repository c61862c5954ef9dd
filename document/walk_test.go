package document

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evident/internal/unprivileged"
)

// walked lists what Walk yields below dir: names, and the reasons of skips after a colon.
func walked(t *testing.T, dir string, names []string, opts WalkOptions) string {
	t.Helper()
	var paths, got []string
	for _, name := range names {
		paths = append(paths, filepath.Join(dir, name))
	}
	for file, err := range Walk(context.Background(), paths, opts) {
		path := file.Path
		if info, statErr := os.Stat(path); err == nil && (statErr != nil || file.Stat != NewFileStat(info)) {
			t.Errorf("%s was seen as %+v, not as it is, %v", path, file.Stat, statErr)
		}
		name, relErr := filepath.Rel(dir, path)
		if relErr != nil {
			t.Fatal(relErr)
		}
		var skip *SkipError
		switch {
		case errors.As(err, &skip):
			name += ": " + skip.Reason
		case errors.Is(err, fs.ErrNotExist):
			name += ": does not exist"
			if !strings.Contains(err.Error(), path) {
				t.Errorf("error %v does not name %s", err, path)
			}
		case err != nil:
			t.Fatal(err)
		}
		got = append(got, filepath.ToSlash(name))
	}
	return strings.Join(got, "\n")
}

func TestWalk(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"b.txt", "a/2.txt", "a/1.txt", "a/b/3.txt", ".hidden.txt", ".git/config",
		".cfg/x.txt", "node_modules/m.md", "a/~$1.docx", "c/__pycache__/p.txt",
	} {
		write(t, dir, name, "x")
	}
	for link, target := range map[string]string{
		"a/loop": dir, "c/file": filepath.Join(dir, "b.txt"),
		"c/nothing": filepath.Join(dir, "absent"),
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Skipf("links are absent: %v", err)
		}
	}
	cases := []struct {
		name  string
		paths []string
		opts  WalkOptions
		want  string
	}{
		{
			"all",
			[]string{"."},
			WalkOptions{},
			"a/1.txt a/2.txt a/b/3.txt b.txt c/file c/nothing:_link_to_nothing",
		},
		{
			"hidden too",
			[]string{"."},
			WalkOptions{Hidden: true},
			".cfg/x.txt .hidden.txt a/1.txt a/2.txt a/b/3.txt b.txt c/file c/nothing:_link_to_nothing",
		},
		{"order of names", []string{"b.txt", "a"}, WalkOptions{}, "b.txt a/1.txt a/2.txt a/b/3.txt"},
		{"each once", []string{"a/b", "a", "a/1.txt"}, WalkOptions{}, "a/b/3.txt a/1.txt a/2.txt"},
		{
			"named hidden",
			[]string{".hidden.txt", "node_modules", ".cfg"},
			WalkOptions{},
			".hidden.txt node_modules/m.md .cfg/x.txt",
		},
		{"missing", []string{"none", "b.txt"}, WalkOptions{}, "none:_does_not_exist b.txt"},
		{"named link", []string{"a/b", "c/nothing"}, WalkOptions{}, "a/b/3.txt c/nothing:_link_to_nothing"},
		{"no paths", nil, WalkOptions{}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := strings.ReplaceAll(strings.ReplaceAll(c.want, " ", "\n"), "_", " ")
			if strings.Contains(c.want, "node_modules") {
				want = strings.ReplaceAll(want, "node modules", "node_modules")
			}
			if got := walked(t, dir, c.paths, c.opts); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestWalkLargeFolder: files that are looked at in parallel come in order, each as it is.
func TestWalkLargeFolder(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for n := range 3*looksAtOnce + 1 {
		name := fmt.Sprintf("%05d.txt", n)
		write(t, dir, name, strings.Repeat("x", n%7))
		want = append(want, name)
	}
	if got := walked(t, dir, []string{"."}, WalkOptions{}); got != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
}

func TestWalkNamedLoop(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.txt", "x")
	if err := os.Symlink(dir, filepath.Join(dir, "loop")); err != nil {
		t.Skipf("links are absent: %v", err)
	}
	if got := walked(t, dir, []string{"loop"}, WalkOptions{}); got != "loop/a.txt" {
		t.Errorf("got %q", got)
	}
}

func TestWalkUnreadableFolder(t *testing.T) {
	if err := unprivileged.Here(); err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
	dir := t.TempDir()
	write(t, dir, "locked/a.txt", "x")
	write(t, dir, "z.txt", "x")
	if err := os.Chmod(filepath.Join(dir, "locked"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "locked"), 0o755) })
	want := "locked: permission denied\nz.txt"
	if got := walked(t, dir, []string{"."}, WalkOptions{}); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWalkStops(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.txt", "x")
	write(t, dir, "b/c.txt", "x")
	count := 0
	for range Walk(context.Background(), []string{dir, dir + "/b"}, WalkOptions{}) {
		count++
		break
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range Walk(ctx, []string{dir, dir + "/b"}, WalkOptions{}) {
		count++
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the cancellation", err)
		}
	}
	if count != 2 {
		t.Errorf("%d steps, want 2", count)
	}
}
