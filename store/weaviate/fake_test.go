package weaviate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weaviate/weaviate/entities/models"
)

// fake is as much of a cluster as the tests that need no server ask for: objects by their IDs, classes, and
// the two queries that journals are read by. All hosts share its state, but for what a test takes from one.
// Ranking, vectors and consistency are the server's own and are tested with it (build tag cluster).
type fake struct {
	t     *testing.T
	hosts []*fakeHost

	mu       sync.Mutex
	classes  map[string]*models.Class
	objects  map[string]map[string]any // by class and ID
	order    []string                  // of what was written: kind or class
	requests int                       // of objects to be written
	refuse   func(*models.Object) string
	alive    int
	most     int // objects that a request may have; others are not answered in time
}

// fakeHost is one of its hosts.
type fakeHost struct {
	*httptest.Server
	down    bool
	missing map[string]bool // names of entries that it does not have yet
	lacks   int             // so many objects of each class by its own count
	counted int             // how often it was asked for that count
	lose    int             // so many of its next answers to writes are lost, after the write
}

// newFake starts a cluster of so many hosts.
func newFake(t *testing.T, hosts int) *fake {
	t.Helper()
	f := &fake{t: t, classes: map[string]*models.Class{}, objects: map[string]map[string]any{}, alive: hosts, most: 1000}
	for range hosts {
		h := &fakeHost{missing: map[string]bool{}}
		h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(h, w, r) }))
		t.Cleanup(h.Close)
		f.hosts = append(f.hosts, h)
	}
	return f
}

// address is that of a collection on the fake.
func (f *fake) address() *Address {
	a := &Address{Collection: "Papers"}
	for _, h := range f.hosts {
		a.Hosts = append(a.Hosts, strings.TrimPrefix(h.URL, "http://"))
	}
	return a
}

// cluster reaches the fake with a clock that sleeping moves.
func (f *fake) cluster() *cluster {
	f.t.Helper()
	c, err := newCluster(f.address(), f.options())
	if err != nil {
		f.t.Fatal(err)
	}
	c.first = 0
	return c
}

func (f *fake) options() Options {
	clock := &fakeClock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	return Options{Patience: 30 * time.Second, Now: clock.time, Sleep: clock.sleep}
}

type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return ctx.Err()
}

