package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"evident/bm25"
	"evident/document"
	"evident/internal/durable"
)

// Options are the settings of a new index. The zero value is what evident uses.
type Options struct {
	Analyzer string      // a [bm25.Analyzer.Name]; "" means that of [bm25.DefaultAnalyzer]
	Params   bm25.Params // of the ranking
}

// Store is an index in a folder. It is safe for concurrent use.
type Store struct {
	dir string
	fs  durable.FS // that writers use

	mu      sync.Mutex
	current *Snapshot // nil after Close
}

// ErrClosed is returned by the methods of a [Store] after Close.
var ErrClosed = errors.New("the index is closed")

// Create makes an empty index in dir, which is made if need be, and opens it. If there is one
// already the error is [ErrExists].
func Create(dir string, opts Options) (*Store, error) {
	return createOn(durable.Disk{}, dir, opts)
}

func createOn(disk durable.FS, dir string, opts Options) (*Store, error) {
	if err := disk.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create index: %w", err)
	}
	held, err := takeLock(dir)
	if err != nil {
		return nil, fmt.Errorf("create index %q: %w", dir, err)
	}
	defer held.Release()
	_, err = os.Stat(filepath.Join(dir, manifestName))
	if err == nil {
		return nil, fmt.Errorf("create index %q: %w", dir, ErrExists)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("create index: %w", err)
	} else if err := noManifest(dir); !errors.Is(err, ErrNoIndex) {
		return nil, fmt.Errorf("create index %q: %w", dir, err)
	}
	m, err := newManifest(opts)
	if err != nil {
		return nil, fmt.Errorf("create index %q: %w", dir, err)
	}
	if err := m.write(disk, dir); err != nil {
		return nil, fmt.Errorf("create index %q: %w", dir, err)
	}
	m.writeCopy(disk, dir)
	return openOn(disk, dir)
}

// newManifest is that of an empty index.
func newManifest(opts Options) (*manifest, error) {
	if opts.Analyzer == "" {
		opts.Analyzer = bm25.DefaultAnalyzer().Name()
	}
	if _, err := bm25.AnalyzerNamed(opts.Analyzer); err != nil {
		return nil, err
	}
	empty, err := bm25.NewIndex(nil, opts.Params)
	if err != nil {
		return nil, err
	}
	params := empty.Params()
	return &manifest{
		Generation: 1, ID: newID(), Analyzer: opts.Analyzer, K1: params.K1, B: params.B, NextFile: 1,
	}, nil
}

// newID tells one index from all others.
func newID() string { return rand.Text() }

// Open opens the newest generation of the index in dir. For a folder without one the error is
// [ErrNoIndex]. The time it takes does not grow with the texts, only, slowly, with the vocabulary
// and the number of passages.
func Open(dir string) (*Store, error) { return openOn(durable.Disk{}, dir) }

func openOn(disk durable.FS, dir string) (*Store, error) {
	snapshot, err := load(dir, nil)
	if err != nil {
		return nil, err
	}
	return &Store{dir: dir, fs: disk, current: snapshot}, nil
}

// load opens the newest generation, sharing the batches of another snapshot. A writer may replace
// and remove files between reading the manifest and opening them; then there is a newer manifest.
func load(dir string, share *Snapshot) (*Snapshot, error) {
	open := map[string]*batch{}
	if share != nil {
		for i, b := range share.batches {
			open[share.manifest.Batches[i].File] = b
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
			return nil, damaged(filepath.Join(dir, manifestName), "it names a missing file: %v", err)
		}
		m = newer
	}
}

// Dir is the folder of the index.
func (s *Store) Dir() string { return s.dir }

// Snapshot returns the generation the store is at. Release it after use.
func (s *Store) Snapshot() (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil, ErrClosed
	}
	s.current.refs.Add(1)
	return s.current, nil
}

// Refresh moves on to the newest generation and reports whether it was another.
func (s *Store) Refresh() (changed bool, err error) {
	old, err := s.Snapshot()
	if err != nil {
		return false, err
	}
	defer old.Release()
	fresh, err := load(s.dir, old)
	if err != nil {
		return false, err
	}
	if fresh.Generation() == old.Generation() {
		fresh.Release()
		return false, nil
	}
	return true, s.advance(fresh)
}

// advance makes fresh the current snapshot, unless a newer one is there.
func (s *Store) advance(fresh *Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		fresh.Release()
		return ErrClosed
	}
	if s.current.Generation() >= fresh.Generation() {
		fresh.Release()
		return nil
	}
	s.current.Release()
	s.current = fresh
	return nil
}

// Close ends the use of the index. Snapshots that are still in use stay valid.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.current.Release()
		s.current = nil
	}
	return nil
}

// with calls use with the current snapshot.
func with[T any](s *Store, use func(*Snapshot) (T, error)) (T, error) {
	snapshot, err := s.Snapshot()
	if err != nil {
		var none T
		return none, err
	}
	defer snapshot.Release()
	return use(snapshot)
}

// Search is [Snapshot.Search] of the current generation.
func (s *Store) Search(question string, k int) ([]Hit, error) {
	return with(s, func(now *Snapshot) ([]Hit, error) { return now.Search(question, k) })
}

// Explain is [Snapshot.Explain] of the current generation.
func (s *Store) Explain(question string, id PassageID) (bm25.Explanation, error) {
	return with(s, func(now *Snapshot) (bm25.Explanation, error) { return now.Explain(question, id) })
}

// Passage is [Snapshot.Passage] of the current generation.
func (s *Store) Passage(id PassageID) (Passage, error) {
	return with(s, func(now *Snapshot) (Passage, error) { return now.Passage(id) })
}

// Document is [Snapshot.Document] of the current generation.
func (s *Store) Document(path string) (*document.Document, error) {
	return with(s, func(now *Snapshot) (*document.Document, error) { return now.Document(path) })
}

// Files is [Snapshot.Files] of the current generation.
func (s *Store) Files() (map[string]FileStat, error) {
	return with(s, func(now *Snapshot) (map[string]FileStat, error) { return now.Files() })
}

// Stats is [Snapshot.Stats] of the current generation.
func (s *Store) Stats() (Stats, error) {
	return with(s, func(now *Snapshot) (Stats, error) { return now.Stats(), nil })
}

// Verify is [Snapshot.Verify] of the current generation.
func (s *Store) Verify() error {
	_, err := with(s, func(now *Snapshot) (struct{}, error) { return struct{}{}, now.Verify() })
	return err
}
