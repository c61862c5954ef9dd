package vector

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"evident/internal/durable"
	"evident/internal/filelock"
)

// Item is a vector to be added.
type Item struct {
	ID     uint64    // the caller's name for it, unique in its group
	Vector []float32 // [Dim]
	Prior  float32   // what is added to its score whatever the query, times Query.PriorWeight
}

// spillVectors is the number of vectors collected in memory before they are written aside.
const spillVectors = 1 << 16

// Writer changes an index. Nothing of it is seen before Commit. It is not safe for concurrent use.
type Writer struct {
	index *Index
	lock  *filelock.Lock
	err   error // of an earlier step: the writer is of no use any more

	base     *Snapshot
	live     map[string]place  // where each group is, uncommitted ones included
	deleted  map[string][]bool // by segment file: its deleted groups, where that has changed
	gone     map[string]int    // by segment file: vectors that were deleted since the last commit
	closed   []segmentEntry    // new segments that are complete
	open     *memory           // collects a new segment; nil when empty
	nextFile int
	changed  bool
}

// place is where a live group is.
type place struct {
	file    string
	group   uint32
	vectors int
}

// memory is a segment that grows.
type memory struct {
	segment
	name    string // of the file it will be
	keys    []string
	rotated []float32
}

// Writer takes the lock and returns a writer at the newest generation, or a [*LockedError]. Close
// it after use.
func (x *Index) Writer() (*Writer, error) {
	x.adopting.Lock()
	defer x.adopting.Unlock()
	return x.writer()
}

