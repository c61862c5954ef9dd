package hub

import (
	"crypto/sha1" //nolint:gosec // what git names its objects by; the hub offers nothing else for small files
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	hashes "hash"
	"io"
	"os"
)

// hash is what the hub names a file's content by.
type hash struct {
	kind hashKind
	sum  string // hexadecimal
}

type hashKind int

const (
	git       hashKind = iota // SHA-1 of "blob SIZE\0" and the content
	sha256Sum                 // of large files
)

// check says whether the sum can be one, and so can name a file.
func (h hash) check() error {
	want := map[hashKind]int{git: sha1.Size, sha256Sum: sha256.Size}[h.kind]
	if raw, err := hex.DecodeString(h.sum); err != nil || len(raw) != want {
		return fmt.Errorf("%q is no hash", h.sum)
	}
	return nil
}

// verify reads the file and compares.
func (h hash) verify(f *os.File, size int64) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var sum hashes.Hash
	switch h.kind {
	case git:
		sum = sha1.New() //nolint:gosec // see the import
		fmt.Fprintf(sum, "blob %d\x00", size)
	case sha256Sum:
		sum = sha256.New()
	}
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != h.sum {
		return fmt.Errorf("its hash is %s, not %s", got, h.sum)
	}
	return nil
}
