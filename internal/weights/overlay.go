package weights

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"time"

	"evident/internal/pack"
)

// The names under which an overlay has the weights of both folders.
const (
	overlayIndex = "model.safetensors.index.json"
	overlayOwn   = "own.safetensors"
	overlayBase  = "base.safetensors"
	single       = "model.safetensors"
)

// Overlay returns a folder of a model that shares tensors with another one: a tensor, or any other
// file, is looked for in own first, then in base. Both keep their weights in model.safetensors.
func Overlay(own, base fs.FS) (fs.FS, error) {
	shards := map[string]string{}
	for _, part := range []struct {
		folder fs.FS
		shard  string
	}{{base, overlayBase}, {own, overlayOwn}} {
		names, err := tensorNames(part.folder)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			shards[name] = part.shard
		}
	}
	index, err := json.Marshal(map[string]any{"weight_map": maps.Clone(shards)})
	if err != nil {
		return nil, err
	}
	o := overlay{own: own, base: base, index: index}
	_, ownKnown := own.(pack.Digested)
	if _, baseKnown := base.(pack.Digested); ownKnown && baseKnown {
		return &digestedOverlay{o}, nil
	}
	return &o, nil
}

// tensorNames reads the names in the header of a folder's weights, and nothing behind it.
func tensorNames(folder fs.FS) ([]string, error) {
	file, err := folder.Open(single)
	if err != nil {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	defer file.Close()
	fail := func(err error) ([]string, error) {
		return nil, fmt.Errorf("read weights %q: %w", single, err)
	}
	var head [8]byte
	if _, err := io.ReadFull(file, head[:]); err != nil {
		return fail(&FormatError{Reason: "shorter than 8 bytes"})
	}
	length := binary.LittleEndian.Uint64(head[:])
	if length > headerMax {
		return fail(&FormatError{Reason: fmt.Sprintf("the header says it is %d bytes long", length)})
	}
	var header bytes.Buffer
	if n, err := io.CopyN(&header, file, int64(length)); err != nil {
		return fail(&FormatError{Reason: fmt.Sprintf("the header ends after %d of %d bytes", n, length)})
	}
	entries, _, err := parseHeader(header.Bytes())
	if err != nil {
		return fail(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.name
	}
	return names, nil
}

// overlay is the folder that Overlay returns.
type overlay struct {
	own, base fs.FS
	index     []byte
}

// where says which folder has a file, and under which name.
func (o *overlay) where(name string) (fs.FS, string) {
	switch name {
	case overlayOwn:
		return o.own, single
	case overlayBase:
		return o.base, single
	}
	if exists(o.own, name) {
		return o.own, name
	}
	return o.base, name
}

// Open opens a file of either folder, or the index of both's tensors.
func (o *overlay) Open(name string) (fs.File, error) {
	switch name {
	case single:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist} // it is in two parts
	case overlayIndex:
		return &memoryFile{Reader: bytes.NewReader(o.index)}, nil
	}
	folder, name := o.where(name)
	return folder.Open(name)
}

// digestedOverlay is an overlay of folders that know the digests of their files.
type digestedOverlay struct{ overlay }

// Name returns the name of the folder on top.
func (o *digestedOverlay) Name() string { return o.own.(pack.Digested).Name() }

// SHA256 returns the digest of a file.
func (o *digestedOverlay) SHA256(file string) (sum [sha256.Size]byte, ok bool) {
	if file == overlayIndex {
		return sha256.Sum256(o.index), true
	}
	folder, name := o.where(path.Clean(file))
	return folder.(pack.Digested).SHA256(name)
}

// memoryFile is the index as a file; it is its own FileInfo.
type memoryFile struct{ *bytes.Reader }

func (f *memoryFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *memoryFile) Close() error               { return nil }
func (f *memoryFile) Name() string               { return overlayIndex }
func (f *memoryFile) Mode() fs.FileMode          { return 0o444 }
func (f *memoryFile) ModTime() time.Time         { return time.Time{} }
func (f *memoryFile) IsDir() bool                { return false }
func (f *memoryFile) Sys() any                   { return nil }
