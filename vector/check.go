package vector

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"evident/internal/durable"
)

// Findings are what [Check] found.
type Findings struct {
	Faults []durable.DamagedError // of one file each; none for an index that is whole
	Files  int                    // that were read
	Bytes  int64                  // of these files
}

// Check reads every file of the index in dir and returns all that is wrong. It changes nothing. The
// error is [ErrNoIndex] where there is none; damage is no error.
func Check(ctx context.Context, dir string) (*Findings, error) {
	for {
		found := &Findings{}
		m, err := readManifest(dir)
		if found.note(err) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("check vector index %q: %w", dir, err)
		}
		found.Files++
		for _, entry := range m.Segments {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			err := checkSegment(dir, entry, m)
			if errors.Is(err, fs.ErrNotExist) {
				err = durable.Damaged(filepath.Join(dir, entry.File), "it is missing")
			}
			if !found.note(err) && err != nil {
				return nil, fmt.Errorf("check vector index %q: %w", dir, err)
			}
			found.Files++
			found.Bytes += entry.Bytes
		}
		now, err := readManifest(dir)
		if len(found.Faults) == 0 || err != nil || now.Generation == m.Generation {
			return found, nil
		}
		// A writer removed files meanwhile: they are of a generation that is no more.
	}
}

// note takes down an error if it is damage.
func (f *Findings) note(err error) bool {
	var damage *durable.DamagedError
	if !errors.As(err, &damage) {
		return false
	}
	f.Faults = append(f.Faults, *damage)
	return true
}

func checkSegment(dir string, entry segmentEntry, m *manifest) error {
	s, err := openSegment(dir, entry, newRotation(m.Dim).padded, m.Fine)
	if err != nil {
		return err
	}
	defer s.release()
	return s.verify()
}