func (f *fake) serve(h *fakeHost, w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	switch {
	case path == "meta":
		reply(w, map[string]string{"version": "1.35.2"})
	case path == "nodes":
		f.nodes(w)
	case path == "schema" && r.Method == http.MethodGet:
		reply(w, map[string]any{"classes": slices.Collect(maps.Values(f.classes))})
	case strings.HasPrefix(path, "schema"):
		f.schema(strings.Trim(strings.TrimPrefix(path, "schema"), "/"), w, r)
	case path == "batch/objects" && r.Method == http.MethodPost:
		f.write(h, w, r)
	case path == "batch/objects":
		f.remove(w, r)
	case strings.HasPrefix(path, "objects/"):
		f.get(strings.TrimPrefix(path, "objects/"), w)
	case path == "graphql":
		f.query(h, w, r)
	default:
		f.t.Errorf("the fake knows no %s %s", r.Method, r.URL.Path)
		w.WriteHeader(http.StatusNotImplemented)
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func (f *fake) nodes(w http.ResponseWriter) {
	var nodes []map[string]string
	for i := range f.hosts {
		status := "HEALTHY"
		if i >= f.alive {
			status = "UNAVAILABLE"
		}
		nodes = append(nodes, map[string]string{"name": strconv.Itoa(i), "status": status})
	}
	reply(w, map[string]any{"nodes": nodes})
}

func (f *fake) schema(name string, w http.ResponseWriter, r *http.Request) {
	var class models.Class
	if r.Body != nil {
		json.NewDecoder(r.Body).Decode(&class)
	}
	known := f.classes[name]
	switch {
	case r.Method == http.MethodPost && f.classes[class.Class] != nil:
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprintf(w, `{"error":[{"message":"class name %s already exists"}]}`, class.Class)
	case r.Method == http.MethodPost:
		f.classes[class.Class] = &class
		reply(w, class)
	case r.Method == http.MethodDelete:
		delete(f.classes, name)
		delete(f.objects, name)
	case known == nil:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodPut:
		f.classes[name] = &class
		reply(w, class)
	default:
		reply(w, known)
	}
}

// write stores the objects of a batch, but for those that the test refuses.
func (f *fake) write(h *fakeHost, w http.ResponseWriter, r *http.Request) {
	var batch struct{ Objects []*models.Object }
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		f.t.Error(err)
	}
	if level := r.URL.Query().Get("consistency_level"); level != quorum {
		f.t.Errorf("written at %q, want %s", level, quorum)
	}
	if f.requests++; len(batch.Objects) > f.most {
		w.WriteHeader(http.StatusGatewayTimeout)
		return
	}
	var answers []map[string]any
	for _, o := range batch.Objects {
		result := map[string]any{"status": "SUCCESS"}
		if f.refuse != nil && f.refuse(o) != "" {
			result = map[string]any{
				"status": "FAILED", "errors": map[string]any{"error": []map[string]string{{"message": f.refuse(o)}}},
			}
		} else {
			f.store(o)
		}
		answers = append(answers, map[string]any{"id": o.ID, "class": o.Class, "result": result})
	}
	if h.lose > 0 {
		h.lose--
		panic(http.ErrAbortHandler) // the connection breaks after the write
	}
	reply(w, answers)
}

func (f *fake) store(o *models.Object) {
	if f.objects[o.Class] == nil {
		f.objects[o.Class] = map[string]any{}
	}
	f.objects[o.Class][string(o.ID)] = o.Properties
	what := o.Class
	if kind, ok := o.Properties.(map[string]any)["kind"].(string); ok {
		what = kind
	}
	f.order = append(f.order, what)
}

func (f *fake) get(path string, w http.ResponseWriter) {
	class, id, _ := strings.Cut(path, "/")
	found, ok := f.objects[class][id]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	reply(w, map[string]any{"class": class, "id": id, "properties": found})
}

// remove deletes by the one filter that the store uses.
func (f *fake) remove(w http.ResponseWriter, r *http.Request) {
	var request models.BatchDelete
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		f.t.Error(err)
	}
	where, matches := request.Match.Where, 0
	for id, properties := range f.objects[request.Match.Class] {
		value := id
		if where.Path[0] != "id" {
			value, _ = properties.(map[string]any)[where.Path[0]].(string)
		}
		if slices.Contains(where.ValueTextArray, value) {
			delete(f.objects[request.Match.Class], id)
			matches++
		}
	}
	reply(w, map[string]any{"results": map[string]any{"matches": matches, "successful": matches}})
}

var (
	queryCount = regexp.MustCompile(`Aggregate\s*\{\s*(\w+)`)
	queryClass = regexp.MustCompile(`Get\s*\{\s*(\w+)`)
	queryAfter = regexp.MustCompile(`after:\s*"([^"]*)"`)
	queryLater = regexp.MustCompile(`GreaterThan.*valueInt:\s*(\d+)`)
	queryLimit = regexp.MustCompile(`limit:\s*(\d+)`)
)

// query answers the queries of journals: entries of later commits, or all objects in the order of their IDs.
func (f *fake) query(h *fakeHost, w http.ResponseWriter, r *http.Request) {
	var request struct{ Query string }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		f.t.Error(err)
	}
	if counted := queryCount.FindStringSubmatch(request.Query); counted != nil {
		h.counted++
		n := len(f.objects[counted[1]]) - h.lacks
		reply(w, map[string]any{"data": map[string]any{"Aggregate": map[string]any{
			counted[1]: []map[string]any{{"meta": map[string]int{"count": n}}},
		}}})
		return
	}
	class := queryClass.FindStringSubmatch(request.Query)[1]
	later, after := queryLater.FindStringSubmatch(request.Query), queryAfter.FindStringSubmatch(request.Query)
	limit, _ := strconv.Atoi(queryLimit.FindStringSubmatch(request.Query)[1])
	rows := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(f.objects[class])) {
		row := maps.Clone(f.objects[class][id].(map[string]any))
		name, _ := row["name"].(string)
		commit, _ := row["commit"].(float64)
		if h.missing[name] || after != nil && id <= after[1] {
			continue
		}
		if later != nil {
			if n, _ := strconv.Atoi(later[1]); int(commit) <= n {
				continue
			}
		}
		row["_additional"] = map[string]string{"id": id}
		if len(rows) < limit {
			rows = append(rows, row)
		}
	}
	reply(w, map[string]any{"data": map[string]any{"Get": map[string]any{class: rows}}})
}
