//go:build cluster

package weaviate_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"evident"
	"evident/document"
	"evident/store"
	"evident/store/weaviate"
	"evident/vector"
)

// The data of the exercise: paragraphs of Wikipedia, then of free-software documentation.
const (
	data           = "../../../shared/data/qa"
	passagesTotal  = 100_000
	rowsOfDocument = 50
	commitEvery    = 40 // documents
	asked          = 200
)

// exercise is what the steps of TestCluster share.
type exercise struct {
	dir       string // of the embedded index
	nodes     []*node
	address   string
	documents []*storedDocument
	questions []string
	vectors   [][]float32 // of the questions

	cluster  *weaviate.Store
	phrases  *weaviate.Phrases
	embedded *store.Store
	index    *vector.Index
}

// storedDocument is a document with its passages, and a phrase of each.
type storedDocument struct {
	*document.Document
	passages []document.Passage
	items    []vector.Item
}

// TestCluster loads a cluster of three nodes, kills nodes meanwhile, and compares what it answers with the
// embedded store. EVIDENT_CLUSTER_PASSAGES makes it smaller.
func TestCluster(t *testing.T) {
	x := &exercise{dir: t.TempDir()}
	x.readCorpus(t)
	x.nodes = startNodes(t, 3, flushSeconds+"5")
	x.address = address("exercise", x.nodes...)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
		base bool // the others build on it
	}{
		{"import while a node is killed", x.importTexts, true},
		{"nothing acknowledged is lost", x.nothingLost, false},
		{"importing again changes nothing", x.importAgain, true},
		{"phrases while a node is killed", x.importPhrases, true},
		{"build the embedded index", x.buildEmbedded, true},
		{"vectors rank as in a folder", x.compareVectors, false},
		{"words rank as in a folder", x.compareWords, false},
		{"sizes", x.measure, false},
		{"queries while a node is killed", x.queriesGoOn, false},
		{"a node that was away is not believed", x.comesBack, false},
		{"too few copies acknowledge nothing", x.tooFewCopies, false},
	} {
		if !t.Run(step.name, step.run) && step.base {
			t.FailNow()
		}
	}
}

// readCorpus reads the texts and makes the vectors.
func (x *exercise) readCorpus(t *testing.T) {
	total := passagesTotal
	if n, err := strconv.Atoi(os.Getenv("EVIDENT_CLUSTER_PASSAGES")); err == nil {
		total = n
	}
	var rows []evident.CorpusRow
	for _, file := range []string{"corpus_wiki.jsonl.gz", "corpus_docs.jsonl.gz"} {
		rows = append(rows, readRows(t, filepath.Join(data, file), total-len(rows))...)
	}
	if len(rows) < total {
		t.Fatalf("only %d rows", len(rows))
	}
	x.questions = readQuestions(t, filepath.Join(data, "squad-1.1-dev.json.gz"), asked)
	for first := 0; first < len(rows); first += rowsOfDocument {
		x.documents = append(x.documents, newDocument(rows[first:min(first+rowsOfDocument, len(rows))], first))
	}
	x.makeVectors(t, rows)
}

// readRows reads up to n rows of a corpus.
func readRows(t *testing.T, path string, n int) []evident.CorpusRow {
	t.Helper()
	var rows []evident.CorpusRow
	decoder := json.NewDecoder(unzipped(t, path))
	for len(rows) < n {
		var row evident.CorpusRow
		if err := decoder.Decode(&row); err != nil {
			break
		}
		rows = append(rows, row)
	}
	return rows
}

