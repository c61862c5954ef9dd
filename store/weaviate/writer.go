package weaviate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/weaviate/weaviate/entities/models"

	"evident/document"
	"evident/store"
)

// transaction is a commit of a journal that is being made, and the lock that it needs.
type transaction struct {
	journal *journal
	lock    *lock
	base    *state
	sender  *sender
	entries []*entry
	live    map[string]bool // names, those of this commit included
	copies  int
	err     error // of an earlier step: nothing more is written
}

// begin takes the lock and reads the newest state.
func (j *journal) begin(ctx context.Context, part string, copies int) (*transaction, error) {
	held, err := j.cluster.takeLock(ctx, part)
	if err != nil {
		return nil, err
	}
	t := &transaction{journal: j, lock: held, copies: copies, sender: newSender(ctx, j.cluster), live: map[string]bool{}}
	if t.base, err = j.read(ctx, nil); err != nil {
		return nil, errors.Join(err, held.release(ctx))
	}
	for name := range t.base.members {
		t.live[name] = true
	}
	return t, nil
}

// put notes a member and writes its objects.
func (t *transaction) put(name string, body any, objects []*models.Object) error {
	if t.err != nil {
		return t.err
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	e := t.entry(name)
	e.Body = string(encoded)
	t.live[name] = true
	t.err = t.sender.add(t.journal.object(e), objects)
	return t.err
}

// remove notes that a member is gone, and says whether there was one.
func (t *transaction) remove(name string) bool {
	if t.err != nil || !t.live[name] {
		return false
	}
	delete(t.live, name)
	e := t.entry(name)
	e.Removed = true
	t.err = t.sender.add(t.journal.object(e), nil)
	return true
}

func (t *transaction) entry(name string) *entry {
	e := &entry{Name: name, Commit: t.base.Commit + 1, Order: int64(len(t.entries))}
	t.entries = append(t.entries, e)
	return e
}

// commit makes what was noted visible once everything is acknowledged. It returns the new state.
func (t *transaction) commit(ctx context.Context) (*state, error) {
	if t.err != nil || len(t.entries) == 0 {
		return t.base, t.err
	}
	next, err := t.publish(ctx)
	if err != nil {
		t.err = err
		return nil, err
	}
	t.base, t.entries = next, nil
	return next, nil
}

func (t *transaction) publish(ctx context.Context) (*state, error) {
	if err := t.sender.wait(); err != nil {
		return nil, err
	}
	if err := t.enough(ctx); err != nil {
		return nil, err
	}
	if err := t.lock.held(ctx); err != nil {
		return nil, err
	}
	return t.journal.commit(ctx, t.base, t.entries)
}

// enough waits until most copies are alive, for as long as there is patience.
func (t *transaction) enough(ctx context.Context) error {
	for pause := newPause(t.journal.cluster); ; {
		alive, nodes, err := t.journal.cluster.healthy(ctx)
		needed := nodes - t.copies + t.copies/2 + 1 // so many that each object has most of its copies
		if err == nil && alive >= needed {
			return nil
		}
		if err == nil {
			err = &CopiesError{alive, needed, nodes}
		}
		if !pause.next(ctx) {
			return err
		}
	}
}

// close gives the lock back. What is not committed is removed by the next writer.
func (t *transaction) close(ctx context.Context) error {
	if t.lock == nil {
		return nil
	}
	t.sender.running.Wait()
	err := t.lock.release(ctx)
	t.lock = nil
	if t.err == nil {
		t.err = errClosed
	}
	return err
}

// Writer changes the documents. Nothing of it is seen before Commit. It is not safe for concurrent use.
//
// What was begun is finished when the context of [Store.Writer] ends: a commit then keeps what was put.
type Writer struct {
	store *Store
	ctx   context.Context //nolint:containedctx // without its end, see above
	*transaction
}

// Writer takes the lock, removes what an earlier writer has left, and returns a writer at the newest state,
// or a [*LockedError]. Close it after use.
func (s *Store) Writer(ctx context.Context) (*Writer, error) {
	lasting := context.WithoutCancel(ctx)
	t, err := s.journal.begin(lasting, documentClass, s.note.Copies)
	if err != nil {
		return nil, err
	}
	w := &Writer{store: s, ctx: lasting, transaction: t}
	if err := w.sweep(); err != nil {
		return nil, errors.Join(fmt.Errorf("remove what is not needed any more: %w", err), w.Close())
	}
	return w, nil
}

// sweep removes the objects of entries that do not count, then these entries.
func (w *Writer) sweep() error {
	live := map[string]bool{}
	for _, e := range w.base.members {
		live[keyOf(e)] = true
	}
	var keys []string
	for _, e := range w.base.garbage {
		if key := keyOf(e); key != "" && !live[key] {
			keys = append(keys, key)
		}
	}
	for _, class := range []string{w.store.passages, w.store.parts} {
		if err := w.store.cluster.remove(w.ctx, class, "document", keys); err != nil {
			return err
		}
	}
	return w.store.journal.forget(w.ctx, w.base.garbage)
}

// keyOf is the key of an entry's document, and "" where it has none.
func keyOf(e *entry) string {
	var m member
	_ = json.Unmarshal([]byte(e.Body), &m) // one that cannot be read names nothing
	return m.Key
}

// Put adds a document with its passages, or replaces the one of the same path. stat is kept for
// [Snapshot.Files].
func (w *Writer) Put(doc *document.Document, passages []document.Passage, stat store.FileStat) error {
	packed, err := pack(doc)
	if err != nil {
		return fmt.Errorf("put %q: %w", doc.Path, err)
	}
	m, err := newMember(doc, passages, stat, packed)
	if err != nil {
		return fmt.Errorf("put %q: %w", doc.Path, err)
	}
	objects := append(w.store.partObjects(m, packed), w.store.passageObjects(m, doc, passages)...)
	if err := w.put(doc.Path, m, objects); err != nil {
		return fmt.Errorf("put %q: %w", doc.Path, err)
	}
	return nil
}

// Remove takes a document out. It reports whether there was one.
func (w *Writer) Remove(path string) bool { return w.remove(path) }

// Commit makes all changes since the last one visible, together. When it returns nil they are on most of
// their copies; when it returns an error none of them are visible, except if the answer to its last step
// was lost. The writer is then of no use and must be closed.
func (w *Writer) Commit() error {
	now, err := w.commit(w.ctx)
	if err != nil {
		return fmt.Errorf("commit to %s: %w", w.store.cluster.address, err)
	}
	have, err := w.store.state()
	if err != nil || have.state == now {
		return err
	}
	next, err := newTexts(now, have.catalog)
	if err != nil {
		return err
	}
	return w.store.advance(next)
}

// Close gives up what is not committed and gives the lock back.
func (w *Writer) Close() error { return w.close(w.ctx) }
