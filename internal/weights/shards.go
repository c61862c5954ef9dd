package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// openShards joins the files of a sharded checkpoint. The index names each tensor's file; the
// files lie beside it.
func openShards(folder fs.FS, name string) (*File, error) {
	data, err := fs.ReadFile(folder, name)
	if err != nil {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("read weights %q: %w", name, err)
	}
	if len(index.WeightMap) == 0 {
		return nil, fmt.Errorf("read weights %q: it names no tensors", name)
	}
	joined := &File{name: name, tensors: make(map[string]Tensor, len(index.WeightMap))}
	shards := map[string]*File{}
	for _, tensor := range slices.Sorted(maps.Keys(index.WeightMap)) {
		shard := index.WeightMap[tensor]
		if err := joined.adopt(folder, path.Dir(name), tensor, shard, shards); err != nil {
			return nil, errors.Join(err, joined.Close())
		}
	}
	return joined, nil
}

// adopt adds one tensor of a shard, which it opens when it is new.
func (f *File) adopt(folder fs.FS, dir, tensor, shard string, shards map[string]*File) error {
	if shard == "" || strings.ContainsAny(shard, `/\`) || strings.HasSuffix(shard, ".index.json") {
		return f.wrap(fmt.Errorf("tensor %q is said to be in %q, which is no file beside it",
			tensor, shard))
	}
	part, ok := shards[shard]
	if !ok {
		var err error
		if part, err = OpenFS(folder, path.Join(dir, shard)); err != nil {
			return f.wrap(err)
		}
		shards[shard] = part
		f.close = append(f.close, part.Close)
	}
	t, err := part.Raw(tensor)
	if err != nil {
		return f.wrap(err)
	}
	f.tensors[tensor] = t
	return nil
}
