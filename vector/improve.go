package vector

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"evident/internal/durable"
	"evident/internal/filelock"
)

const (
	mergeFactor = 8    // so many segments of one level, at the latest, become one
	levelZero   = 4096 // a segment with fewer vectors is of level 0; each level is mergeFactor larger
)

// Improve makes searching faster, one step at a time: it merges small segments, drops deleted
// vectors where they are more than half, and gives lists to large segments that have none. While
// it works, the old files answer and a [Writer] may commit. It reports whether there was anything to
// do; call it until there is not. Another process at it is a [*LockedError].
func (x *Index) Improve(ctx context.Context) (changed bool, err error) {
	held, err := filelock.Take(filepath.Join(x.dir, improveName))
	if err != nil {
		return false, fmt.Errorf("improve vector index %q: %w", x.dir, err)
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	x.sweepAside()
	if _, err := x.Refresh(); err != nil {
		return false, err
	}
	base, err := x.Snapshot()
	if err != nil {
		return false, err
	}
	defer base.Release()
	from, to := base.manifest.nextStep()
	if from == to {
		return false, nil
	}
	if err := x.rewrite(ctx, base, from, to); err != nil {
		return false, fmt.Errorf("improve vector index %q: %w", x.dir, err)
	}
	return true, nil
}

// sweepAside removes what an improver left that did not live to publish. The improver's lock is held.
func (x *Index) sweepAside() {
	left, _ := filepath.Glob(filepath.Join(x.dir, "*"+asideSuffix))
	for _, path := range left {
		_ = x.disk.Remove(path)
	}
}

// nextStep chooses the segments from:to to be rewritten as one; from == to means none. A run of neighbours of at most one
// level is merged when many are of that level, or when together they are of the next: commits differ in size, and small
// segments between large ones must not stay.
func (m *manifest) nextStep() (from, to int) {
	levels := make([]int, len(m.Segments))
	for i := range levels {
		levels[i] = levelOf(m.Segments[i : i+1])
	}
	for level := range levelOf(m.Segments) + 1 {
		for from = 0; from < len(levels); from = max(from+1, to) {
			same := 0
			for to = from; to < len(levels) && levels[to] <= level; to++ {
				if levels[to] == level {
					same++
				}
			}
			if to-from > 1 && (same >= mergeFactor || levelOf(m.Segments[from:to]) > level) {
				return from, to
			}
		}
	}
	for i, s := range m.Segments {
		if s.Lists == 0 && s.Vectors-s.Gone >= m.listsFrom() || 2*s.Gone > s.Vectors && s.Vectors >= levelZero {
			return i, i + 1
		}
	}
	return 0, 0
}

// live counts the vectors of segments that are not deleted.
func live(segments []segmentEntry) int {
	n := 0
	for _, s := range segments {
		n += s.Vectors - s.Gone
	}
	return n
}

// levelOf is the level of segments, put together.
func levelOf(segments []segmentEntry) int {
	level := 0
	for vectors := live(segments); vectors >= levelZero; vectors /= mergeFactor {
		level++
	}
	return level
}

// rewrite makes one segment of several and publishes it.
func (x *Index) rewrite(ctx context.Context, base *Snapshot, from, to int) error {
	m := newMerging(base, from, to)
	if len(m.draft.order) >= base.manifest.listsFrom() {
		if err := m.makeLists(ctx); err != nil {
			return err
		}
	}
	aside := filepath.Join(x.dir, fmt.Sprintf("%08d%s", base.Generation(), asideSuffix))
	size, err := m.draft.write(x.disk, aside)
	if err != nil {
		return err
	}
	return x.adopt(ctx, m, aside, segmentEntry{
		Bytes: size, Vectors: len(m.draft.order), Groups: len(m.draft.keys), Lists: m.draft.listCount(),
	})
}

// merging is segments on their way to become one.
type merging struct {
	draft   draft
	files   []string   // of the sources
	numbers [][]uint32 // by source and group: its new number, or dropped
	sizes   []int      // vectors of each new group
}

const dropped = ^uint32(0)

// newMerging numbers the live groups and vectors of the segments from:to.
func newMerging(base *Snapshot, from, to int) *merging {
	m := &merging{draft: draft{d: base.rotation.padded, fine: base.manifest.Fine}}
	for i := from; i < to; i++ {
		s := base.segments[i]
		source := len(m.files)
		m.files = append(m.files, base.manifest.Segments[i].File)
		m.draft.sources = append(m.draft.sources, s)
		numbers := make([]uint32, s.groups())
		for group := range numbers {
			if base.deleted[i] != nil && base.deleted[i][group] {
				numbers[group] = dropped
				continue
			}
			numbers[group] = uint32(len(m.draft.keys))
			m.draft.keys = append(m.draft.keys, s.key(uint32(group)))
		}
		m.numbers = append(m.numbers, numbers)
		for row, group := range s.group {
			if int(group) < len(numbers) && numbers[group] != dropped {
				m.draft.order = append(m.draft.order, newRowRef(source, uint32(row)))
				m.draft.group = append(m.draft.group, numbers[group])
			}
		}
	}
	m.sizes = make([]int, len(m.draft.keys))
	for _, group := range m.draft.group {
		m.sizes[group]++
	}
	return m
}

// makeLists trains lists, unless the largest source has some that fit, and puts the vectors in their
// order.
func (m *merging) makeLists(ctx context.Context) error {
	d := &m.draft
	v := &vectors{sources: d.sources, refs: d.order}
	l := m.knownLists()
	if l == nil {
		var err error
		if l, err = trainLists(ctx, v, d.d, listsOf(len(d.order))); err != nil {
			return err
		}
	}
	centers := make([]float32, l.len()*d.d)
	for i := range l.len() {
		l.centroids.decode(centers[i*d.d:][:d.d], i)
	}
	to := make([]uint32, len(d.order))
	if err := assign(ctx, v, centers, d.d, to); err != nil {
		return err
	}
	l.starts = make([]uint64, l.len()+1)
	for _, list := range to {
		l.starts[list+1]++
	}
	for i := range l.len() {
		l.starts[i+1] += l.starts[i]
	}
	next := slices.Clone(l.starts)
	order, group := make([]rowRef, len(to)), make([]uint32, len(to))
	for i, list := range to {
		order[next[list]], group[next[list]] = d.order[i], d.group[i]
		next[list]++
	}
	d.order, d.group, d.lists = order, group, l
	return nil
}

// knownLists returns the centroids of a source that holds more than half of the vectors and has
// about as many lists as they need.
func (m *merging) knownLists() *lists {
	total := len(m.draft.order)
	for _, s := range m.draft.sources {
		if s.lists == nil || 2*s.len() < total {
			continue
		}
		if want := listsOf(total); 3*s.lists.len() < 2*want || s.lists.len() > 2*want {
			continue
		}
		return &lists{centroids: s.lists.centroids, norms: s.lists.norms}
	}
	return nil
}

// adopt gives the file made aside its name in the place of its sources, and deletes in it what was
// deleted from them meanwhile.
func (x *Index) adopt(ctx context.Context, m *merging, aside string, entry segmentEntry) (err error) {
	w, err := x.waitWriter(ctx)
	if err != nil {
		return errors.Join(err, x.disk.Remove(aside))
	}
	defer x.adopting.Unlock()
	defer func() { err = errors.Join(err, w.Close()) }()
	deleted := make([]bool, len(m.draft.keys)) // of the new segment's groups
	var segments []segmentEntry
	place, found := 0, map[int]bool{}
	for _, s := range w.base.manifest.Segments {
		source := slices.Index(m.files, s.File)
		if source < 0 {
			segments = append(segments, s)
			continue
		}
		if len(found) == 0 {
			place = len(segments)
		}
		found[source] = true
		m.carry(deleted, source, durable.Flags(s.Deleted, s.Groups))
	}
	for source := range m.files {
		if !found[source] { // its last group was deleted, and its file with it
			m.carry(deleted, source, nil)
		}
	}
	for group, gone := range deleted {
		if gone {
			entry.Gone += m.sizes[group]
		}
	}
	entry.Deleted = durable.Ranges(deleted)
	entry.File = w.fileName()
	if err := x.disk.Rename(aside, filepath.Join(x.dir, entry.File)); err != nil {
		return err
	}
	w.err = w.publish(slices.Insert(segments, place, entry))
	return w.err
}

// carry marks those of a source's groups that are deleted now; nil means all.
func (m *merging) carry(marks []bool, source int, deleted []bool) {
	for group, number := range m.numbers[source] {
		if number != dropped && (deleted == nil || deleted[group]) {
			marks[number] = true
		}
	}
}

// waitWriter returns a writer once no other is at work. x.adopting is held then.
func (x *Index) waitWriter(ctx context.Context) (*Writer, error) {
	for {
		x.adopting.Lock()
		w, err := x.writer()
		if err == nil {
			return w, nil
		}
		x.adopting.Unlock()
		if held := new(LockedError); !errors.As(err, &held) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(writerRetry):
		}
	}
}

// writerRetry is the time between two looks at whether a writer has finished.
const writerRetry = 20 * time.Millisecond
