package vector

import (
	"encoding/json"
	"path/filepath"

	"evident/internal/durable"
)

// Export checks the files of the snapshot and yields each by its name in an index folder, the manifest
// first. Written into an empty folder they are an index of this generation. The bytes must not be changed
// or kept. A writer may go on meanwhile, and remove the files themselves.
func (s *Snapshot) Export(yield func(name string, data []byte) error) error {
	body, err := json.MarshalIndent(s.manifest, "", " ")
	if err != nil {
		return err
	}
	if err := yield(manifestName, durable.Sign(manifestKind, manifestVersion, body)); err != nil {
		return err
	}
	for _, g := range s.segments {
		if err := g.verify(); err != nil {
			return err
		}
		if err := yield(filepath.Base(g.path), g.file.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
