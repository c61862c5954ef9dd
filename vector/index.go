package vector

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"evident/internal/durable"
	"evident/internal/filelock"
)

// Index is a folder of vectors. It is safe for concurrent use.
type Index struct {
	dir  string
	disk durable.FS // that is written to

	mu      sync.Mutex
	current *Snapshot // nil after Close

	adopting sync.Mutex // held while an improvement commits: a new writer waits for that
}

// Create makes an empty index in dir, which is made if need be, and opens it. If there is one
// already the error is [ErrExists].
func Create(dir string, settings Settings) (*Index, error) {
	return createOn(durable.Disk{}, dir, settings)
}

func createOn(disk durable.FS, dir string, settings Settings) (*Index, error) {
	if err := settings.check(); err != nil {
		return nil, fmt.Errorf("create vector index %q: %w", dir, err)
	}
	if err := disk.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create vector index: %w", err)
	}
	held, err := filelock.Take(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("create vector index %q: %w", dir, err)
	}
	defer held.Release()
	if _, err := os.Stat(filepath.Join(dir, manifestName)); err == nil {
		return nil, fmt.Errorf("create vector index %q: %w", dir, ErrExists)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("create vector index: %w", err)
	}
	m := &manifest{Generation: 1, Settings: settings, NextFile: 1}
	if err := m.write(disk, dir); err != nil {
		return nil, fmt.Errorf("create vector index %q: %w", dir, err)
	}
	return openOn(disk, dir)
}

// Open opens the newest generation of the index in dir. For a folder without one the error is
// [ErrNoIndex], for one that is broken a [*durable.DamagedError].
func Open(dir string) (*Index, error) { return openOn(durable.Disk{}, dir) }

func openOn(disk durable.FS, dir string) (*Index, error) {
	snapshot, err := load(dir, nil)
	if err != nil {
		return nil, fmt.Errorf("open vector index %q: %w", dir, err)
	}
	return &Index{dir: dir, disk: disk, current: snapshot}, nil
}

// load opens the newest generation, sharing the segments of another snapshot. A writer may replace
// and remove files between reading the manifest and opening them; then there is a newer manifest.
func load(dir string, share *Snapshot) (*Snapshot, error) {
	open := map[string]*segment{}
	if share != nil {
		for i, s := range share.segments {
			open[share.manifest.Segments[i].File] = s
		}
	}
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	for {
		snapshot, err := openSnapshot(dir, m, open)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return snapshot, err
		}
		newer, errNewer := readManifest(dir)
		if errNewer != nil {
			return nil, errNewer
		}
		if newer.Generation == m.Generation {
			return nil, durable.Damaged(filepath.Join(dir, manifestName), "it names a missing file: %v", err)
		}
		m = newer
	}
}

// Dir is the folder of the index.
func (x *Index) Dir() string { return x.dir }

// Snapshot returns the generation the index is at. Release it after use.
func (x *Index) Snapshot() (*Snapshot, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.current == nil {
		return nil, ErrClosed
	}
	x.current.refs.Add(1)
	return x.current, nil
}

// Refresh moves on to the newest generation, which another process may have written, and reports
// whether it was another.
func (x *Index) Refresh() (changed bool, err error) {
	old, err := x.Snapshot()
	if err != nil {
		return false, err
	}
	defer old.Release()
	fresh, err := load(x.dir, old)
	if err != nil {
		return false, fmt.Errorf("open vector index %q: %w", x.dir, err)
	}
	if fresh.Generation() == old.Generation() {
		fresh.Release()
		return false, nil
	}
	return true, x.advance(fresh)
}

// advance makes fresh the current snapshot, unless a newer one is there.
func (x *Index) advance(fresh *Snapshot) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.current == nil:
		fresh.Release()
		return ErrClosed
	case x.current.Generation() >= fresh.Generation():
		fresh.Release()
	default:
		x.current.Release()
		x.current = fresh
	}
	return nil
}

// Close ends the use of the index. Snapshots that are still in use stay valid.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.current != nil {
		x.current.Release()
		x.current = nil
	}
	return nil
}

// Search is [Snapshot.Search] of the current generation.
func (x *Index) Search(ctx context.Context, q *Query) ([]Hit, error) {
	s, err := x.Snapshot()
	if err != nil {
		return nil, err
	}
	defer s.Release()
	return s.Search(ctx, q)
}

// Snapshot is one generation of an index. It is safe for concurrent use and stays as it is until it
// is released.
type Snapshot struct {
	manifest *manifest
	rotation *rotation
	segments []*segment
	deleted  [][]bool // by segment: flags of its groups; nil where none is deleted
	refs     atomic.Int32
}

// Stats are the sizes of an index.
type Stats struct {
	Settings
	Vectors    int // that can be found
	Groups     int
	Segments   int
	Listed     int   // vectors in segments with lists
	Bytes      int64 // of all files
	Resident   int64 // of them, what every search may touch: all but the vectors' bytes, IDs and keys
	Generation uint32
}

func openSnapshot(dir string, m *manifest, open map[string]*segment) (*Snapshot, error) {
	s := &Snapshot{manifest: m, rotation: newRotation(m.Dim)}
	s.refs.Store(1)
	for _, entry := range m.Segments {
		g, ok := open[entry.File]
		if ok {
			g.retain()
		} else {
			var err error
			if g, err = openSegment(dir, entry, s.rotation.padded, m.Fine); err != nil {
				s.Release()
				return nil, err
			}
		}
		s.segments = append(s.segments, g)
		var flags []bool
		if len(entry.Deleted) > 0 {
			flags = durable.Flags(entry.Deleted, g.groups())
		}
		s.deleted = append(s.deleted, flags)
	}
	return s, nil
}

// Release ends the use of the snapshot. Its files are unmapped after the last use.
func (s *Snapshot) Release() {
	if s.refs.Add(-1) == 0 {
		for _, g := range s.segments {
			g.release()
		}
	}
}

// Generation is the number of the commit that the snapshot shows.
func (s *Snapshot) Generation() uint32 { return s.manifest.Generation }

// Settings are what the index was made with.
func (s *Snapshot) Settings() Settings { return s.manifest.Settings }

// Groups returns the keys of all groups that can be found.
func (s *Snapshot) Groups() map[string]bool {
	groups := map[string]bool{}
	for i, g := range s.segments {
		for group := range uint32(g.groups()) {
			if s.deleted[i] == nil || !s.deleted[i][group] {
				groups[g.key(group)] = true
			}
		}
	}
	return groups
}

// Stats counts what the snapshot holds.
func (s *Snapshot) Stats() Stats {
	stats := Stats{Settings: s.manifest.Settings, Segments: len(s.segments), Generation: s.Generation()}
	stats.Groups = len(s.Groups())
	for i, entry := range s.manifest.Segments {
		stats.Vectors += entry.Vectors - entry.Gone
		stats.Bytes += entry.Bytes
		g := s.segments[i]
		if g.lists == nil {
			stats.Resident += int64(len(g.fixed.high) + 8*g.len())
			continue
		}
		stats.Listed += g.len()
		for _, section := range []int{
			sectionCentroidHigh, sectionCentroidLow, sectionCentroidScale, sectionCentroidNorm,
			sectionStarts, sectionBlocks,
		} {
			stats.Resident += int64(len(g.parts[section]))
		}
	}
	return stats
}

// Verify reads everything and returns the first damage it finds.
func (s *Snapshot) Verify() error {
	for _, g := range s.segments {
		if err := g.verify(); err != nil {
			return err
		}
	}
	return nil
}
