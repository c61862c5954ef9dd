package vit

import (
	"io/fs"

	"evident/internal/pack"
	"evident/internal/weights"
	"evident/nn"
)

// LoadOptions is what loaders of all families have in common. The zero value keeps nothing and takes the best
// precision of the CPU.
type LoadOptions struct {
	Precision nn.Precision
	CacheDir  string // evident's cache folder, for packed weights; "" means that none are kept
}

// Pack says where a model's packed weights are kept.
func (o LoadOptions) Pack() pack.Options {
	return pack.Options{Dir: o.CacheDir, Precision: o.Precision.Native().String()}
}

// Keep writes the cache of a model that is whole, if there is something to write.
func (m *Model) Keep(file *weights.File) {
	file.Keep()
	m.Packed = file.Packed().Report()
}

// OpenFolder opens a folder's model.safetensors or its shards. Call [Model.Keep] when the model is whole.
func (o LoadOptions) OpenFolder(folder fs.FS) (*weights.File, error) {
	return weights.OpenPacked(folder, o.Pack())
}
