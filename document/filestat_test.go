package document

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFileStatTellsChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	s := NewFileStat(info)
	if !s.Same(info) {
		t.Error("an untouched file is taken for changed")
	}
	for name, other := range map[string]FileStat{
		"size": {s.Size + 1, s.MTimeNS, s.Inode, ""}, "time": {s.Size, s.MTimeNS + 1, s.Inode, ""},
		"inode": {s.Size, s.MTimeNS, s.Inode + 1, ""},
	} {
		if other.Same(info) && (name != "inode" || s.Inode != 0) {
			t.Errorf("another %s goes unnoticed", name)
		}
	}
}
