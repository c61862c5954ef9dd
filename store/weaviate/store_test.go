package weaviate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/weaviate/weaviate/entities/models"

	"evident/document"
	"evident/internal/durable"
	"evident/store"
	"evident/vector"
)

// text is a document of sentences, each of which is a passage.
func text(path string, sentences ...string) (*document.Document, []document.Passage) {
	d := &document.Document{
		Path: path, Format: "txt", Title: "T", Headings: []document.Mark{{At: 0, Label: "T", Level: 1}},
	}
	var passages []document.Passage
	for _, s := range sentences {
		span := document.ByteSpan{Start: len(d.Text), End: len(d.Text) + len(s)}
		d.Text += s + "\n"
		d.Blocks = append(d.Blocks, span)
		passages = append(passages, document.Passage{Span: span, Heading: "T"})
	}
	return d, passages
}

// create makes a collection on a fake.
func create(t *testing.T, f *fake) *Store {
	t.Helper()
	s, err := Create(t.Context(), f.address(), f.options())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// write commits documents of one sentence each, by path.
func write(t *testing.T, s *Store, documents map[string]string, gone ...string) {
	t.Helper()
	w, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for path, sentence := range documents {
		d, passages := text(path, sentence)
		if err := w.Put(d, passages, store.FileStat{Size: int64(len(d.Text)), MTimeNS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range gone {
		if !w.Remove(path) {
			t.Errorf("%s was not there", path)
		}
	}
	if err := errors.Join(w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
}

// textsOf reads all documents of the newest state, by path.
func textsOf(t *testing.T, s *Store) map[string]string {
	t.Helper()
	if _, err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	snapshot, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	files, _ := snapshot.Files()
	for path := range files {
		d, err := snapshot.Document(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = strings.TrimSpace(d.Text)
	}
	return all
}

func TestDocumentsComeBackAsTheyWere(t *testing.T) {
	f := newFake(t, 3)
	s := create(t, f)
	random := rand.New(rand.NewPCG(3, 5))
	var long strings.Builder // hard to compress, so that it takes several parts
	for long.Len() < 2*partBytes {
		fmt.Fprintf(&long, "%x ", random.Uint64())
	}
	short := "The bridge – “die Brücke” – spans the Aare."
	d, passages := text("/a", short, "\u0000 \u2028 \u007f é", long.String())
	d.Pages = []document.Mark{{At: 3, Label: "ii"}}
	w, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	photo := &document.Document{Path: "/p.png", Format: "image/png", Picture: &document.Picture{
		Width: 3, Height: 5, Model: "m", Vector: []float32{0.1, -1.0 / 3, 1e-20},
	}}
	stat := store.FileStat{Size: 7, MTimeNS: 1_700_000_000_123_456_789, Inode: 1<<63 + 11, SHA256: "ab"}
	err = errors.Join(w.Put(d, passages, stat), w.Put(photo, nil, stat), w.Commit(), w.Close())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(f.objects["PapersPart"]); n < 2 {
		t.Errorf("the document has %d parts: the test needs several", n)
	}
	for _, opened := range []*Store{s, create(t, f)} { // the writer's, and another process's
		snapshot, err := opened.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := snapshot.Document("/a")
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, d) {
			t.Error("the document differs")
		}
		if p, err := snapshot.Pictures(); err != nil || len(p) != 1 || !reflect.DeepEqual(p[0].Picture, photo.Picture) {
			t.Errorf("pictures %+v, %v", p, err)
		}
		if was, err := snapshot.Stat("/a"); err != nil || was != stat {
			t.Errorf("stat %+v, %v", was, err)
		}
		want := store.Stats{Documents: 1, Passages: 3, Pictures: 1, Generation: 1}
		if stats := snapshot.Stats(); stats != want {
			t.Errorf("stats %+v, want %+v", stats, want)
		}
		if _, err := snapshot.Document("/b"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v, want ErrNotFound", err)
		}
	}
}

// TestWritingAgainChangesNothing: the objects of a document are the same however often it is put.
func TestWritingAgainChangesNothing(t *testing.T) {
	f := newFake(t, 3)
	s := create(t, f)
	write(t, s, map[string]string{"/a": "One sentence.", "/b": "Another."})
	passages, parts := len(f.objects["PapersPassage"]), len(f.objects["PapersPart"])
	for range 3 {
		write(t, s, map[string]string{"/a": "One sentence."})
	}
	if len(f.objects["PapersPassage"]) != passages || len(f.objects["PapersPart"]) != parts || passages != 2 {
		t.Errorf("%d passages and %d parts, before %d and %d",
			len(f.objects["PapersPassage"]), len(f.objects["PapersPart"]), passages, parts)
	}
	write(t, s, map[string]string{"/a": "Changed."}, "/b")
	if got := fmt.Sprint(textsOf(t, s)); got != "map[/a:Changed.]" {
		t.Errorf("got %s", got)
	}
	write(t, s, map[string]string{"/c": "A third."}) // the next writer removes what is not needed
	if n := len(f.objects["PapersPassage"]); n != 2 {
		t.Errorf("%d passages, want those of /a and /c", n)
	}
}

// TestNothingIsSeenBeforeTheCommit: a writer that dies leaves nothing that a reader sees, and the next one
// removes it.
func TestNothingIsSeenBeforeTheCommit(t *testing.T) {
	f := newFake(t, 3)
	s := create(t, f)
	write(t, s, map[string]string{"/a": "Old."})
	w, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for path, sentence := range map[string]string{"/a": "New.", "/b": "Another."} {
		d, passages := text(path, sentence)
		if err := w.Put(d, passages, store.FileStat{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.sender.wait(); err != nil { // everything but the head is written
		t.Fatal(err)
	}
	if n := len(f.objects["PapersPassage"]); n != 3 {
		t.Fatalf("%d passages are written, want 3", n)
	}
	if got := fmt.Sprint(textsOf(t, create(t, f))); got != "map[/a:Old.]" {
		t.Errorf("a reader sees %s", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, s, map[string]string{"/c": "A third."})
	if got := fmt.Sprint(textsOf(t, s)); got != "map[/a:Old. /c:A third.]" {
		t.Errorf("after the next writer: %s", got)
	}
	if n := len(f.objects["PapersPassage"]); n != 2 {
		t.Errorf("%d passages, want 2: what the dead writer has left is removed", n)
	}
}

// TestEntriesAreWrittenFirst: what a writer that dies has written is named by an entry, or nobody could
// remove it; and the head comes last.
func TestEntriesAreWrittenFirst(t *testing.T) {
	f := newFake(t, 1)
	s := create(t, f)
	f.order = nil
	write(t, s, map[string]string{"/a": "One."})
	want := []string{kindEntry, "PapersPart", "PapersPassage", kindHead}
	if !slices.Equal(f.order, want) {
		t.Errorf("written in the order %v, want %v", f.order, want)
	}
}

// TestWritesAreTriedAgain: objects that are refused, answers that are lost and hosts that fail cost nothing
// but time.
func TestWritesAreTriedAgain(t *testing.T) {
	for name, trouble := range map[string]func(*fake){
		"some objects refused": func(f *fake) {
			times := map[strfmt.UUID]int{}
			f.refuse = func(o *models.Object) string {
				if times[o.ID]++; times[o.ID] < 3 {
					return "replica is busy"
				}
				return ""
			}
		},
		"answers lost": func(f *fake) {
			for _, h := range f.hosts {
				h.lose = 1
			}
		},
		"one host down":  func(f *fake) { f.hosts[0].down = true },
		"two hosts down": func(f *fake) { f.hosts[0].down, f.hosts[2].down = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, 3)
			s := create(t, f)
			trouble(f)
			write(t, s, map[string]string{"/a": "One.", "/b": "Two.", "/c": "Three."})
			if got := fmt.Sprint(textsOf(t, s)); got != "map[/a:One. /b:Two. /c:Three.]" {
				t.Errorf("got %s", got)
			}
			if n := len(f.objects["PapersPassage"]); n != 3 {
				t.Errorf("%d passages", n)
			}
		})
	}
}

// TestBusyHostsAreAskedForLess: hosts that manage few objects in time get few.
func TestBusyHostsAreAskedForLess(t *testing.T) {
	f := newFake(t, 2)
	f.most = 3
	c := f.cluster()
	var objects []*models.Object
	for i := range 50 {
		objects = append(objects, &models.Object{Class: "X", ID: objectID("X", i), Properties: map[string]any{"n": i}})
	}
	if err := c.put(t.Context(), objects); err != nil {
		t.Fatal(err)
	}
	if n := len(f.objects["X"]); n != 50 {
		t.Errorf("%d objects of 50", n)
	}
	f.most = 0
	if err := c.put(t.Context(), objects); !errors.Is(err, ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable: none was acknowledged", err)
	}
}

// TestRefusedWritesAreNotAcknowledged: patience ends, and then the commit fails.
func TestRefusedWritesAreNotAcknowledged(t *testing.T) {
	f := newFake(t, 3)
	s := create(t, f)
	f.refuse = func(o *models.Object) string {
		if o.Class == "PapersPassage" {
			return "no space left"
		}
		return ""
	}
	w, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	d, passages := text("/a", "One.")
	if err := w.Put(d, passages, store.FileStat{}); err != nil {
		t.Fatal(err)
	}
	err = w.Commit()
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("error %v, want the server's reason", err)
	}
	if f.requests < 5 {
		t.Errorf("only %d requests", f.requests)
	}
	if got := textsOf(t, create(t, f)); len(got) != 0 {
		t.Errorf("a reader sees %v", got)
	}
	if err := w.Commit(); err == nil {
		t.Error("the writer commits after it has failed")
	}
}

// TestTooFewCopies: a quorum of those that live may be one; the head is not written then.
func TestTooFewCopies(t *testing.T) {
	f := newFake(t, 3)
	s := create(t, f)
	w, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	d, passages := text("/a", "One.")
	if err := w.Put(d, passages, store.FileStat{}); err != nil {
		t.Fatal(err)
	}
	f.alive = 1
	var few *CopiesError
	err = w.Commit()
	if !errors.As(err, &few) || !errors.Is(err, ErrUnavailable) || few.Alive != 1 || few.Needed != 2 {
		t.Errorf("error %v, want 1 of 3 where 2 are needed", err)
	}
	if got := textsOf(t, create(t, f)); len(got) != 0 {
		t.Errorf("a reader sees %v", got)
	}
}

// TestReadersWantAllOfTheJournal: a host that has not caught up is not believed; when none has, that is an
// error and not a shorter list.
func TestReadersWantAllOfTheJournal(t *testing.T) {
	f := newFake(t, 3)
	s := create(t, f)
	write(t, s, map[string]string{"/a": "One.", "/b": "Two."})
	f.hosts[0].missing["/b"], f.hosts[1].missing["/b"] = true, true
	for range 3 { // whichever host is asked first
		if got := fmt.Sprint(textsOf(t, create(t, f))); got != "map[/a:One. /b:Two.]" {
			t.Errorf("got %s", got)
		}
	}
	late := create(t, f)
	write(t, s, map[string]string{"/c": "Three."})
	f.hosts[0].missing["/c"], f.hosts[1].missing["/c"] = true, true
	if got := fmt.Sprint(textsOf(t, late)); got != "map[/a:One. /b:Two. /c:Three.]" {
		t.Errorf("a reader that goes on sees %s", got)
	}
	f.hosts[2].missing["/a"] = true
	_, err := Open(t.Context(), f.address(), f.options())
	var incomplete *IncompleteError
	if !errors.As(err, &incomplete) || !errors.Is(err, ErrUnavailable) || incomplete.Want != 3 {
		t.Errorf("error %v, want an IncompleteError", err)
	}
}

// TestHostsThatLackObjects: a host that has fewer objects than the commit is passed over, and is asked for
// their number once.
func TestHostsThatLackObjects(t *testing.T) {
	f := newFake(t, 3)
	s := create(t, f)
	write(t, s, map[string]string{"/a": "One.", "/b": "Two."})
	f.hosts[0].lacks, f.hosts[1].lacks = 1, 2
	ask := func() (answered []string, err error) {
		err = s.cluster.do(t.Context(), func(ctx context.Context, h *host) error {
			if err := s.cluster.whole(ctx, h, s.passages, 1, 2); err != nil {
				return err
			}
			_, err := h.client.Cluster().NodesStatusGetter().Do(ctx)
			if err == nil {
				answered = append(answered, h.name)
			}
			return err
		})
		return answered, err
	}
	for range 4 {
		answered, err := ask()
		if err != nil || len(answered) != 1 || answered[0] != f.address().Hosts[2] {
			t.Fatalf("answered %v, %v, want the host that has everything", answered, err)
		}
	}
	if n := f.hosts[2].counted; n != 1 {
		t.Errorf("asked for its number %d times", n)
	}
	f.hosts[2].down = true
	if _, err := ask(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "caught up") {
		t.Errorf("error %v, want that none has caught up", err)
	}
	f.hosts[0].lacks = 0
	if answered, err := ask(); err != nil || answered[0] != f.address().Hosts[0] {
		t.Errorf("answered %v, %v, want the host that has caught up", answered, err)
	}
}

// TestSnapshotsStay: a reader goes on with what it has until it refreshes.
func TestSnapshotsStay(t *testing.T) {
	f := newFake(t, 1)
	s := create(t, f)
	write(t, s, map[string]string{"/a": "One."})
	reader := create(t, f)
	before, err := reader.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, map[string]string{"/b": "Two."}, "/a")
	if files, _ := before.Files(); len(files) != 1 || before.Generation() != 1 {
		t.Errorf("the snapshot has changed: %v", files)
	}
	changed, err := reader.Refresh(t.Context())
	if err != nil || !changed {
		t.Errorf("refresh: %v, %v", changed, err)
	}
	if changed, err := reader.Refresh(t.Context()); err != nil || changed {
		t.Errorf("refresh again: %v, %v", changed, err)
	}
	if got := fmt.Sprint(textsOf(t, reader)); got != "map[/b:Two.]" {
		t.Errorf("got %s", got)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	describe := func(f *fake, class, description string) { f.classes[class].Description = description }
	for name, c := range map[string]struct {
		change func(*fake)
		want   func(error) bool
	}{
		"no collection": {
			func(f *fake) { clear(f.classes) }, func(err error) bool { return errors.Is(err, store.ErrNoIndex) },
		},
		"a newer version": {
			func(f *fake) { describe(f, "PapersDocument", `{"evident":2,"copies":3}`) },
			func(err error) bool {
				var version *durable.VersionError
				return errors.As(err, &version) && version.Got == 2 && version.Want == schemaVersion
			},
		},
		"another's class": {func(f *fake) { describe(f, "PapersDocument", "my papers") }, isForeign("PapersDocument")},
		"a class is gone": {func(f *fake) { delete(f.classes, "PapersPart") }, isForeign("PapersPart")},
		"other analyser": {
			func(f *fake) { describe(f, "PapersPassage", `{"evident":1,"copies":3,"analyzer":"x"}`) },
			isForeign("PapersPassage"),
		},
		"fewer copies": {
			func(f *fake) { f.classes["PapersPassage"].ReplicationConfig.Factor = 1 }, isForeign("PapersPassage"),
		},
		"no host answers": {downAll, func(err error) bool { return errors.Is(err, ErrUnavailable) }},
		"one host answers": {
			func(f *fake) { downAll(f); f.hosts[1].down = false }, func(err error) bool { return err == nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, 3)
			create(t, f)
			c.change(f)
			if _, err := Open(t.Context(), f.address(), f.options()); !c.want(err) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func isForeign(class string) func(error) bool {
	return func(err error) bool {
		var foreign *ForeignError
		return errors.As(err, &foreign) && foreign.Class == class
	}
}

func downAll(f *fake) {
	for _, h := range f.hosts {
		h.down = true
	}
}

// TestUnreachableNamesEveryHost: the error says what each host said.
func TestUnreachableNamesEveryHost(t *testing.T) {
	f := newFake(t, 2)
	downAll(f)
	_, err := Open(t.Context(), f.address(), f.options())
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || len(unreachable.Causes) != 2 {
		t.Fatalf("error %v", err)
	}
	for _, host := range f.address().Hosts {
		if !strings.Contains(err.Error(), host) {
			t.Errorf("%q does not name %s", err, host)
		}
	}
}

// TestKeyIsAskedFor: a cluster that wants a key is no cluster that is down.
func TestKeyIsAskedFor(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"code":401,"message":"anonymous access not enabled"}`, http.StatusUnauthorized)
	}))
	defer refusing.Close()
	a := &Address{Hosts: []string{strings.TrimPrefix(refusing.URL, "http://")}, Collection: "Papers"}
	_, err := Open(t.Context(), a, Options{})
	if !errors.Is(err, ErrKey) || errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "anonymous access") {
		t.Errorf("error %v, want ErrKey and the server's reason", err)
	}
}

func TestAPIKeyIsSent(t *testing.T) {
	f := newFake(t, 1)
	create(t, f)
	sent := map[string]bool{}
	o := f.options()
	o.APIKey = "secret"
	o.Transport = transport(func(r *http.Request) { sent[r.Header.Get("Authorization")] = true })
	if _, err := Open(t.Context(), f.address(), o); err != nil {
		t.Fatal(err)
	}
	if len(sent) != 1 || !sent["Bearer secret"] {
		t.Errorf("sent %v", sent)
	}
}

type transport func(*http.Request)

func (look transport) RoundTrip(r *http.Request) (*http.Response, error) {
	look(r)
	return http.DefaultTransport.RoundTrip(r)
}

// TestLock: one writer at a time; the lock of one that died expires; the error names the holder.
func TestLock(t *testing.T) {
	f := newFake(t, 1)
	c := f.cluster()
	first, err := c.takeLock(t.Context(), documentClass)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.takeLock(t.Context(), documentClass)
	var held *LockedError
	named := errors.As(err, &held) && held.PID == first.holder.PID && held.Host == first.holder.Host
	if !named || !errors.Is(err, store.ErrLocked) {
		t.Fatalf("error %v, want who holds it", err)
	}
	if other, err := c.takeLock(t.Context(), groupClass); err != nil {
		t.Errorf("the lock of phrases: %v", err)
	} else if err := other.release(t.Context()); err != nil {
		t.Error(err)
	}
	c.opts.Sleep(t.Context(), expireAfter+time.Second)
	if err := first.held(t.Context()); err != nil {
		t.Errorf("error %v, but nobody took it: it is renewed", err)
	}
	if _, err = c.takeLock(t.Context(), documentClass); !errors.As(err, &held) || !held.Renewed.Equal(c.opts.Now()) {
		t.Errorf("error %v, want when it was renewed", err)
	}
	seen := first.holder
	c.opts.Sleep(t.Context(), expireAfter+time.Second)
	if err := first.renew(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.bury(t.Context(), first.class, &seen); !errors.As(err, &held) {
		t.Errorf("error %v: it was renewed since it was seen to be expired", err)
	}
	c.opts.Sleep(t.Context(), expireAfter+time.Second)
	second, err := c.takeLock(t.Context(), documentClass)
	if err != nil {
		t.Fatalf("an expired lock: %v", err)
	}
	if err := first.held(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("error %v, want errLost", err)
	}
	if err := first.release(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.takeLock(t.Context(), documentClass); !errors.Is(err, store.ErrLocked) {
		t.Errorf("error %v: releasing an expired lock must not release its successor", err)
	}
	if err := second.release(t.Context()); err != nil {
		t.Error(err)
	}
	if len(f.classes) != 0 {
		t.Errorf("%d classes are left", len(f.classes))
	}
}

// TestWriterOfAnExpiredLockDoesNotCommit: another may be at work.
func TestWriterOfAnExpiredLockDoesNotCommit(t *testing.T) {
	f := newFake(t, 1)
	s := create(t, f)
	w, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	d, passages := text("/a", "One.")
	if err := w.Put(d, passages, store.FileStat{}); err != nil {
		t.Fatal(err)
	}
	s.cluster.opts.Sleep(t.Context(), expireAfter)
	other, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); !errors.Is(err, errLost) {
		t.Errorf("error %v, want errLost", err)
	}
	if err := errors.Join(other.Close(), w.Close()); err != nil {
		t.Error(err)
	}
	for name := range f.classes {
		if strings.Contains(name, "Lock") {
			t.Errorf("%s is left", name)
		}
	}
}

// TestLockOfTheSameNumber: numbers begin anew when no lock is left, and who has lost a lock neither renews nor
// releases that of another which has its number.
func TestLockOfTheSameNumber(t *testing.T) {
	f := newFake(t, 1)
	c := f.cluster()
	take := func() *lock {
		l, err := c.takeLock(t.Context(), documentClass)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := take()
	c.opts.Sleep(t.Context(), expireAfter)
	if err := take().release(t.Context()); err != nil {
		t.Fatal(err)
	}
	third := take()
	if third.class != first.class {
		t.Fatalf("%s and %s: this tests nothing", first.class, third.class)
	}
	if err := first.renew(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("error %v of renewing", err)
	}
	if err := first.release(t.Context()); err != nil {
		t.Error(err)
	}
	if held, err := c.holderOf(t.Context(), third.class); err != nil || !held.same(&third.holder) {
		t.Errorf("%+v, %v", held, err)
	}
	if err := third.release(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPutRefusesWhatIsWrong(t *testing.T) {
	f := newFake(t, 1)
	s := create(t, f)
	w, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	d, _ := text("/a", "One.")
	if err := w.Put(d, []document.Passage{{Span: document.ByteSpan{Start: 2, End: 99}}}, store.FileStat{}); err == nil {
		t.Error("a passage beyond the text was put")
	}
	d.SHA256 = strings.Repeat("0", 64)
	if err := w.Put(d, nil, store.FileStat{}); err == nil {
		t.Error("a text of another checksum was put")
	}
}

// TestDamageIsSeen: a part or a passage that is not as it was written is an error, never an answer.
func TestDamageIsSeen(t *testing.T) {
	f := newFake(t, 1)
	s := create(t, f)
	write(t, s, map[string]string{"/a": "One sentence."})
	for _, class := range []string{"PapersPart", "PapersPassage"} {
		for _, o := range f.objects[class] {
			properties := o.(map[string]any)
			if properties["text"] = "Other sentence."; properties["data"] != nil {
				properties["data"] = "H4sIAAAAAAAA/wAAAP//AQAA//8AAAAAAAAAAA=="
			}
		}
	}
	snapshot, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var damaged *store.DamagedError
	if _, err := snapshot.Document("/a"); !errors.As(err, &damaged) {
		t.Errorf("document: %v, want a DamagedError", err)
	}
	if err := snapshot.fetchOne("", passageID(0, 0)); !errors.As(err, &damaged) {
		t.Errorf("passage: %v, want a DamagedError", err)
	}
	clear(f.objects["PapersPart"])
	if _, err := snapshot.Document("/a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a missing part: %v", err)
	}
}

func TestFoldTakesTheNewest(t *testing.T) {
	entries := []*entry{
		{Name: "a", Commit: 1, Order: 0, Body: "1"},
		{Name: "a", Commit: 3, Order: 0, Body: "3"},
		{Name: "a", Commit: 2, Order: 9, Removed: true},
		{Name: "b", Commit: 2, Order: 1, Body: "2"},
		{Name: "b", Commit: 2, Order: 4, Removed: true},
		{Name: "c", Commit: 4, Order: 0, Body: "not committed"},
		{Name: "d", Commit: 3, Order: 2, Body: "3"},
		{Name: "d", Commit: 3, Order: 1, Body: "earlier in the commit"},
	}
	want := "map[a:3 d:3]"
	for range 20 {
		for i := range entries { // in any order
			j := (i*7 + 3) % len(entries)
			entries[i], entries[j] = entries[j], entries[i]
		}
		s := fold(slices.Clone(entries), 3)
		got := map[string]string{}
		for name, e := range s.members {
			got[name] = e.Body
		}
		if fmt.Sprint(got) != want || len(s.garbage) != 5 {
			t.Fatalf("%v and %d that do not count, want %s and 5", got, len(s.garbage), want)
		}
	}
}

// TestObjectIDs pins IDs: were they to change, importing again would duplicate everything.
func TestObjectIDs(t *testing.T) {
	if got := objectID("PapersPassage", "key", 7); got != "2a7ee185-58fc-5f31-8628-9d0b0eb8d307" {
		t.Errorf("ID %s", got)
	}
	if objectID("a", "b") == objectID("ab", "") || objectID("a", 1) != objectID("a", 1) {
		t.Error("IDs depend on more, or less, than their parts")
	}
}

func TestUnwrittenNeedsAnAcknowledgement(t *testing.T) {
	objects := []*models.Object{{ID: "1"}, {ID: "2"}, {ID: "3"}}
	var answers []models.ObjectsGetResponse
	if err := json.Unmarshal([]byte(`[
		{"id":"1","result":{"status":"SUCCESS"}},
		{"id":"2","result":{"status":"FAILED","errors":{"error":[{"message":"full"}]}}}]`), &answers); err != nil {
		t.Fatal(err)
	}
	left, why := unwritten(objects, answers)
	if len(left) != 2 || left[0].ID != "2" || left[1].ID != "3" || why == nil || why.Error() != "full" {
		t.Errorf("left %v, %v", left, why)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	var objects []*models.Object
	for range 3 {
		data := strings.Repeat("x", requestBytes*2/3)
		objects = append(objects, &models.Object{Properties: map[string]any{"data": data}})
	}
	if n := request(objects); n != 1 {
		t.Errorf("%d large objects in a request", n)
	}
	small := make([]*models.Object, 3*requestObjects)
	for i := range small {
		small[i] = &models.Object{}
	}
	if n := request(small); n != requestObjects {
		t.Errorf("%d small objects in a request", n)
	}
}

func TestWidenAsksUntilThereAreEnough(t *testing.T) {
	for name, c := range map[string]struct{ k, rows, shown, want int }{
		"enough at once":    {10, 100, 1, 10},
		"every fourth":      {10, 1000, 4, 10},
		"not so many":       {10, 24, 4, 6},
		"nothing":           {10, 0, 1, 0},
		"none may be shown": {10, 50, 1000, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := widen(c.k, func(limit int) (shown []int, rows int, err error) {
				for i := range min(limit, c.rows) {
					if i%c.shown == 0 {
						shown = append(shown, i)
					}
				}
				return shown, min(limit, c.rows), nil
			})
			if err != nil || len(got) != c.want {
				t.Errorf("%d, %v, want %d", len(got), err, c.want)
			}
		})
	}
}

// TestPhraseGroups: groups are committed, removed and replaced like documents.
func TestPhraseGroups(t *testing.T) {
	f := newFake(t, 3)
	s := create(t, f)
	if _, err := s.OpenPhrases(t.Context()); !errors.Is(err, vector.ErrNoIndex) {
		t.Errorf("error %v, want ErrNoIndex", err)
	}
	p, err := s.CreatePhrases(t.Context(), vector.Settings{Dim: 2, Fine: true, Tag: "model"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreatePhrases(t.Context(), vector.Settings{Dim: 3}); !errors.Is(err, vector.ErrExists) {
		t.Errorf("error %v, want ErrExists", err)
	}
	put := func(key string, n int) {
		t.Helper()
		w, err := p.Writer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		items := make([]vector.Item, n)
		for i := range items {
			items[i] = vector.Item{ID: 1<<63 + uint64(i), Vector: []float32{1, 0}, Prior: 0.5}
		}
		if err := errors.Join(w.Put(key, items), w.Commit(), w.Close()); err != nil {
			t.Fatal(err)
		}
	}
	put("a", 3)
	put("b", 2)
	put("a", 3)
	opened, err := s.OpenPhrases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := opened.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if stats := snapshot.Stats(); stats.Vectors != 5 || stats.Groups != 2 || stats.Tag != "model" || stats.Dim != 2 {
		t.Errorf("stats %+v", stats)
	}
	w, err := p.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !w.Remove("a") || w.Remove("nothing") || w.Has("a") || !w.Has("b") {
		t.Error("removing, or having, a group")
	}
	if err := errors.Join(w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	put("c", 1) // removes what is left of a
	if n := len(f.objects["PapersPhrase"]); n != 3 {
		t.Errorf("%d phrases, want those of b and c", n)
	}
	if err := w.Put("d", []vector.Item{{Vector: []float32{1}}}); err == nil {
		t.Error("a closed writer puts a vector of another length")
	}
	if err := s.RemovePhrases(t.Context()); err != nil || s.HasPhrases(t.Context()) {
		t.Errorf("phrases are left: %v", err)
	}
}

// TestContextEndsReading: a call that is given up says so, and blames no host.
func TestContextEndsReading(t *testing.T) {
	f := newFake(t, 2)
	s := create(t, f)
	write(t, s, map[string]string{"/a": "One."})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	snapshot, err := create(t, f).Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := snapshot.Document("/a"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// TestWriterFinishes: a commit keeps what was put although the context has ended meanwhile.
func TestWriterFinishes(t *testing.T) {
	f := newFake(t, 1)
	s := create(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	w, err := s.Writer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d, passages := text("/a", "One.")
	if err := w.Put(d, passages, store.FileStat{}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := errors.Join(w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if got := textsOf(t, s); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}
