package weaviate

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"evident/bm25"
	"evident/store"
)

// Store is a collection on a cluster. It is safe for concurrent use.
type Store struct {
	cluster  *cluster
	note     note
	analyzer bm25.Analyzer
	journal  *journal
	parts    string // names of classes
	passages string
	cache    documentCache

	mu      sync.Mutex
	current *texts // nil after Close
}

// Create makes the classes of a collection where they are missing, and opens it.
func Create(ctx context.Context, a *Address, o Options) (*Store, error) {
	c, err := newCluster(a, o)
	if err != nil {
		return nil, err
	}
	_, nodes, err := c.healthy(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.noteOf(ctx, documentClass); !errors.Is(err, errNoClass) {
		return open(ctx, c) // which says what is wrong, if anything is
	}
	if err := c.create(ctx, c.textClasses(nodes)); err != nil {
		return nil, err
	}
	return open(ctx, c)
}

// Open opens a collection. The error is [store.ErrNoIndex] where there is none, [ErrUnavailable] where no host
// answers, a [*store.VersionError] for one of another version, and a [*ForeignError] for classes that are not
// as this package makes them.
func Open(ctx context.Context, a *Address, o Options) (*Store, error) {
	c, err := newCluster(a, o)
	if err != nil {
		return nil, err
	}
	return open(ctx, c)
}

func open(ctx context.Context, c *cluster) (*Store, error) {
	n, err := c.check(ctx)
	if err != nil {
		return nil, err
	}
	analyzer, err := bm25.AnalyzerNamed(n.Analyzer)
	if err != nil {
		return nil, err
	}
	s := &Store{
		cluster: c, note: n, analyzer: analyzer, parts: c.class(partClass), passages: c.class(passageClass),
		journal: &journal{c, c.class(documentClass)},
	}
	s.current, err = s.read(ctx, nil)
	return s, err
}

// catalogName is that of what [Store.SaveCatalog] keeps.
const catalogName = "catalog"

// read returns the newest texts.
func (s *Store) read(ctx context.Context, have *texts) (*texts, error) {
	var before *state
	if have != nil {
		before = have.state
	}
	now, err := s.journal.read(ctx, before)
	if err != nil {
		return nil, err
	}
	catalog, err := s.journal.kept(ctx, kindNote, catalogName)
	if err != nil {
		return nil, err
	}
	if have != nil && have.state == now && have.catalog == catalog {
		return have, nil
	}
	return newTexts(now, catalog)
}

// state returns what the store is at.
func (s *Store) state() (*texts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil, store.ErrClosed
	}
	return s.current, nil
}

// Refresh moves on to the newest state and says whether it was another.
func (s *Store) Refresh(ctx context.Context) (changed bool, err error) {
	have, err := s.state()
	if err != nil {
		return false, err
	}
	now, err := s.read(ctx, have)
	if err != nil || now == have {
		return false, err
	}
	return now.Commit != have.Commit, s.advance(now)
}

// advance makes a state the current one, unless a newer one is there.
func (s *Store) advance(now *texts) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return store.ErrClosed
	}
	if s.current.Commit <= now.Commit {
		s.current = now
	}
	return nil
}

// Catalog returns what SaveCatalog has kept, and nil where that was nothing.
func (s *Store) Catalog() ([]byte, error) {
	t, err := s.state()
	if err != nil || t.catalog == "" {
		return nil, err
	}
	return []byte(t.catalog), nil
}

// SaveCatalog keeps what callers note beside the documents.
func (s *Store) SaveCatalog(ctx context.Context, content []byte) error {
	if err := s.journal.keep(context.WithoutCancel(ctx), kindNote, catalogName, 0, string(content)); err != nil {
		return err
	}
	_, err := s.Refresh(context.WithoutCancel(ctx))
	return err
}

// Close ends the use of the store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = nil
	return nil
}

// Verify reads everything that the journal names, and returns what is missing or not as it was written.
func (s *Store) Verify(ctx context.Context) error {
	if _, err := s.Refresh(ctx); err != nil {
		return err
	}
	snapshot, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	for i, d := range snapshot.documents {
		if _, err := snapshot.Document(d.path); err != nil {
			return err
		}
		ids := make([]store.PassageID, d.Passages)
		for n := range ids {
			ids[n] = passageID(i, n)
		}
		if _, err := snapshot.Passages(ids); err != nil {
			return fmt.Errorf("passages of %q: %w", d.path, err)
		}
	}
	return nil
}
