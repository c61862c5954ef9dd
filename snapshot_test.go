package evident

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// TestSnapshotRoundTrip: what is restored is the index, file for file, phrases and catalogue included.
func TestSnapshotRoundTrip(t *testing.T) {
	ctx := context.Background()
	_, dir := wholeIndex(t, 5)
	index, err := Open(ctx, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	base := t.TempDir()
	var sums []string
	for _, name := range []string{"s.tar", "folder"} {
		wrote, err := index.WriteSnapshot(ctx, filepath.Join(base, name), SnapshotOptions{})
		if err != nil {
			t.Fatal(err)
		}
		back := filepath.Join(base, "back-"+name)
		read, err := RestoreSnapshot(ctx, filepath.Join(base, name), back, SnapshotOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if read.SHA256 != wrote.SHA256 || read.Bytes != wrote.Bytes || read.Documents != 5 || wrote.Documents != 5 {
			t.Errorf("wrote %+v, read %+v", wrote, read)
		}
		sums = append(sums, wrote.SHA256)
		want := filesBelow(t, dir)
		delete(want, "MANIFEST.copy") // which only a writer needs
		if got := filesBelow(t, back); !maps.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s: the restored files differ", name)
		}
		if _, err := RestoreSnapshot(ctx, filepath.Join(base, name), back, SnapshotOptions{}); !errors.Is(err, ErrSnapshotExists) {
			t.Errorf("restored over an index: %v", err)
		}
		if _, err := index.WriteSnapshot(ctx, filepath.Join(base, name), SnapshotOptions{}); !errors.Is(err, ErrSnapshotExists) {
			t.Errorf("written over a snapshot: %v", err)
		}
	}
	if sums[0] != sums[1] {
		t.Error("file and folder differ")
	}
	noPartials(t, base)
}

func noPartials(t *testing.T, base string) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(base, "*"+partialSuffix+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestSnapshotWhileWriting: snapshots that are taken while another goroutine indexes, merges and removes
// files are whole, each of one generation.
func TestSnapshotWhileWriting(t *testing.T) {
	ctx := context.Background()
	docs, dir := wholeIndex(t, 3)
	stop, writing := make(chan struct{}), make(chan error, 1)
	go func() {
		writing <- func() error {
			index, err := Open(ctx, dir, Options{})
			if err != nil {
				return err
			}
			defer index.Close()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return nil
				default:
				}
				path := filepath.Join(docs, fmt.Sprint("more", n%4, ".txt"))
				if err := os.WriteFile(path, fmt.Appendf(nil, "A ferry of version%d.", n), 0o600); err != nil {
					return err
				}
				if _, err := index.Add(ctx, []string{docs}, AddOptions{}); err != nil {
					return err
				}
			}
		}()
	}()
	index, err := Open(ctx, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	base := t.TempDir()
	for n := range 12 {
		path := filepath.Join(base, fmt.Sprint(n, []string{".tar", ""}[n%2]))
		wrote, err := index.WriteSnapshot(ctx, path, SnapshotOptions{})
		if err != nil {
			t.Fatal(err)
		}
		read, err := RestoreSnapshot(ctx, path, fmt.Sprint(path, "-back"), SnapshotOptions{})
		if err != nil || read.Documents != wrote.Documents || read.Documents < 3 {
			t.Fatalf("%+v, %+v, %v", wrote, read, err)
		}
	}
	close(stop)
	if err := <-writing; err != nil {
		t.Fatal(err)
	}
	noPartials(t, base)
}

// A snapshot or restore that was killed leaves a part, which is neither taken for whole nor in the way.
func TestSnapshotAfterAKill(t *testing.T) {
	ctx := context.Background()
	_, dir := wholeIndex(t, 3)
	index, err := Open(ctx, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	base := t.TempDir()
	folder, file, back := filepath.Join(base, "folder"), filepath.Join(base, "s.tar"), filepath.Join(base, "back")
	for name, content := range map[string]string{
		"folder.partial/LOCK": "", "folder.partial/MANIFEST": "half", "folder.partial/phrases/x": "",
		"s.tar.partial": "half", "s.tar.partial.lock": "", "back.partial/LOCK": "", "back.partial/00000001.batch": "half",
	} {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{folder, file} {
		if _, err := index.WriteSnapshot(ctx, path, SnapshotOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := RestoreSnapshot(ctx, file, back, SnapshotOptions{}); err != nil {
		t.Fatal(err)
	}
	noPartials(t, base)
	mine := filepath.Join(base, "new"+partialSuffix)
	if err := os.MkdirAll(filepath.Join(mine, "my thesis"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreSnapshot(ctx, file, filepath.Join(base, "new"), SnapshotOptions{}); !errors.Is(err, ErrSnapshotExists) {
		t.Errorf("a folder of somebody's was taken for a leftover: %v", err)
	}
	if _, err := os.Stat(filepath.Join(mine, "my thesis")); err != nil {
		t.Error(err)
	}
}

// An interrupted call leaves nothing.
func TestSnapshotInterrupted(t *testing.T) {
	_, dir := wholeIndex(t, 3)
	index, err := Open(context.Background(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	base := t.TempDir()
	for _, name := range []string{"s.tar", "folder"} {
		if _, err := index.WriteSnapshot(ctx, filepath.Join(base, name), SnapshotOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	if left, _ := os.ReadDir(base); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
