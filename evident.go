// Package evident answers questions about documents with exact quotations.
//
// Most callers want four calls: [Open] a data folder, [Index.Add] what should be searchable,
// [Index.Ask] a question, [Index.Close]:
//
//	index, err := evident.Open(ctx, dir, evident.Options{Create: true})
//	if err != nil {
//		return err
//	}
//	defer index.Close()
//	if _, err := index.Add(ctx, []string{"papers"}, evident.AddOptions{}); err != nil {
//		return err
//	}
//	answer, err := index.Ask(ctx, "Who designed the bridge?", evident.AskOptions{})
//
// An [Answer] holds candidates with their probability and [Evidence]: the quotation, the document,
// and byte offsets into the stored text, which for plain UTF-8 files is the file itself. When the
// documents do not answer, Answer.Abstained is true; that is a result, not an error.
//
// The method behind Ask is MIX, package mix. After [Index.AddPhrases] it is helped by EfficientQA,
// package efficientqa, which can also answer alone ([AskOptions]). Nothing leaves the machine.
//
// Until version 1.0 the API may change with a note in CHANGELOG.md; JSON fields are only added.
package evident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"evident/api"
	"evident/mix"
	"evident/store"
	"evident/store/weaviate"
	"evident/vector"
)

// Options tunes [Open]. The zero value opens an index that exists, with the default model.
type Options struct {
	Create bool  // make the folder and an empty index where there is none
	Fast   bool  // the small model: about half the time, somewhat less accurate
	Model  fs.FS // a folder with a joint reader's weights; nil means the embedded ones

	// CacheDir is a folder for what can be made again: weights in the form they are multiplied in, which
	// makes loading a model several times faster. Those of a folder of the system are kept beside it
	// where it can be written to. "" means that nothing is kept.
	CacheDir string

	Vision  VisionOptions // the model that sees pictures
	Phrases PhraseOptions // the model that turns possible answers into vectors

	StoreKey string // the API key of a cluster that asks for one
}

// Index is an open data folder, or an open collection on a cluster: stored documents, their passages and
// the search structures. Any number of goroutines may ask at once; Add waits for its turn.
type Index struct {
	dir     string // or the address of a cluster
	opts    Options
	storage storage

	adding    sync.Mutex
	lastPhoto lastPhoto

	models *loadedModels

	loading sync.Mutex
	phrases phraseStore // opened by the first that needs phrases

	covered      *phraseView // of the state below
	coveredState [2]uint32
	lastRead     atomic.Int64 // nanoseconds that reading took
}

// loadedModels are models in memory, which several indexes may share.
type loadedModels struct {
	mu      sync.Mutex
	reader  *mix.Reader    // loaded by the first question
	vision  *Vision        // loaded by the first picture
	encoder *phraseEncoder // loaded by the first that needs phrases
}

// Open opens the index in folder dir, or on the Weaviate cluster that dir names as
// weaviate://HOST,HOST,HOST/COLLECTION (docs/cluster.md). Its error is [ErrNoIndex] where there is none,
// [ErrDamaged] where a file is broken and [ErrUnavailable] where a cluster does not answer.
func Open(ctx context.Context, dir string, opts Options) (*Index, error) {
	return openWith(ctx, dir, opts, &loadedModels{})
}

// OpenBeside opens another index with the options of x, Create apart. The two share the models in memory, and
// each is closed by itself.
func (x *Index) OpenBeside(ctx context.Context, dir string, create bool) (*Index, error) {
	opts := x.opts
	opts.Create = create
	return openWith(ctx, dir, opts, x.models)
}

func openWith(ctx context.Context, dir string, opts Options, models *loadedModels) (*Index, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := openStorage(ctx, dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open index %q: %w", dir, public(err))
	}
	return &Index{dir: dir, opts: opts, storage: s, models: models}, nil
}

func openOrCreate(dir string) (*store.Store, error) {
	s, err := store.Open(dir)
	if !errors.Is(err, store.ErrNoIndex) {
		return s, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil { // texts are private until their owner shares them
		return nil, err
	}
	s, err = store.Create(dir, store.Options{})
	if errors.Is(err, store.ErrExists) { // another process was faster
		return store.Open(dir)
	}
	return s, err
}

// Data is what the index was opened by: its folder, or the address of its cluster.
func (x *Index) Data() string { return x.dir }

// Close lets go of the files. Questions that are being answered must be waited for.
func (x *Index) Close() error {
	x.loading.Lock()
	defer x.loading.Unlock()
	err := x.storage.Close()
	if x.phrases != nil {
		err = errors.Join(err, x.phrases.Close())
	}
	return err
}

// public joins the inner packages' errors with the sentinel that callers branch on.
func public(err error) error {
	var damaged *store.DamagedError
	var held *vector.LockedError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNoIndex):
		return &sentinelError{ErrNoIndex, err}
	case errors.Is(err, store.ErrLocked), errors.As(err, &held):
		return &sentinelError{ErrLocked, err}
	case errors.Is(err, weaviate.ErrKey):
		return &sentinelError{api.ErrKey, err}
	case errors.Is(err, weaviate.ErrUnavailable):
		return &sentinelError{ErrUnavailable, err}
	case errors.As(err, &damaged):
		return &sentinelError{ErrDamaged, err}
	}
	return err
}

// sentinelError reads as its cause and matches its sentinel too.
type sentinelError struct {
	sentinel error
	cause    error
}

func (e *sentinelError) Error() string   { return e.cause.Error() }
func (e *sentinelError) Unwrap() []error { return []error{e.sentinel, e.cause} }
