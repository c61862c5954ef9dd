package weaviate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/weaviate/weaviate-go-client/v5/weaviate/filters"
	"github.com/weaviate/weaviate-go-client/v5/weaviate/graphql"
	"github.com/weaviate/weaviate/entities/models"

	"evident/vector"
)

// The vectors' graph (HNSW), in Weaviate's names. Its codes of a byte a coordinate are what is in memory;
// what they find is compared again by the vectors themselves. A question wants the thousand nearest phrases, of which many
// are near each other: of the ten best among 100,000, 16 connections, 128 while building and ef 256 found 0.87, these
// find all, and 0.9985 with half of the ef (docs/results.md).
var graph = map[string]any{
	"distance": "dot", "maxConnections": 32, "efConstruction": 256, "ef": 1024,
	"rq": map[string]any{"enabled": true, "bits": 8, "rescoreLimit": 64},
}

// Phrases are the vectors of a collection's phrases, in groups, as package vector has them in a folder. It is
// safe for concurrent use.
type Phrases struct {
	store    *Store
	journal  *journal
	class    string
	copies   int
	settings vector.Settings

	mu      sync.Mutex
	current *grouped
}

// grouped is a state of the groups.
type grouped struct {
	*state
	vectors int // of all groups
}

func newGrouped(s *state) (*grouped, error) {
	g := &grouped{state: s}
	for key, e := range s.members {
		var of group
		if err := json.Unmarshal([]byte(e.Body), &of); err != nil {
			return nil, fmt.Errorf("entry of %q: %w", key, err)
		}
		g.vectors += of.Vectors
	}
	return g, nil
}

// group is what the journal says of a group.
type group struct {
	Vectors int `json:"vectors"`
}

// CreatePhrases makes the classes of phrases. Where there are some the error is [vector.ErrExists].
func (s *Store) CreatePhrases(ctx context.Context, settings vector.Settings) (*Phrases, error) {
	c := s.cluster
	if _, err := c.noteOf(ctx, groupClass); err == nil {
		return nil, vector.ErrExists
	} else if !errors.Is(err, errNoClass) {
		return nil, err
	}
	_, nodes, err := c.healthy(ctx)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	n := note{Version: schemaVersion, Copies: min(copies, nodes), Vectors: string(encoded)}
	vectors := c.newClass(phraseClass, n, c.shards(nodes), filterable("group", "text"), property("item", "text"))
	vectors.VectorIndexConfig = graph
	groups := c.newClass(groupClass, n, 1, journalProperties()...)
	// What a removal that did not end has left must go first.
	if err := c.drop(ctx, c.class(phraseClass)); err != nil {
		return nil, err
	}
	if err := c.create(ctx, []*models.Class{vectors, groups}); err != nil {
		return nil, err
	}
	return s.OpenPhrases(ctx)
}

// OpenPhrases opens the phrases; where there are none the error is [vector.ErrNoIndex].
func (s *Store) OpenPhrases(ctx context.Context) (*Phrases, error) {
	c := s.cluster
	n, err := c.noteOf(ctx, groupClass)
	if errors.Is(err, errNoClass) {
		return nil, vector.ErrNoIndex
	}
	if err != nil {
		return nil, err
	}
	p := &Phrases{store: s, journal: &journal{c, c.class(groupClass)}, class: c.class(phraseClass), copies: n.Copies}
	if err := json.Unmarshal([]byte(n.Vectors), &p.settings); err != nil {
		return nil, &ForeignError{c.class(groupClass), "its settings cannot be read: " + err.Error()}
	}
	now, err := p.journal.read(ctx, nil)
	if err != nil {
		return nil, err
	}
	p.current, err = newGrouped(now)
	return p, err
}

// HasPhrases says whether there are phrases. A cluster that does not answer has none to use.
func (s *Store) HasPhrases(ctx context.Context) bool {
	_, err := s.cluster.noteOf(ctx, groupClass)
	return err == nil
}

// RemovePhrases removes the phrases. That of the journal goes first: without it there are none.
func (s *Store) RemovePhrases(ctx context.Context) error {
	return errors.Join(
		s.cluster.drop(ctx, s.cluster.class(groupClass)), s.cluster.drop(ctx, s.cluster.class(phraseClass)))
}

