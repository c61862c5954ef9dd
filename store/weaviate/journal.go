package weaviate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/weaviate/weaviate-go-client/v5/weaviate/filters"
	"github.com/weaviate/weaviate-go-client/v5/weaviate/graphql"
	"github.com/weaviate/weaviate/entities/models"
)

// journal says which members a set has: documents by their paths, groups of phrases by their keys. It is a
// class of entries, each "in commit C this became of member M", and one head: the newest commit, how many
// members there are then, and the exclusive or of their hashes.
//
// An entry is written before what it speaks of, and counts from the moment the head reaches its commit:
//
//	commit 8 is begun   entries of commit 8, then passages, …   readers, at head 7, ignore both
//	commit 8 is made    the head says 8                          readers see all of it
//	a writer dies       entries beyond the head                  the next writer removes what they name
//
// Of several entries of a member the newest counts; older ones, and what they name, are removed by the next
// writer. Removed members keep an entry that says so, because a node that was away brings old ones back.
type journal struct {
	cluster *cluster
	class   string
}

// entry is one line of the journal.
type entry struct {
	Name    string `json:"name"`
	Commit  int64  `json:"commit"`
	Order   int64  `json:"order"` // within the commit
	Removed bool   `json:"removed"`
	Body    string `json:"body"` // of a member, JSON
}

// head is the object that makes commits visible.
type head struct {
	Commit  int64  `json:"commit"`
	Members int    `json:"members"`
	Sum     string `json:"sum"` // of the members' hashes, hex
}

// state is what a journal says at a commit. It is not changed.
type state struct {
	head
	members map[string]*entry
	garbage []*entry // that do not count, when the whole journal was read
}

func journalProperties() []*models.Property {
	return []*models.Property{
		property("kind", "text"), property("name", "text"), filterable("commit", "int"), property("order", "int"),
		property("removed", "boolean"), property("body", "text"),
	}
}

// The kinds of objects in the class.
const (
	kindEntry = "entry"
	kindHead  = "head"
	kindNote  = "note" // what a store keeps beside
)

// hash is the share of a member in the sum.
func (e *entry) hash() uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d\x00%s", e.Name, e.Commit, e.Order, e.Body))
	return binary.LittleEndian.Uint64(sum[:])
}

// newer says whether an entry is of a later moment than another of the same member.
func (e *entry) newer(than *entry) bool {
	return cmp.Or(cmp.Compare(e.Commit, than.Commit), cmp.Compare(e.Order, than.Order)) > 0
}

func (j *journal) object(e *entry) *models.Object {
	return &models.Object{
		Class: j.class, ID: objectID(j.class, e.Name, e.Commit, e.Order), Properties: map[string]any{
			"kind": kindEntry, "name": e.Name, "commit": e.Commit, "order": e.Order, "removed": e.Removed, "body": e.Body,
		},
	}
}

// keep writes a text under a name beside the entries.
func (j *journal) keep(ctx context.Context, kind, name string, commit int64, body string) error {
	return j.cluster.put(ctx, []*models.Object{{
		Class: j.class, ID: objectID(j.class, kind, name), Properties: map[string]any{
			"kind": kind, "name": name, "commit": commit, "body": body,
		},
	}})
}

// kept reads what keep has written; "" where that was nothing.
func (j *journal) kept(ctx context.Context, kind, name string) (string, error) {
	found, err := j.cluster.get(ctx, j.class, objectID(j.class, kind, name))
	if err != nil || found == nil {
		return "", err
	}
	var e entry
	err = properties(found, &e)
	return e.Body, err
}

// readHead returns the newest head, and the zero one of a journal that has none yet.
func (j *journal) readHead(ctx context.Context) (head, error) {
	var h head
	body, err := j.kept(ctx, kindHead, "")
	if err != nil || body == "" {
		return h, err
	}
	if err := json.Unmarshal([]byte(body), &h); err != nil {
		return h, &ForeignError{j.class, "its head cannot be read: " + err.Error()}
	}
	return h, nil
}

// commit makes the entries visible: from then on readers see them.
func (j *journal) commit(ctx context.Context, before *state, entries []*entry) (*state, error) {
	next := before.with(entries)
	next.Commit = before.Commit + 1
	next.Members = len(next.members)
	next.Sum = strconv.FormatUint(next.sum(), 16)
	body, err := json.Marshal(next.head)
	if err != nil {
		return nil, err
	}
	return next, j.keep(ctx, kindHead, "", 0, string(body))
}

// sum is the exclusive or of all members' hashes.
func (s *state) sum() uint64 {
	sum := uint64(0)
	for _, e := range s.members {
		sum ^= e.hash()
	}
	return sum
}

// with returns the members after some entries.
func (s *state) with(entries []*entry) *state {
	next := &state{members: maps.Clone(s.members)}
	slices.SortStableFunc(entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.Commit, b.Commit), cmp.Compare(a.Order, b.Order))
	})
	if next.members == nil {
		next.members = map[string]*entry{}
	}
	for _, e := range entries {
		if e.Removed {
			delete(next.members, e.Name)
		} else {
			next.members[e.Name] = e
		}
	}
	return next
}

