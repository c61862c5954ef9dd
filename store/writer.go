package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"evident/bm25"
	"evident/document"
	"evident/internal/durable"
	"evident/internal/filelock"
)

// A batch is closed, and waits for the commit, when it has become this large.
const (
	batchPostingsMax = 1 << 23 // in memory, at about 16 bytes each
	batchTextMax     = 1 << 30 // bytes, on disk
)

// Writer changes an index. Nothing of it is seen before Commit. It is not safe for concurrent use.
type Writer struct {
	store *Store
	lock  *filelock.Lock
	err   error // of an earlier step: the writer is of no use any more

	base     *Snapshot         // what the last commit left
	fresh    map[string]place  // where each path's document is that is not committed
	deleted  map[string][]bool // by batch file: its deleted documents, where that has changed
	closed   []batchEntry      // new batches that are complete
	open     *batchWriter      // the new batch being written; nil when it is empty
	builder  *bm25.Builder
	nextFile int
	changed  bool
}

// place is where a document is.
type place struct {
	file string // name of the batch
	doc  uint32 // number in it
}

// Writer takes the lock and returns a writer at the newest generation, or a [*LockedError]. Close
// it after use.
func (s *Store) Writer() (*Writer, error) {
	held, err := takeLock(s.dir)
	if err != nil {
		return nil, err
	}
	w := &Writer{store: s, lock: held, fresh: map[string]place{}, deleted: map[string][]bool{}}
	if _, err = s.Refresh(); err == nil {
		w.base, err = s.Snapshot()
	}
	if err != nil {
		return nil, errors.Join(err, held.Release())
	}
	if err := w.begin(); err != nil {
		w.err = err
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// begin cleans up after a writer that did not live to do so. What the manifest says must last before
// anything goes that only an older one names.
func (w *Writer) begin() error {
	spare := readCopy(w.store.dir)
	if w.base.manifest.precedes(spare) {
		return damaged(filepath.Join(w.store.dir, manifestName),
			"it is older than its copy, or of another index")
	}
	for _, b := range w.base.batches {
		if _, err := b.pathTable(); err != nil {
			return err
		}
	}
	if err := w.store.fs.SyncFolder(w.store.dir); err != nil {
		return err
	}
	w.sweep()
	if spare == nil || spare.Generation < w.base.Generation() {
		w.base.manifest.writeCopy(w.store.fs, w.store.dir)
	}
	w.nextFile = w.base.manifest.NextFile
	return nil
}

// Put adds a document with its passages, or replaces the one of the same path. stat is kept for
// [Snapshot.Files].
func (w *Writer) Put(doc *document.Document, passages []document.Passage, stat FileStat) error {
	if w.err != nil {
		return w.err
	}
	r, err := newRecord(doc, passages, stat)
	if err != nil {
		return fmt.Errorf("put %q: %w", doc.Path, err)
	}
	if err := w.put(r, doc, passages); err != nil {
		w.err = fmt.Errorf("put %q: %w", doc.Path, err)
		return w.err
	}
	return nil
}

func newRecord(doc *document.Document, passages []document.Passage, stat FileStat) (record, error) {
	if uint64(len(doc.Text)) > math.MaxUint32 {
		return record{}, fmt.Errorf("its text of %d bytes is longer than 4 GiB", len(doc.Text))
	}
	for _, p := range passages {
		if p.Span.Start < 0 || p.Span.End < p.Span.Start || p.Span.End > len(doc.Text) {
			return record{}, fmt.Errorf("passage %d to %d of %d bytes",
				p.Span.Start, p.Span.End, len(doc.Text))
		}
		if p.Page < 0 || p.Page > math.MaxInt32 {
			return record{}, fmt.Errorf("passage on page %d", p.Page)
		}
	}
	if err := checkMarks(doc); err != nil {
		return record{}, err
	}
	r := record{path: doc.Path, format: doc.Format, title: doc.Title, stat: stat}
	r.textHash = sha256.Sum256([]byte(doc.Text))
	if doc.SHA256 != "" && !strings.EqualFold(doc.SHA256, hex.EncodeToString(r.textHash[:])) {
		return record{}, fmt.Errorf("SHA-256 %s is not that of its text", doc.SHA256)
	}
	r.marks = appendMarks(nil, doc)
	return r, nil
}

func (w *Writer) put(r record, doc *document.Document, passages []document.Passage) error {
	if err := w.openBatch(); err != nil {
		return err
	}
	number := w.open.documents
	if err := w.open.add(r, doc.Text, passages); err != nil {
		return err
	}
	for _, p := range passages {
		w.builder.Add(indexedTexts(doc, p)...)
	}
	if _, err := w.remove(doc.Path); err != nil {
		return err
	}
	w.fresh[doc.Path] = place{filepath.Base(w.open.path), number}
	w.changed = true
	if w.builder.Postings() >= batchPostingsMax || w.open.at >= batchTextMax {
		return w.closeBatch()
	}
	return nil
}

// indexedTexts are the texts that a passage is found by: its own, its heading's and the title of
// its document, for a passage seldom repeats what it is about. docs/results.md has what that gains.
func indexedTexts(doc *document.Document, p document.Passage) []string {
	text := doc.Text[p.Span.Start:p.Span.End]
	if p.Heading == "" || p.Heading == doc.Title {
		return []string{doc.Title, text}
	}
	return []string{doc.Title, p.Heading, text}
}

// openBatch begins a new batch unless one is open.
func (w *Writer) openBatch() error {
	if w.open != nil {
		return nil
	}
	analyzer, err := bm25.AnalyzerNamed(w.base.manifest.Analyzer)
	if err != nil {
		return err
	}
	w.open, err = newBatchWriter(w.store.fs, w.filePath(w.nextFile))
	if err != nil {
		w.open = nil
		return err
	}
	w.builder = bm25.NewBuilder(analyzer)
	w.nextFile++
	return nil
}

func (w *Writer) filePath(number int) string {
	return filepath.Join(w.store.dir, fmt.Sprintf("%08d%s", number, batchSuffix))
}

// closeBatch completes the open batch; the next commit will name it.
func (w *Writer) closeBatch() error {
	if w.open == nil {
		return nil
	}
	entry, err := w.open.finish(w.builder.WriteTo)
	w.open, w.builder = nil, nil
	if err != nil {
		return err
	}
	w.closed = append(w.closed, entry)
	return nil
}

// Remove takes a document out. It reports whether there was one.
func (w *Writer) Remove(path string) bool {
	if w.err != nil {
		return false
	}
	removed, err := w.remove(path)
	if err != nil {
		w.err = fmt.Errorf("remove %q: %w", path, err)
		return false
	}
	w.changed = w.changed || removed
	return removed
}

func (w *Writer) remove(path string) (removed bool, err error) {
	if at, ok := w.fresh[path]; ok {
		delete(w.fresh, path)
		flags := w.deleted[at.file]
		for int(at.doc) >= len(flags) { // a batch that is still growing
			flags = append(flags, false)
		}
		flags[at.doc] = true
		w.deleted[at.file] = flags
		return true, nil
	}
	for i, b := range w.base.batches {
		entry := &w.base.manifest.Batches[i]
		flags, changed := w.deleted[entry.File]
		dead := entry.isDeleted
		if changed {
			dead = func(doc uint32) bool { return flags[doc] }
		}
		doc, found, err := b.find(path, dead)
		if err != nil {
			return false, err
		}
		if found {
			if !changed {
				flags = durable.Flags(entry.Deleted, entry.Documents)
				w.deleted[entry.File] = flags
			}
			flags[doc] = true
			return true, nil
		}
	}
	return false, nil
}

// Commit makes all changes since the last one durable and visible, together. When it returns an
// error none of them are, except if the error came from the very last sync; the writer is then of
// no use and must be closed. A commit may go on to merge small batches, which changes nothing that
// can be seen; if that fails the committed changes stay.
func (w *Writer) Commit() error {
	if w.err != nil {
		return w.err
	}
	if !w.changed {
		return nil
	}
	err := w.commit()
	for err == nil {
		from, to := mergeRun(w.base.manifest.Batches)
		if from == to {
			break
		}
		err = w.merge(from, to)
	}
	if err != nil {
		w.err = fmt.Errorf("commit to index %q: %w", w.store.dir, err)
	}
	return w.err
}

func (w *Writer) commit() error {
	if err := w.closeBatch(); err != nil {
		return err
	}
	batches := slices.Concat(w.base.manifest.Batches, w.closed)
	for i := range batches {
		if flags, ok := w.deleted[batches[i].File]; ok {
			batches[i].Deleted = durable.Ranges(flags)
		}
	}
	if err := w.publish(batches); err != nil {
		return err
	}
	clear(w.fresh)
	clear(w.deleted)
	w.closed, w.changed = nil, false
	return nil
}

// publish makes batches the next generation: first the names of new files last, then the manifest
// is replaced, then files that are in no manifest any more are removed.
func (w *Writer) publish(batches []batchEntry) error {
	next := *w.base.manifest
	next.Generation++
	next.NextFile = w.nextFile
	if next.ID == "" { // made by an older program
		next.ID = newID()
	}
	next.Batches = slices.DeleteFunc(batches, allDeleted)
	if err := w.store.fs.SyncFolder(w.store.dir); err != nil {
		return err
	}
	if err := next.write(w.store.fs, w.store.dir); err != nil {
		return err
	}
	fresh, err := load(w.store.dir, w.base)
	if err != nil {
		return err
	}
	next.writeCopy(w.store.fs, w.store.dir)
	fresh.refs.Add(1) // one for the writer, one for the store
	w.base.Release()
	w.base = fresh
	if err := w.store.advance(fresh); err != nil && !errors.Is(err, ErrClosed) {
		return err
	}
	w.sweep()
	return nil
}

// allDeleted reports whether nothing of a batch is left.
func allDeleted(b batchEntry) bool { return liveDocuments(b) == 0 }

// sweep removes files that the manifest on disk does not name: of older generations, or of a writer
// that did not live to commit. Failing to remove one does no harm; the next writer tries again.
func (w *Writer) sweep() {
	now, err := readManifest(w.store.dir)
	if err != nil {
		return
	}
	named := map[string]bool{}
	for _, b := range now.Batches {
		named[b.File] = true
	}
	names, err := batchFiles(w.store.dir)
	if err != nil {
		return
	}
	for _, name := range names {
		if !named[name] {
			w.store.fs.Remove(filepath.Join(w.store.dir, name))
		}
	}
}

// Close gives up what is not committed and gives the lock back.
func (w *Writer) Close() error {
	if w.lock == nil {
		return nil
	}
	var err error
	if w.open != nil {
		err = w.open.abandon()
		w.open = nil
	}
	if w.err == nil { // else nobody knows which manifest lasts
		w.sweep()
	}
	w.base.Release()
	err = errors.Join(err, w.lock.Release())
	w.lock = nil
	if w.err == nil {
		w.err = errors.New("the writer is closed")
	}
	return err
}
