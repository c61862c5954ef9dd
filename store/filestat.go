package store

import "evident/document"

// FileStat is what a file looked like when it was read; it tells whether it has changed.
type FileStat = document.FileStat

// Stat returns what the file of a document looked like when it was read. For a path that the
// snapshot does not hold the error is [ErrNotFound].
func (s *Snapshot) Stat(path string) (FileStat, error) {
	_, r, err := s.find(path)
	if err != nil {
		return FileStat{}, err
	}
	return r.stat, nil
}