// is says whether a state is the one that a head speaks of.
func (s *state) is(h head) bool {
	sum, err := strconv.ParseUint(cmp.Or(h.Sum, "0"), 16, 64)
	return err == nil && len(s.members) == h.Members && s.sum() == sum
}

// How often a host is asked for a journal that it did not have whole, and how long to wait before.
const (
	catchUpTimes = 4
	catchUpPause = 500 * time.Millisecond
)

// read returns the newest state; have is an older one, of which only what changed is read, or nil. What a
// host says counts only if it agrees with the head: a node that was away may not have all of it yet, and then
// another one is asked.
func (j *journal) read(ctx context.Context, have *state) (*state, error) {
	var incomplete *IncompleteError
	for range catchUpTimes {
		for _, h := range j.cluster.order() {
			now, err := j.readHead(ctx)
			if err != nil {
				return nil, fmt.Errorf("read class %s: %w", j.class, err)
			}
			if have != nil && have.head == now {
				return have, nil
			}
			found, err := j.readFrom(ctx, h, have, now)
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case err != nil && !elsewhere(err):
				return nil, fmt.Errorf("read class %s: %s: %w", j.class, h.name, plain(err))
			case err != nil:
				continue
			case found.is(now):
				found.head = now
				return found, nil
			}
			incomplete = &IncompleteError{j.class, len(found.members), now.Members}
			have = nil // perhaps it is what is known that is wrong
		}
		if err := j.cluster.opts.Sleep(ctx, catchUpPause); err != nil {
			return nil, err
		}
	}
	if incomplete != nil {
		return nil, incomplete
	}
	return nil, &UnreachableError{Address: j.cluster.address.String()}
}

// changesMax is the number of entries from which the whole journal is read.
const changesMax = 5000

// readFrom asks one host for the state at a head.
func (j *journal) readFrom(ctx context.Context, h *host, have *state, now head) (*state, error) {
	if have == nil {
		return j.all(ctx, h, now.Commit)
	}
	entries, err := j.since(ctx, h, have.Commit)
	if err != nil || len(entries) == changesMax {
		return j.all(ctx, h, now.Commit)
	}
	return have.with(upTo(entries, now.Commit)), nil
}

func upTo(entries []*entry, commit int64) []*entry {
	return slices.DeleteFunc(entries, func(e *entry) bool { return e.Commit > commit })
}

// row is an object of the class as queries return it.
type row struct {
	entry
	Kind       string `json:"kind"`
	Additional struct {
		ID string `json:"id"`
	} `json:"_additional"`
}

var rowFields = append(fields("kind", "name", "commit", "order", "removed", "body"), additional("id"))

// since returns the entries of later commits.
func (j *journal) since(ctx context.Context, h *host, commit int64) ([]*entry, error) {
	later := filters.Where().WithPath([]string{"commit"}).WithOperator(filters.GreaterThan).WithValueInt(commit)
	rows, err := j.rows(ctx, h, func(q *graphql.GetBuilder) *graphql.GetBuilder {
		return q.WithWhere(later).WithLimit(changesMax)
	})
	return entriesOf(rows), err
}

// rows asks one host for objects of the class.
func (j *journal) rows(
	ctx context.Context, h *host, choose func(*graphql.GetBuilder) *graphql.GetBuilder,
) (rows []row, err error) {
	err = j.cluster.ask(ctx, h, callTimeout, func(ctx context.Context, h *host) error {
		rows, err = query[row](ctx, j.class, choose(h.client.GraphQL().Get()), rowFields...)
		return err
	})
	return rows, err
}

func entriesOf(rows []row) []*entry {
	var entries []*entry
	for i := range rows {
		if rows[i].Kind == kindEntry {
			entries = append(entries, &rows[i].entry)
		}
	}
	return entries
}

// pageRows is the number of rows that one query of the whole class returns.
const pageRows = 2000

// all reads the whole journal.
func (j *journal) all(ctx context.Context, h *host, commit int64) (*state, error) {
	var entries []*entry
	for after := ""; ; {
		rows, err := j.rows(ctx, h, func(q *graphql.GetBuilder) *graphql.GetBuilder {
			return q.WithLimit(pageRows).WithAfter(after)
		})
		if err != nil {
			return nil, err
		}
		entries = append(entries, entriesOf(rows)...)
		if len(rows) < pageRows {
			return fold(entries, commit), nil
		}
		after = rows[len(rows)-1].Additional.ID
	}
}

// fold makes a state of all entries, and sets aside those that do not count.
func fold(entries []*entry, commit int64) *state {
	newest := map[string]*entry{}
	s := &state{}
	for _, e := range entries {
		before := newest[e.Name]
		switch {
		case e.Commit > commit:
			s.garbage = append(s.garbage, e)
		case before == nil:
			newest[e.Name] = e
		case e.newer(before):
			s.garbage = append(s.garbage, before)
			newest[e.Name] = e
		default:
			s.garbage = append(s.garbage, e)
		}
	}
	counting := s.with(slices.Collect(maps.Values(newest)))
	s.members = counting.members
	return s
}

// forget removes entries.
func (j *journal) forget(ctx context.Context, entries []*entry) error {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = string(j.object(e).ID)
	}
	return j.cluster.remove(ctx, j.class, "id", ids)
}
