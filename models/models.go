// Package models holds the default weights, embedded in the program, so that it answers without
// any download. Each folder beside this file is a model with its card; the build tag nomodels
// leaves them out.
package models

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Model describes an embedded model.
type Model struct {
	Name        string // of its folder
	Description string
}

// The models that evident answers and sees with.
const (
	Default  = "mix-12x384"
	Fast     = "mix-6x384"
	Vision   = "vision-192"         // read by model/vision
	Phrase   = "phrase-12x384"      // shares tensors with Default; a build may be without it
	Captions = "vision-192/caption" // decoder of captions of Vision; a build may be without it
)

// All lists the models that a full build embeds.
var All = []Model{
	{Default, "joint reader, 12 layers of width 384"},
	{Fast, "joint reader, 6 layers of width 384"},
	{Vision, "pictures and texts, 12 layers of width 192"},
}

// Optional lists models that a full build may be without.
var Optional = []Model{{Phrase, "possible answers and questions as vectors, 12 layers of width 384"}}

// Embedded lists the models of this program: all of [All], built in or not, and those of [Optional] that
// are.
func Embedded() []Model {
	list := slices.Clone(All)
	for _, m := range Optional {
		if _, err := Open(m.Name); err == nil {
			list = append(list, m)
		}
	}
	return list
}

// ErrMissing says that a model is not embedded in this build.
var ErrMissing = errors.New("model is not built into this program")

// Open returns the folder of a model. It knows digests of its files, so that what was made of them need
// not read them to tell that they are the same.
func Open(name string) (fs.FS, error) {
	info, err := fs.Stat(files, name)
	if err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s: %w", name, ErrMissing)
	}
	inside, err := fs.Sub(files, name)
	if err != nil {
		return nil, err
	}
	return &folder{inside, name}, nil
}

// folder is an embedded model.
type folder struct {
	fs.FS
	name string
}

// Name returns the model's name.
func (f *folder) Name() string { return f.name }

// sums lists digests of the embedded files as sha256sum does. Run `make model-sums` when a model changes;
// TestSumsAreTrue fails when it was forgotten.
const sums = "SHA256SUMS"

// SHA256 returns the digest of a file that is listed.
func (f *folder) SHA256(file string) (sum [sha256.Size]byte, ok bool) {
	data, err := files.ReadFile(sums)
	if err != nil {
		return sum, false
	}
	for line := range strings.Lines(string(data)) {
		digest, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if name == path.Join(f.name, file) && len(digest) == hex.EncodedLen(len(sum)) {
			_, err := hex.Decode(sum[:], []byte(digest))
			return sum, err == nil
		}
	}
	return sum, false
}
