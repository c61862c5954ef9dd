package store

import "path/filepath"

// Export checks the files of the snapshot and yields each by its name in an index folder, the manifest
// first. Written into an empty folder they are an index of this generation. The bytes must not be changed
// or kept. A writer may go on meanwhile, and remove the files themselves.
func (s *Snapshot) Export(yield func(name string, data []byte) error) error {
	content, err := s.manifest.encode()
	if err != nil {
		return err
	}
	if err := yield(manifestName, content); err != nil {
		return err
	}
	for _, b := range s.batches {
		if err := b.verify(); err != nil {
			return err
		}
		if err := yield(filepath.Base(b.path), b.data); err != nil {
			return err
		}
	}
	return nil
}