// Close ends the use of the phrases.
func (p *Phrases) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = nil
	return nil
}

// Improve has nothing to do: the cluster keeps its graph by itself.
func (p *Phrases) Improve(context.Context) (changed bool, err error) { return false, nil }

func (p *Phrases) state() (*grouped, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return nil, vector.ErrClosed
	}
	return p.current, nil
}

// Refresh moves on to the newest state and says whether it was another.
func (p *Phrases) Refresh(ctx context.Context) (changed bool, err error) {
	have, err := p.state()
	if err != nil {
		return false, err
	}
	now, err := p.journal.read(ctx, have.state)
	if err != nil || now == have.state {
		return false, err
	}
	return true, p.advance(now)
}

func (p *Phrases) advance(now *state) error {
	next, err := newGrouped(now)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil && p.current.Commit <= now.Commit {
		p.current = next
	}
	return nil
}

// PhraseSnapshot is one state of the phrases.
type PhraseSnapshot struct {
	*grouped
	phrases *Phrases
}

// Snapshot returns the state that the phrases are at.
func (p *Phrases) Snapshot() (*PhraseSnapshot, error) {
	now, err := p.state()
	if err != nil {
		return nil, err
	}
	return &PhraseSnapshot{now, p}, nil
}

// Release does nothing.
func (s *PhraseSnapshot) Release() {}

// Generation is the number of the commit that the snapshot shows.
func (s *PhraseSnapshot) Generation() uint32 { return uint32(s.Commit) }

// Settings are what the phrases were made with.
func (s *PhraseSnapshot) Settings() vector.Settings { return s.phrases.settings }

// Groups returns the keys of all groups.
func (s *PhraseSnapshot) Groups() map[string]bool {
	groups := make(map[string]bool, len(s.members))
	for key := range s.members {
		groups[key] = true
	}
	return groups
}

// Stats counts what the snapshot holds.
func (s *PhraseSnapshot) Stats() vector.Stats {
	return vector.Stats{
		Settings: s.phrases.settings, Groups: len(s.members), Vectors: s.vectors, Generation: s.Generation(),
	}
}

// phraseRow is a phrase as its class keeps it.
type phraseRow struct {
	Group      string `json:"group"`
	Item       string `json:"item"` // the ID, decimal
	Additional struct {
		Distance float32 `json:"distance"`
	} `json:"_additional"`
}

// Search returns the hits with the highest scores, best first, equal scores by group and ID. The graph is an
// approximation; Lists and Exact of the query mean nothing here.
func (s *PhraseSnapshot) Search(ctx context.Context, q *vector.Query) ([]vector.Hit, error) {
	if len(q.Vector) != s.phrases.settings.Dim {
		return nil, fmt.Errorf("search: a query of %d coordinates in phrases of %d", len(q.Vector), s.phrases.settings.Dim)
	}
	if q.K <= 0 || len(s.members) == 0 {
		return nil, nil
	}
	near := (&graphql.NearVectorArgumentBuilder{}).WithVector(append(slices.Clone(q.Vector), q.PriorWeight))
	return widen(q.K, func(limit int) ([]vector.Hit, int, error) {
		var rows []phraseRow
		err := s.phrases.store.cluster.do(ctx, func(ctx context.Context, h *host) (err error) {
			if err := s.phrases.store.cluster.whole(ctx, h, s.phrases.class, s.Commit, s.vectors); err != nil {
				return err
			}
			get := h.client.GraphQL().Get().WithNearVector(near).WithLimit(limit)
			rows, err = query[phraseRow](ctx, s.phrases.class, get, append(fields("group", "item"), additional("distance"))...)
			return err
		})
		if err != nil {
			return nil, 0, fmt.Errorf("search phrases: %w", err)
		}
		hits, err := s.hits(rows, q.Accept)
		return hits, len(rows), err
	})
}

