// Package models holds the default weights, embedded in the program, so that it answers without
// any download. Each folder beside this file is a model with its card; the build tag nomodels
// leaves them out.
package models

import (
	"errors"
	"fmt"
	"io/fs"
)

// Model describes an embedded model.
type Model struct {
	Name        string // of its folder
	Description string
}

// The models that evident answers with.
const (
	Default = "mix-12x384"
	Fast    = "mix-6x384"
	Vision  = "vision-192" // images and texts; read by model/vit, not a reader
)

// All lists the readers that a full build embeds.
var All = []Model{
	{Default, "joint reader, 12 layers of width 384"},
	{Fast, "joint reader, 6 layers of width 384"},
}

// ErrMissing says that a model is not embedded in this build.
var ErrMissing = errors.New("model is not built into this program")

// Open returns the folder of a model.
func Open(name string) (fs.FS, error) {
	info, err := fs.Stat(files, name)
	if err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s: %w", name, ErrMissing)
	}
	return fs.Sub(files, name)
}