func (x *Index) writer() (*Writer, error) {
	held, err := filelock.Take(filepath.Join(x.dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("write vector index %q: %w", x.dir, err)
	}
	w := &Writer{index: x, lock: held, deleted: map[string][]bool{}, gone: map[string]int{}}
	if _, err = x.Refresh(); err == nil {
		w.base, err = x.Snapshot()
	}
	if err != nil {
		return nil, errors.Join(err, held.Release())
	}
	w.nextFile = w.base.manifest.NextFile
	// What the manifest says must last before anything goes that only an older one names.
	if err := x.disk.SyncFolder(x.dir); err != nil {
		w.err = err
		return nil, errors.Join(err, w.Close())
	}
	w.sweep()
	w.live = map[string]place{}
	for i, g := range w.base.segments {
		file := w.base.manifest.Segments[i].File
		sizes := make([]int, g.groups())
		for row, group := range g.group {
			if int(group) >= len(sizes) {
				err := durable.Damaged(g.path, "vector %d is of group %d of %d", row, group, len(sizes))
				return nil, errors.Join(err, w.Close())
			}
			sizes[group]++
		}
		for group, n := range sizes {
			if w.base.deleted[i] == nil || !w.base.deleted[i][group] {
				w.live[g.key(uint32(group))] = place{file, uint32(group), n}
			}
		}
	}
	return w, nil
}

// Has says whether there is a group of that key.
func (w *Writer) Has(group string) bool {
	_, ok := w.live[group]
	return ok
}

// Put adds a group of vectors, or replaces the one of the same key. A group may be empty.
func (w *Writer) Put(group string, items []Item) error {
	if w.err != nil {
		return w.err
	}
	dim := w.base.manifest.Dim
	for _, item := range items {
		if len(item.Vector) != dim {
			return fmt.Errorf("put %q: a vector of %d coordinates in an index of %d", group, len(item.Vector), dim)
		}
		if !finite(item.Prior) || slices.ContainsFunc(item.Vector, func(v float32) bool { return !finite(v) }) {
			return fmt.Errorf("put %q: vector %d has a coordinate or a prior that is not finite", group, item.ID)
		}
	}
	w.Remove(group)
	if w.open == nil {
		w.open = &memory{name: w.fileName(), rotated: make([]float32, w.base.rotation.padded)}
		w.open.fixed.d = w.base.rotation.padded
	}
	number := uint32(len(w.open.keys))
	w.open.keys = append(w.open.keys, group)
	for _, item := range items {
		w.open.add(w.base, number, item)
	}
	w.live[group] = place{w.open.name, number, len(items)}
	w.changed = true
	if w.open.len() >= spillVectors {
		if err := w.spill(); err != nil {
			w.err = fmt.Errorf("put %q: %w", group, err)
		}
	}
	return w.err
}

func finite(v float32) bool { return v-v == 0 }

func (m *memory) add(base *Snapshot, group uint32, item Item) {
	base.rotation.apply(m.rotated, item.Vector)
	m.fixed.append(m.rotated, base.manifest.Fine)
	norm := 0.0
	for _, v := range m.rotated {
		norm += float64(v) * float64(v)
	}
	m.norm = max(m.norm, float32(math.Sqrt(norm))*(1+1e-6))
	m.priors = append(m.priors, item.Prior)
	m.ids = append(m.ids, item.ID)
	m.group = append(m.group, group)
}

// Remove takes a group out. It reports whether there was one.
func (w *Writer) Remove(group string) bool {
	at, ok := w.live[group]
	if w.err != nil || !ok {
		return false
	}
	delete(w.live, group)
	flags, ok := w.deleted[at.file]
	if !ok {
		for i, entry := range w.base.manifest.Segments {
			if entry.File == at.file {
				flags = durable.Flags(entry.Deleted, w.base.segments[i].groups())
			}
		}
	}
	for int(at.group) >= len(flags) { // a segment that is still growing
		flags = append(flags, false)
	}
	flags[at.group] = true
	w.deleted[at.file] = flags
	w.gone[at.file] += at.vectors
	w.changed = true
	return true
}

func (w *Writer) fileName() string {
	w.nextFile++
	return fmt.Sprintf("%08d%s", w.nextFile-1, segmentSuffix)
}

// spill writes the vectors in memory to a file that the next commit will name.
func (w *Writer) spill() error {
	m := w.open
	if m == nil {
		return nil
	}
	w.open = nil
	d := &draft{
		sources: []*segment{&m.segment}, group: m.group, keys: m.keys, d: m.fixed.d, fine: w.base.manifest.Fine,
	}
	for row := range m.len() {
		d.order = append(d.order, newRowRef(0, uint32(row)))
	}
	entry := segmentEntry{File: m.name, Vectors: m.len(), Groups: len(m.keys)}
	var err error
	entry.Bytes, err = d.write(w.index.disk, filepath.Join(w.index.dir, m.name))
	if err != nil {
		return err
	}
	w.closed = append(w.closed, entry)
	return nil
}

// Commit makes all changes since the last one durable and visible, together. When it returns an
// error none of them are, except if the error came from the very last sync; the writer is then of
// no use and must be closed.
func (w *Writer) Commit() error {
	if w.err != nil || !w.changed {
		return w.err
	}
	if err := w.commit(); err != nil {
		w.err = fmt.Errorf("commit to vector index %q: %w", w.index.dir, err)
	}
	return w.err
}

func (w *Writer) commit() error {
	if err := w.spill(); err != nil {
		return err
	}
	segments := slices.Concat(w.base.manifest.Segments, w.closed)
	for i := range segments {
		if flags, ok := w.deleted[segments[i].File]; ok {
			segments[i].Deleted = durable.Ranges(flags)
			segments[i].Gone += w.gone[segments[i].File]
		}
	}
	if err := w.publish(segments); err != nil {
		return err
	}
	w.deleted, w.gone, w.closed, w.changed = map[string][]bool{}, map[string]int{}, nil, false
	return nil
}

// publish makes segments the next generation: first the names of new files last, then the manifest
// is replaced, then files that are in no manifest any more are removed.
func (w *Writer) publish(segments []segmentEntry) error {
	next := *w.base.manifest
	next.Generation++
	next.NextFile = w.nextFile
	next.Segments = slices.DeleteFunc(segments, func(s segmentEntry) bool {
		return s.Groups == groupsIn(s.Deleted)
	})
	if err := w.index.disk.SyncFolder(w.index.dir); err != nil {
		return err
	}
	if err := next.write(w.index.disk, w.index.dir); err != nil {
		return err
	}
	fresh, err := load(w.index.dir, w.base)
	if err != nil {
		return err
	}
	fresh.refs.Add(1) // one for the writer, one for the index
	w.base.Release()
	w.base = fresh
	if err := w.index.advance(fresh); err != nil && !errors.Is(err, ErrClosed) {
		return err
	}
	w.sweep()
	return nil
}

func groupsIn(ranges []durable.Range) int {
	n := 0
	for _, r := range ranges {
		n += int(r[1] - r[0])
	}
	return n
}

// sweep removes files that the manifest on disk does not name: of older generations, or of a writer
// or improver that did not live to commit. Failing to remove one does no harm.
func (w *Writer) sweep() {
	now, err := readManifest(w.index.dir)
	if err != nil {
		return
	}
	named := map[string]bool{}
	for _, s := range now.Segments {
		named[s.File] = true
	}
	for _, s := range w.closed {
		named[s.File] = true
	}
	entries, err := os.ReadDir(w.index.dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if name := entry.Name(); filepath.Ext(name) == segmentSuffix && !named[name] {
			_ = w.index.disk.Remove(filepath.Join(w.index.dir, name))
		}
	}
}

// Close gives up what is not committed and gives the lock back.
func (w *Writer) Close() error {
	if w.lock == nil {
		return nil
	}
	w.open, w.closed = nil, nil
	if w.err == nil { // else nobody knows which manifest lasts
		w.sweep()
	}
	w.base.Release()
	err := w.lock.Release()
	w.lock = nil
	if w.err == nil {
		w.err = errors.New("the writer is closed")
	}
	return err
}