// hits are the rows of this state, in order.
func (s *PhraseSnapshot) hits(rows []phraseRow, accept func(string) bool) ([]vector.Hit, error) {
	var hits []vector.Hit
	for _, r := range rows {
		if s.members[r.Group] == nil || accept != nil && !accept(r.Group) {
			continue
		}
		id, err := strconv.ParseUint(r.Item, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("phrase of group %q: %w", r.Group, err)
		}
		hits = append(hits, vector.Hit{Group: r.Group, ID: id, Score: -r.Additional.Distance})
	}
	slices.SortFunc(hits, func(a, b vector.Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Group, b.Group), cmp.Compare(a.ID, b.ID))
	})
	return hits, nil
}

// Verify compares the number of phrases that the cluster has of each group with the journal's.
func (s *PhraseSnapshot) Verify(ctx context.Context) error {
	for key, e := range s.members {
		var want group
		if err := json.Unmarshal([]byte(e.Body), &want); err != nil {
			return fmt.Errorf("entry of %q: %w", key, err)
		}
		rows, err := s.phrases.of(ctx, key)
		if err != nil {
			return err
		}
		if rows != want.Vectors {
			return fmt.Errorf("group %q has %d phrases, the journal says %d", key, rows, want.Vectors)
		}
	}
	return nil
}

// of counts the phrases of a group.
func (p *Phrases) of(ctx context.Context, key string) (int, error) {
	where := filters.Where().WithPath([]string{"group"}).WithOperator(filters.Equal).WithValueText(key)
	n := 0
	err := p.store.cluster.do(ctx, func(ctx context.Context, h *host) error {
		get := h.client.GraphQL().Get().WithWhere(where).WithLimit(searchMax)
		rows, err := query[phraseRow](ctx, p.class, get, fields("item")...)
		n = len(rows)
		return err
	})
	return n, err
}

// PhraseWriter changes the phrases. Nothing of it is seen before Commit. It is not safe for concurrent use.
type PhraseWriter struct {
	phrases *Phrases
	ctx     context.Context //nolint:containedctx // as of Writer
	*transaction
}

// Writer takes the lock of the phrases, removes what an earlier writer has left, and returns a writer.
func (p *Phrases) Writer(ctx context.Context) (*PhraseWriter, error) {
	lasting := context.WithoutCancel(ctx)
	t, err := p.journal.begin(lasting, groupClass, p.copies)
	if err != nil {
		return nil, err
	}
	w := &PhraseWriter{p, lasting, t}
	var keys []string
	for _, e := range t.base.garbage {
		if !t.live[e.Name] {
			keys = append(keys, e.Name)
		}
	}
	err = p.store.cluster.remove(lasting, p.class, "group", keys)
	if err == nil {
		err = p.journal.forget(lasting, t.base.garbage)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("remove phrases that are not needed any more: %w", err), w.Close())
	}
	return w, nil
}

// Has says whether there is a group of that key.
func (w *PhraseWriter) Has(group string) bool { return w.live[group] }

// Put adds a group of vectors. One of a key that there is already is left as it is: a key names what its
// vectors are made of.
func (w *PhraseWriter) Put(key string, items []vector.Item) error {
	if w.live[key] {
		return w.err
	}
	objects := make([]*models.Object, len(items))
	for i, item := range items {
		if len(item.Vector) != w.phrases.settings.Dim {
			return fmt.Errorf("put %q: vector %d has %d coordinates, not %d",
				key, item.ID, len(item.Vector), w.phrases.settings.Dim)
		}
		objects[i] = &models.Object{
			Class: w.phrases.class, ID: objectID(w.phrases.class, key, item.ID),
			Vector:     append(slices.Clone(item.Vector), item.Prior),
			Properties: map[string]any{"group": key, "item": strconv.FormatUint(item.ID, 10)},
		}
	}
	return w.put(key, group{len(items)}, objects)
}

// Remove takes a group out. It reports whether there was one.
func (w *PhraseWriter) Remove(group string) bool { return w.remove(group) }

// Commit makes all changes since the last one visible, together; see [Writer.Commit].
func (w *PhraseWriter) Commit() error {
	now, err := w.commit(w.ctx)
	if err != nil {
		return fmt.Errorf("commit phrases to %s: %w", w.phrases.store.cluster.address, err)
	}
	return w.phrases.advance(now)
}

// Close gives up what is not committed and gives the lock back.
func (w *PhraseWriter) Close() error { return w.close(w.ctx) }