// unzipped opens a file of the shared data; without it the test is skipped.
func unzipped(t *testing.T, path string) *gzip.Reader {
	t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("NOT TESTED: %s is missing", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// readQuestions reads every so many-th question of SQuAD, n in all.
func readQuestions(t *testing.T, path string, n int) []string {
	t.Helper()
	var squad struct {
		Data []struct {
			Paragraphs []struct {
				QAs []struct{ Question string }
			}
		}
	}
	if err := json.NewDecoder(unzipped(t, path)).Decode(&squad); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, article := range squad.Data {
		for _, paragraph := range article.Paragraphs {
			for _, qa := range paragraph.QAs {
				all = append(all, qa.Question)
			}
		}
	}
	var some []string
	for i := range n {
		some = append(some, all[i*len(all)/n])
	}
	return some
}

func newDocument(rows []evident.CorpusRow, first int) *storedDocument {
	d := &storedDocument{Document: &document.Document{Path: fmt.Sprintf("/corpus/%06d", first), Format: "txt"}}
	var text strings.Builder
	for _, row := range rows {
		start := text.Len()
		text.WriteString(strings.ToValidUTF8(row.Text, "\uFFFD"))
		span := document.ByteSpan{Start: start, End: text.Len()}
		d.passages = append(d.passages, document.Passage{Span: span, Heading: row.Title})
		d.Blocks = append(d.Blocks, span)
		text.WriteString("\n\n")
	}
	d.Text = text.String()
	return d
}

// encodedPassages is the number of passages whose phrases are encoded; the vectors of the others are these,
// with noise, because encoding all would take hours.
const encodedPassages = 60

// makeVectors gives each passage the vector of one phrase.
func (x *exercise) makeVectors(t *testing.T, rows []evident.CorpusRow) {
	encoder, err := evident.OpenPhraseEncoder(t.Context(), evident.Options{})
	if err != nil {
		t.Skipf("NOT TESTED: no phrase encoder: %v", err)
	}
	step := max(1, len(rows)/encodedPassages)
	var texts []string
	for i := 0; i < len(rows) && len(texts) < encodedPassages; i += step {
		texts = append(texts, rows[i].Text)
	}
	encoded, err := encoder.Contexts(t.Context(), texts, 0)
	if err != nil {
		t.Fatal(err)
	}
	var real []evident.EncodedPhrase
	for _, c := range encoded {
		real = append(real, c.Phrases...)
	}
	random := rand.New(rand.NewPCG(7, 11))
	for _, d := range x.documents {
		for n := range d.passages {
			d.items = append(d.items, noisy(random, real[random.IntN(len(real))].Vector, uint64(n)))
		}
	}
	for _, q := range x.questions {
		v, _, err := encoder.Question(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		x.vectors = append(x.vectors, v[:len(v)-1]) // the last one is the prior's
	}
	t.Logf("%d phrases of %d passages encoded; each passage has one of them, with noise of a tenth its length",
		len(real), len(texts))
}

// noisy moves a phrase's vector, whose last coordinate is its prior, by a tenth of its length.
func noisy(random *rand.Rand, phrase []float32, id uint64) vector.Item {
	dim := len(phrase) - 1
	item := vector.Item{ID: id, Prior: phrase[dim], Vector: make([]float32, dim)}
	norm := 0.0
	for i := range item.Vector {
		v := float64(phrase[i]) + 0.1*random.NormFloat64()/math.Sqrt(float64(dim))
		item.Vector[i] = float32(v)
		norm += v * v
	}
	for i := range item.Vector {
		item.Vector[i] /= float32(math.Sqrt(norm))
	}
	return item
}

// importTexts loads the passages, kills a node a third of the way, and restarts it at two thirds.
func (x *exercise) importTexts(t *testing.T) {
	// The machine of a test may be busy with others, and slow.
	s, err := weaviate.Create(t.Context(), parse(t, x.address), weaviate.Options{Patience: 15 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	x.cluster = s
	w, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	victim := x.nodes[1]
	clock := newRates(t)
	for i, d := range x.documents {
		switch i {
		case len(x.documents) / 3:
			clock.mark("three nodes", passagesOf(x.documents[:i]))
			victim.kill()
		case 2 * len(x.documents) / 3:
			clock.mark("two of three", passagesOf(x.documents[len(x.documents)/3:i]))
			victim.start(t)
		}
		if err := w.Put(d.Document, d.passages, store.FileStat{Size: int64(len(d.Text))}); err != nil {
			t.Fatal(err)
		}
		if (i+1)%commitEvery == 0 || i+1 == len(x.documents) {
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	clock.mark("one catching up", passagesOf(x.documents[2*len(x.documents)/3:]))
	victim.waitReady(t)
}

func passagesOf(documents []*storedDocument) int {
	n := 0
	for _, d := range documents {
		n += len(d.passages)
	}
	return n
}

func parse(t *testing.T, text string) *weaviate.Address {
	t.Helper()
	a, err := weaviate.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// rates logs how fast things are written.
type rates struct {
	t     *testing.T
	begun time.Time
}

func newRates(t *testing.T) *rates { return &rates{t, time.Now()} }

func (r *rates) mark(what string, n int) {
	took := time.Since(r.begun)
	r.t.Logf("%s: %d in %.1f s, %.0f a second", what, n, took.Seconds(), float64(n)/took.Seconds())
	r.begun = time.Now()
}

// nothingLost waits until each node has all passages by its own count, and reads a quarter of it through the one
// that was killed, a fortieth through the others.
func (x *exercise) nothingLost(t *testing.T) {
	waitHealthy(t, x.nodes[0], 3)
	begun := time.Now()
	for _, n := range x.nodes {
		every := 40
		if n.number == 1 {
			every = 4 // it was killed
		}
		waitFor(t, 10*time.Minute, func() error { return x.allThere(later(t, 10*time.Minute), n, every) })
		t.Logf("node %d has everything after %.1f s", n.number, time.Since(begun).Seconds())
	}
}

// allThere reads every so many-th document, and its passages, through one node and compares with what was put.
func (x *exercise) allThere(ctx context.Context, n *node, every int) error {
	a, err := weaviate.ParseAddress(address("exercise", n))
	if err != nil {
		return err
	}
	s, err := weaviate.Open(ctx, a, weaviate.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	if count, err := countOf(ctx, n, "ExercisePassage"); err != nil || count != passagesOf(x.documents) {
		return fmt.Errorf("node %d counts %d passages of %d: %w", n.number, count, passagesOf(x.documents), err)
	}
	snapshot, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	for i := 0; i < len(x.documents); i += every {
		d := x.documents[i]
		ids, err := snapshot.PassagesOf(d.Path)
		if err != nil || len(ids) != len(d.passages) {
			return fmt.Errorf("node %d: %d passages of %s: %w", n.number, len(ids), d.Path, err)
		}
		found, err := snapshot.Passages(ids)
		if err != nil {
			return err
		}
		for i, p := range found {
			span := d.passages[i].Span
			if p.Span != span || p.Text != d.Text[span.Start:span.End] || p.Heading != d.passages[i].Heading {
				return fmt.Errorf("node %d: passage %d of %s differs", n.number, i, d.Path)
			}
		}
		if doc, err := snapshot.Document(d.Path); err != nil || doc.Text != d.Text || len(doc.Blocks) != len(d.Blocks) {
			return fmt.Errorf("node %d: document %s differs: %w", n.number, d.Path, err)
		}
	}
	return nil
}

// waitFor tries again until check succeeds.
func waitFor(t *testing.T, most time.Duration, check func() error) {
	t.Helper()
	for begun := time.Now(); ; {
		err := check()
		if err == nil {
			return
		}
		if time.Since(begun) > most || t.Context().Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
}

// importAgain puts a tenth of the documents once more: there are not more objects than before.
func (x *exercise) importAgain(t *testing.T) {
	w, err := x.cluster.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i := 0; i < len(x.documents); i += 10 {
		d := x.documents[i]
		if err := w.Put(d.Document, d.passages, store.FileStat{Size: int64(len(d.Text))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := x.cluster.Writer(t.Context()); !errors.Is(err, store.ErrLocked) {
		t.Errorf("a second writer: %v, want ErrLocked", err)
	}
	got := must(x.cluster.Snapshot(t.Context())).Stats()
	if got.Documents != len(x.documents) || got.Passages != passagesOf(x.documents) {
		t.Errorf("%+v after importing again", got)
	}
	waitFor(t, time.Minute, func() error {
		n, err := countOf(t.Context(), x.nodes[0], "ExercisePassage")
		if err != nil || n != passagesOf(x.documents) {
			return fmt.Errorf("%d passages, want %d: %w", n, passagesOf(x.documents), err)
		}
		return nil
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// importPhrases loads the vectors; another node is killed half of the way and comes back at three quarters.
func (x *exercise) importPhrases(t *testing.T) {
	p, err := x.cluster.CreatePhrases(t.Context(), x.settings())
	if err != nil {
		t.Fatal(err)
	}
	x.phrases = p
	w, err := p.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	victim := x.nodes[2]
	clock := newRates(t)
	for i, d := range x.documents {
		switch i {
		case len(x.documents) / 2:
			clock.mark("vectors, three nodes", passagesOf(x.documents[:i]))
			victim.kill()
		case 3 * len(x.documents) / 4:
			clock.mark("vectors, two of three", passagesOf(x.documents[len(x.documents)/2:i]))
			victim.start(t)
		}
		if err := w.Put(d.Path, d.items); err != nil {
			t.Fatal(err)
		}
		if (i+1)%commitEvery == 0 || i+1 == len(x.documents) {
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	clock.mark("vectors, one catching up", passagesOf(x.documents[3*len(x.documents)/4:]))
	victim.waitReady(t)
	waitHealthy(t, x.nodes[0], 3)
	begun := time.Now()
	for _, n := range x.nodes {
		waitFor(t, 10*time.Minute, func() error {
			count, err := countOf(t.Context(), n, "ExercisePhrase")
			if err != nil || count != passagesOf(x.documents) {
				return fmt.Errorf("node %d counts %d phrases of %d: %w", n.number, count, passagesOf(x.documents), err)
			}
			return nil
		})
		t.Logf("node %d has all phrases after %.1f s", n.number, time.Since(begun).Seconds())
	}
}

func (x *exercise) settings() vector.Settings {
	return vector.Settings{Dim: len(x.vectors[0]), Fine: true, Tag: "exercise"}
}

// buildEmbedded makes the same index in a folder.
func (x *exercise) buildEmbedded(t *testing.T) {
	dir := x.dir
	var err error
	if x.embedded, err = store.Create(filepath.Join(dir, "texts"), store.Options{}); err != nil {
		t.Fatal(err)
	}
	w := must(x.embedded.Writer())
	defer w.Close()
	if x.index, err = vector.Create(filepath.Join(dir, "phrases"), x.settings()); err != nil {
		t.Fatal(err)
	}
	v := must(x.index.Writer())
	defer v.Close()
	for _, d := range x.documents {
		if err := errors.Join(w.Put(d.Document, d.passages, store.FileStat{}), v.Put(d.Path, d.items)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Commit(), v.Commit()); err != nil {
		t.Fatal(err)
	}
}

// clusterVectors are the ten nearest phrases of a question.
func (x *exercise) clusterVectors(ctx context.Context, question int) ([]vector.Hit, error) {
	return x.nearest(ctx, x.phrases, question)
}

func (x *exercise) nearest(ctx context.Context, p *weaviate.Phrases, question int) ([]vector.Hit, error) {
	s, err := p.Snapshot()
	if err != nil {
		return nil, err
	}
	return s.Search(ctx, &vector.Query{Vector: x.vectors[question], K: 10, PriorWeight: 1})
}

// compareVectors requires of each node the same ten phrases as of an exact search: recall of at least 0.99, and
// equal scores.
func (x *exercise) compareVectors(t *testing.T) {
	exact := make([]map[string]float32, len(x.questions))
	var took []time.Duration
	for i := range x.questions {
		begun := time.Now()
		hits := must(x.index.Search(t.Context(), &vector.Query{Vector: x.vectors[i], K: 10, PriorWeight: 1, Exact: true}))
		took = append(took, time.Since(begun))
		exact[i] = map[string]float32{}
		for _, h := range hits {
			exact[i][fmt.Sprint(h.Group, h.ID)] = h.Score
		}
	}
	t.Logf("exact in a folder: p50 %.1f ms", milliseconds(took))
	for _, n := range x.nodes {
		s := must(weaviate.Open(t.Context(), parse(t, address("exercise", n)), weaviate.Options{}))
		defer s.Close()
		x.compareVectorsOf(t, n, must(s.OpenPhrases(t.Context())), exact)
	}
}

func (x *exercise) compareVectorsOf(t *testing.T, n *node, p *weaviate.Phrases, exact []map[string]float32) {
	same, worst := 0, 0.0
	missed := map[string]int{}
	var took []time.Duration
	for i := range x.questions {
		begun := time.Now()
		got, err := x.nearest(t.Context(), p, i)
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begun))
		found := map[string]bool{}
		for _, h := range got {
			key := fmt.Sprint(h.Group, h.ID)
			if score, ok := exact[i][key]; ok {
				found[key] = true
				worst = max(worst, math.Abs(float64(score-h.Score)))
			}
		}
		same += len(found)
		for key := range exact[i] {
			if !found[key] {
				missed[key]++
			}
		}
	}
	recall := float64(same) / float64(10*len(x.questions))
	t.Logf("node %d: recall@10 %.4f of %d questions, largest difference of a score %.2g, p50 %.1f ms",
		n.number, recall, len(x.questions), worst, milliseconds(took))
	if recall < 0.99 || worst > 1e-5 {
		t.Errorf("node %d: recall %.4f, want at least 0.99; scores differ by %g, at most 1e-5 is rounding; missed: %v",
			n.number, recall, worst, missed)
	}
}

func milliseconds(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2].Microseconds()) / 1000
}

// passageKey names a passage in both stores.
func passageKey(p store.Passage) string { return fmt.Sprintf("%s %d", p.Path, p.Span.Start) }

// ranking is the best passages of a question, best first, with their scores.
type ranking struct {
	keys   []string
	scores map[string]float32
}

func rankingOf(search func(string, int) ([]store.Hit, error), read func(store.PassageID) (store.Passage, error),
	question string, k int,
) (*ranking, error) {
	hits, err := search(question, k)
	if err != nil {
		return nil, err
	}
	r := &ranking{scores: map[string]float32{}}
	for _, h := range hits {
		p, err := read(h.Passage)
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, passageKey(p))
		r.scores[passageKey(p)] = h.Score
	}
	return r, nil
}

func (x *exercise) clusterWords(ctx context.Context, question string) (*ranking, error) {
	s, err := x.cluster.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return rankingOf(s.Search, s.Passage, question, 10)
}

// measure logs what a node needs.
func (x *exercise) measure(t *testing.T) {
	for _, n := range x.nodes {
		memory, disk := n.memory(t)
		t.Logf("node %d: %.0f MB resident, %.0f MB on disk, for %d passages and as many phrases of %d coordinates",
			n.number, memory, disk, passagesOf(x.documents), x.settings().Dim+1)
	}
	begun := time.Now()
	s := must(weaviate.Open(t.Context(), parse(t, x.address), weaviate.Options{}))
	t.Logf("opening reads the entries of %d documents in %.0f ms", len(x.documents), time.Since(begun).Seconds()*1000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s.Close()
	s = nil
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("a reader keeps %.1f KB a document", float64(before.HeapAlloc-after.HeapAlloc)/float64(len(x.documents))/1e3)
}

// found is what a question finds both ways: the ten best passages by words, the ten best phrases by vectors.
type found struct{ words, near map[string]bool }

func (x *exercise) find(ctx context.Context, question int) (*found, error) {
	words, err := x.clusterWords(ctx, x.questions[question])
	if err != nil {
		return nil, err
	}
	near, err := x.clusterVectors(ctx, question)
	f := &found{map[string]bool{}, map[string]bool{}}
	for _, key := range words.keys {
		f.words[key] = true
	}
	for _, h := range near {
		f.near[fmt.Sprint(h.Group, h.ID)] = true
	}
	return f, err
}

// missing is how many of the passages, and of the phrases, that were found before are not among those of now, whichever is
// more. Nodes are not quite alike: each finds about 999 of 1000 phrases, and each has an average length of its own, a
// thousandth apart (words_test.go), which exchanges passages of nearly equal scores.
func (f *found) missing(before *found) int {
	count := func(now, then map[string]bool) int {
		n := 0
		for key := range then {
			if !now[key] {
				n++
			}
		}
		return n
	}
	return max(count(f.words, before.words), count(f.near, before.near))
}

// queriesGoOn asks while a node is killed, while it is away, and when it is back.
func (x *exercise) queriesGoOn(t *testing.T) {
	x.queriesThrough(t, x.nodes[0])
}

func (x *exercise) queriesThrough(t *testing.T, victim *node) {
	before := make([]*found, len(x.questions))
	for i := range before {
		before[i] = must(x.find(t.Context(), i))
	}
	var asked, changed, nearly atomic.Int64
	stop, done := make(chan struct{}), make(chan error, 1)
	var slowest atomic.Int64
	go func() {
		for i := 0; ; i = (i + 1) % len(before) {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			begun := time.Now()
			got, err := x.find(context.Background(), i)
			if err != nil {
				done <- fmt.Errorf("question %d: %w", i, err)
				return
			}
			slowest.Store(max(slowest.Load(), int64(time.Since(begun))))
			asked.Add(1)
			switch missing := got.missing(before[i]); {
			case missing > 1:
				changed.Add(1)
			case missing == 1:
				nearly.Add(1)
			}
		}
	}()
	phase := func(name string, d time.Duration) {
		n, c := asked.Load(), changed.Load()
		slowest.Store(0)
		select {
		case err := <-done:
			t.Fatalf("%s: %v", name, err)
		case <-time.After(d):
		}
		t.Logf("%s: %d questions asked, %d answers changed, slowest %.2f s", name, asked.Load()-n, changed.Load()-c,
			time.Duration(slowest.Load()).Seconds())
		if asked.Load() == n {
			t.Errorf("%s: no question was answered", name)
		}
	}
	phase("three nodes", 5*time.Second)
	victim.kill()
	phase("one is killed", 15*time.Second)
	victim.start(t)
	victim.waitReady(t)
	phase("it is back", 15*time.Second)
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Logf("of %d answers %d had another passage or phrase among their ten", asked.Load(), nearly.Load())
	if changed.Load() > 0 || 50*nearly.Load() > asked.Load() {
		t.Errorf("%d of %d answers changed, %d by one", changed.Load(), asked.Load(), nearly.Load())
	}
}

// comesBack commits while a node is away, and asks it first when it is back: what it has missed is found all
// the same, because it is known to lack something.
func (x *exercise) comesBack(t *testing.T) {
	late := newDocument([]evident.CorpusRow{{ID: "late", Text: "A walrus plays the glockenspiel."}}, 9_999_998)
	late.items = []vector.Item{{ID: 0, Vector: x.vectors[0], Prior: 5}} // the nearest to question 0
	victim := x.nodes[2]
	victim.kill()
	time.Sleep(10 * time.Second) // until the others have noticed
	w, p := must(x.cluster.Writer(t.Context())), must(x.phrases.Writer(t.Context()))
	if err := errors.Join(w.Put(late.Document, late.passages, store.FileStat{}), w.Commit(), w.Close(),
		p.Put(late.Path, late.items), p.Commit(), p.Close()); err != nil {
		t.Fatal(err)
	}
	x.documents = append(x.documents, late)
	time.Sleep(10 * time.Second) // the words are flushed: see TestFreshDocuments
	victim.start(t)
	victim.waitReady(t)
	has, err := countOf(t.Context(), victim, "ExercisePassage")
	t.Logf("the node is back with %d of %d passages, %v", has, passagesOf(x.documents), err)
	for range 10 { // opening chooses the host that is asked first at random
		s := must(weaviate.Open(t.Context(), parse(t, x.address), weaviate.Options{}))
		snapshot := must(s.Snapshot(t.Context()))
		words, err := rankingOf(snapshot.Search, snapshot.Passage, "Which walrus plays the glockenspiel?", 3)
		if err != nil || len(words.keys) == 0 || !strings.HasPrefix(words.keys[0], late.Path) {
			t.Errorf("words find %+v, %v", words, err)
		}
		near := must(must(must(s.OpenPhrases(t.Context())).Snapshot()).
			Search(t.Context(), &vector.Query{Vector: x.vectors[0], K: 1, PriorWeight: 1}))
		if len(near) != 1 || near[0].Group != late.Path {
			t.Errorf("vectors find %v", near)
		}
	}
	waitHealthy(t, x.nodes[0], 3)
}

// tooFewCopies kills two of three nodes: a commit must not be acknowledged then, for it would be on one
// node alone. Before and after it is as if it had never been tried.
func (x *exercise) tooFewCopies(t *testing.T) {
	o := weaviate.Options{Patience: 5 * time.Second}
	s := must(weaviate.Open(t.Context(), parse(t, x.address), o))
	w := must(s.Writer(t.Context()))
	extra := newDocument([]evident.CorpusRow{{ID: "extra", Text: "A walrus plays the theremin."}}, 9_999_999)
	if err := w.Put(extra.Document, extra.passages, store.FileStat{}); err != nil {
		t.Fatal(err)
	}
	x.nodes[0].kill()
	x.nodes[2].kill()
	time.Sleep(10 * time.Second) // until the third has noticed
	err := w.Commit()
	if !errors.Is(err, weaviate.ErrUnavailable) {
		t.Errorf("a commit with one of three nodes: %v, want ErrUnavailable", err)
	}
	t.Logf("refused: %v", err)
	x.nodes[0].start(t)
	x.nodes[2].start(t)
	x.nodes[0].waitReady(t)
	x.nodes[2].waitReady(t)
	waitHealthy(t, x.nodes[1], 3)
	if err := w.Close(); err != nil {
		t.Logf("the lock could not be given back and will expire: %v", err)
	}
	waitFor(t, 2*time.Minute, func() error {
		again, err := weaviate.Open(t.Context(), parse(t, x.address), weaviate.Options{})
		if err != nil {
			return err
		}
		if n := must(again.Snapshot(t.Context())).Stats().Documents; n != len(x.documents) {
			t.Errorf("%d documents after a commit that was refused, want %d", n, len(x.documents))
		}
		w, err := again.Writer(t.Context()) // removes what the refused one has left
		if err != nil {
			return err
		}
		return w.Close()
	})
	x.nothingLost(t)
}
