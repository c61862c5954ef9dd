package evident

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"evident/internal/archive"
	"evident/internal/faultdisk"
)

// TestSnapshotsSurviveEveryFault lets each operation of writing a snapshot, as a file and as a folder, and of
// restoring one fail, or be the last before the power goes: what has its name is complete, the index is as it
// was, and the same call goes through afterwards.
func TestSnapshotsSurviveEveryFault(t *testing.T) {
	ctx := context.Background()
	_, data := wholeIndex(t, 3)
	index, err := Open(ctx, data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	saved := filepath.Join(t.TempDir(), "s.tar")
	want, err := index.WriteSnapshot(ctx, saved, SnapshotOptions{})
	if err != nil {
		t.Fatal(err)
	}
	isArchive := func(path string) error {
		got, err := archive.Read(ctx, path, archive.Discard)
		if err == nil && got.SHA256 != want.SHA256 {
			err = errors.New("it is another snapshot")
		}
		return err
	}
	isIndex := func(dir string) error {
		checked, err := CheckIndex(ctx, dir, IntegrityOptions{})
		if err == nil && !checked.Whole() {
			err = errors.New(checked.Faults[0].Detail)
		}
		return err
	}
	write := func(path string, o SnapshotOptions) error {
		_, err := index.WriteSnapshot(ctx, path, o)
		return err
	}
	restore := func(path string, o SnapshotOptions) error {
		_, err := RestoreSnapshot(ctx, saved, path, o)
		return err
	}
	for _, c := range []struct {
		name  string
		do    func(path string, o SnapshotOptions) error
		whole func(path string) error
	}{{"s.tar", write, isArchive}, {"folder", write, isArchive}, {"index", restore, isIndex}} {
		t.Run(c.name, func(t *testing.T) { everyFault(t, c.name, c.do, c.whole) })
	}
	if err := isIndex(data); err != nil {
		t.Errorf("the index itself: %v", err)
	}
}

func everyFault(t *testing.T, name string, do func(string, SnapshotOptions) error, whole func(string) error) {
	t.Helper()
	counting := faultdisk.New(t)
	if err := do(filepath.Join(t.TempDir(), name), SnapshotOptions{disk: counting}); err != nil {
		t.Fatal(err)
	}
	done := 0
	check := func(what string, at int, path string) {
		t.Helper()
		if _, err := os.Lstat(path); err == nil {
			if err := whole(path); err != nil {
				t.Fatalf("%s, operation %d: what has the name is not complete: %v", what, at, err)
			}
			done++
			return
		}
		if err := do(path, SnapshotOptions{disk: faultdisk.Hasty{}}); err != nil {
			t.Fatalf("%s, operation %d: once more: %v", what, at, err)
		}
		if err := whole(path); err != nil {
			t.Fatalf("%s, operation %d: once more: %v", what, at, err)
		}
	}
	for at := 1; at <= counting.Done; at++ {
		for _, cut := range []bool{false, true} {
			disk, base := faultdisk.New(t), t.TempDir()
			disk.At, disk.Cut = at, cut
			err := do(filepath.Join(base, name), SnapshotOptions{disk: disk})
			if err != nil && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, faultdisk.ErrPower) {
				t.Fatalf("operation %d: the error is %v", at, err)
			}
			if cut {
				for kind := range faultdisk.Kinds {
					check("cut", at, filepath.Join(disk.Left(base, kind), name))
				}
			} else {
				check("failed", at, filepath.Join(base, name))
			}
		}
	}
	if done == 0 || done > counting.Done*faultdisk.Kinds {
		t.Errorf("complete %d times in %d operations: this tested nothing", done, counting.Done)
	}
	t.Logf("%d operations, each failed and each the last: complete %d times", counting.Done, done)
}
