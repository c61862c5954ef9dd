package evident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"evident/bm25"
	"evident/document"
	"evident/internal/durable"
	"evident/store"
	"evident/store/weaviate"
	"evident/vector"
)

// storage is where an index keeps what it holds: a folder, or a cluster.
type storage interface {
	// Snapshot returns the newest state that Refresh or a commit has seen; its calls end with ctx.
	Snapshot(ctx context.Context) (textSnapshot, error)
	Writer(ctx context.Context) (textWriter, error)
	Refresh(ctx context.Context) (changed bool, err error)

	// Catalog returns what SaveCatalog has kept, and nil where that was nothing.
	Catalog() ([]byte, error)
	SaveCatalog(ctx context.Context, content []byte) error

	// OpenPhrases opens the vectors of phrases; where there are none the error is [vector.ErrNoIndex].
	OpenPhrases(ctx context.Context) (phraseStore, error)
	CreatePhrases(ctx context.Context, settings vector.Settings) (phraseStore, error)
	RemovePhrases(ctx context.Context) error
	HasPhrases(ctx context.Context) bool

	Verify(ctx context.Context) error // reads everything and returns the first damage
	Close() error
}

// textSnapshot is one state of documents, passages and pictures; package store says what each method does.
type textSnapshot interface {
	Release()
	Generation() uint32
	Stats() store.Stats
	Search(question string, k int) ([]store.Hit, error)
	Explain(question string, id store.PassageID) (bm25.Explanation, error)
	Passage(id store.PassageID) (store.Passage, error)
	Passages(ids []store.PassageID) ([]store.Passage, error)
	PassagesOf(path string) ([]store.PassageID, error)
	Document(path string) (*document.Document, error)
	Documents() ([]store.StoredDocument, error)
	Entries() ([]store.Entry, error)
	Files() (map[string]store.FileStat, error)
	Stat(path string) (store.FileStat, error)
	Pictures() ([]store.StoredPicture, error)
}

// textWriter changes documents; nothing is seen before Commit.
type textWriter interface {
	Put(doc *document.Document, passages []document.Passage, stat store.FileStat) error
	Remove(path string) bool
	Commit() error
	Close() error
}

// phraseStore holds the vectors of phrases, in groups; package vector says what each method does.
type phraseStore interface {
	Snapshot() (phraseSnapshot, error)
	Writer(ctx context.Context) (phraseWriter, error)
	Improve(ctx context.Context) (changed bool, err error)
	Refresh(ctx context.Context) (changed bool, err error)
	Close() error
}

// phraseSnapshot is one state of the phrases.
type phraseSnapshot interface {
	Release()
	Generation() uint32
	Settings() vector.Settings
	Groups() map[string]bool
	Stats() vector.Stats
	Search(ctx context.Context, q *vector.Query) ([]vector.Hit, error)
	Verify(ctx context.Context) error
}

// phraseWriter changes the phrases; nothing is seen before Commit.
type phraseWriter interface {
	Has(group string) bool
	Put(group string, items []vector.Item) error
	Remove(group string) bool
	Commit() error
	Close() error
}

// openStorage opens a folder, or the cluster that an address names.
func openStorage(ctx context.Context, dir string, o Options) (storage, error) {
	if weaviate.IsAddress(dir) {
		return openCluster(ctx, dir, o)
	}
	open := store.Open
	if o.Create {
		open = openOrCreate
	}
	s, err := open(dir)
	if err != nil {
		return nil, err
	}
	return &folder{s}, nil
}

// folder is a [storage] in a folder: packages store and vector. It needs no context, for it does not wait.
type folder struct{ store *store.Store }

func (f *folder) Snapshot(context.Context) (textSnapshot, error) {
	s, err := f.store.Snapshot()
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (f *folder) Writer(context.Context) (textWriter, error) {
	w, err := f.store.Writer()
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (f *folder) Refresh(context.Context) (changed bool, err error) { return f.store.Refresh() }
func (f *folder) Verify(context.Context) error                      { return f.store.Verify() }
func (f *folder) Close() error                                      { return f.store.Close() }

func (f *folder) Catalog() ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(f.store.Dir(), catalogName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

func (f *folder) SaveCatalog(_ context.Context, content []byte) error {
	return durable.Replace(filepath.Join(f.store.Dir(), catalogName), content)
}

func (f *folder) phrases() string { return filepath.Join(f.store.Dir(), phraseFolder) }

func (f *folder) OpenPhrases(context.Context) (phraseStore, error) {
	return phraseStoreOf(vector.Open(f.phrases()))
}

func (f *folder) CreatePhrases(_ context.Context, settings vector.Settings) (phraseStore, error) {
	return phraseStoreOf(vector.Create(f.phrases(), settings))
}

func (f *folder) HasPhrases(context.Context) bool {
	_, err := os.Stat(filepath.Join(f.phrases(), "MANIFEST"))
	return err == nil
}

func (f *folder) RemovePhrases(context.Context) error { return os.RemoveAll(f.phrases()) }

// phraseFiles is a [phraseStore] in a folder.
type phraseFiles struct{ *vector.Index }

func phraseStoreOf(index *vector.Index, err error) (phraseStore, error) {
	if err != nil {
		return nil, err
	}
	return phraseFiles{index}, nil
}

func (p phraseFiles) Snapshot() (phraseSnapshot, error) {
	s, err := p.Index.Snapshot()
	if err != nil {
		return nil, err
	}
	return phraseFilesSnapshot{s}, nil
}

func (p phraseFiles) Writer(context.Context) (phraseWriter, error) {
	w, err := p.Index.Writer()
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (p phraseFiles) Refresh(context.Context) (changed bool, err error) { return p.Index.Refresh() }

type phraseFilesSnapshot struct{ *vector.Snapshot }

func (s phraseFilesSnapshot) Verify(context.Context) error { return s.Snapshot.Verify() }

// cluster is a [storage] on a cluster.
type cluster struct{ *weaviate.Store }

func openCluster(ctx context.Context, address string, o Options) (storage, error) {
	a, err := weaviate.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	open := weaviate.Open
	if o.Create {
		open = weaviate.Create
	}
	s, err := open(ctx, a, weaviate.Options{APIKey: o.StoreKey})
	if err != nil {
		return nil, err
	}
	return cluster{s}, nil
}

func (c cluster) Snapshot(ctx context.Context) (textSnapshot, error) {
	s, err := c.Store.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (c cluster) Writer(ctx context.Context) (textWriter, error) {
	w, err := c.Store.Writer(ctx)
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (c cluster) OpenPhrases(ctx context.Context) (phraseStore, error) {
	return clusterPhrasesOf(c.Store.OpenPhrases(ctx))
}

func (c cluster) CreatePhrases(ctx context.Context, settings vector.Settings) (phraseStore, error) {
	return clusterPhrasesOf(c.Store.CreatePhrases(ctx, settings))
}

// clusterPhrases is a [phraseStore] on a cluster.
type clusterPhrases struct{ *weaviate.Phrases }

func clusterPhrasesOf(p *weaviate.Phrases, err error) (phraseStore, error) {
	if err != nil {
		return nil, err
	}
	return clusterPhrases{p}, nil
}

func (p clusterPhrases) Snapshot() (phraseSnapshot, error) {
	s, err := p.Phrases.Snapshot()
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (p clusterPhrases) Writer(ctx context.Context) (phraseWriter, error) {
	w, err := p.Phrases.Writer(ctx)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// errFolderOnly is that of what only an index in a folder can do.
func errFolderOnly(what, dir string) error {
	return fmt.Errorf("%s %q: %w", what, dir, ErrFolderOnly)
}
