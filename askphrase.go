package evident

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"evident/efficientqa"
	"evident/internal/parallel"
	"evident/mix"
	"evident/store"
	"evident/vector"
)

// The engines of [AskOptions].
const (
	EngineAuto   = "auto"   // phrases find, the reader verifies; MIX alone where there are no phrases
	EngineMix    = "mix"    // BM25 finds, the reader answers
	EnginePhrase = "phrase" // nearest neighbours answer, nothing is read
)

// phraseSearch is a question that was looked up among the phrases.
type phraseSearch struct {
	view    *phraseView
	near    []store.PassageID // of the nearest phrases by their vectors alone, some
	hits    []phraseHit       // the best by vector and words
	answers []efficientqa.Answer
	encoder *phraseEncoder
	took    struct{ encode, search, combine time.Duration }
}

// searchPhrases encodes a question and finds its nearest phrases.
func (x *Index) searchPhrases(ctx context.Context, v *view, question string, k int) (*phraseSearch, error) {
	encoder, err := x.phraseEncoder()
	if err != nil {
		return nil, err
	}
	index, err := x.phraseIndex(ctx, encoder, 0, false)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	var beside sync.WaitGroup // v is in use until it is done
	defer beside.Wait()
	sharing := make(chan sharingWords, 1)
	beside.Go(func() { sharing <- v.sharing(question, encoder) })
	asked, err := encoder.Question(ctx, question)
	if err != nil {
		return nil, fmt.Errorf("encode question: %w", err)
	}
	encoded := time.Now()
	vectors, err := index.Snapshot()
	if err != nil {
		return nil, public(err)
	}
	defer vectors.Release()
	s := &phraseSearch{encoder: encoder}
	if s.view, err = x.phraseDocuments(v, vectors); err != nil {
		return nil, err
	}
	found, err := vectors.Search(ctx, &vector.Query{
		Vector: asked, K: max(efficientqa.NearPhrases, k), PriorWeight: 1, Accept: func(group string) bool {
			documents, _, err := s.view.of(group)
			return err != nil || len(documents) > 0 // damage is reported where it is read
		},
	})
	if err != nil {
		return nil, fmt.Errorf("search phrases of index %q: %w", x.dir, public(err))
	}
	searched := time.Now()
	if s.hits, err = s.view.places(found); err != nil {
		return nil, err
	}
	s.near = s.passages(phrasePassages)
	if err := s.compareWords(<-sharing, k); err != nil {
		return nil, err
	}
	if err := s.view.read(s.hits); err != nil {
		return nil, err
	}
	s.compareNearby(question)
	texts := make([]efficientqa.Found, len(s.hits))
	for i, h := range s.hits {
		texts[i] = h.found
	}
	s.answers = encoder.Rank(texts, mix.Key)
	s.took.encode, s.took.search, s.took.combine = encoded.Sub(begun), searched.Sub(encoded), time.Since(searched)
	return s, nil
}

// sharingWords are the passages that share words with a question, best first.
type sharingWords struct {
	passages []store.Hit
	err      error
}

// sharing finds them, which needs neither the question's vector nor what is near it.
func (v *view) sharing(question string, encoder *phraseEncoder) (w sharingWords) {
	if encoder.Settings.Words != 0 {
		w.passages, w.err = v.snapshot.Search(question, efficientqa.WordPassages)
	}
	return w
}

// compareWords adds to the hits what their passages share with the question, and keeps the k best by both.
func (s *phraseSearch) compareWords(sharing sharingWords, k int) error {
	if sharing.err != nil {
		return fmt.Errorf("search index %q: %w", s.view.index.dir, public(sharing.err))
	}
	if s.encoder.Settings.Words != 0 {
		lags := efficientqa.NewLags[store.PassageID](len(sharing.passages) < efficientqa.WordPassages)
		for _, p := range sharing.passages {
			lags.Add(p.Passage, float64(p.Score))
		}
		for i := range s.hits {
			s.hits[i].found.Lag = lags.Of(s.hits[i].passage)
		}
	}
	slices.SortStableFunc(s.hits, func(a, b phraseHit) int {
		return cmp.Compare(s.encoder.FirstTotal(b.found), s.encoder.FirstTotal(a.found))
	})
	s.hits = s.hits[:min(len(s.hits), k)]
	return nil
}

// compareNearby adds to the hits which of the question's words stand near them, and orders them anew.
func (s *phraseSearch) compareNearby(question string) {
	words := s.encoder.QuestionWords(question)
	if s.encoder.Settings.Nearby == 0 || len(words) == 0 {
		return
	}
	hits := map[store.PassageID][]*phraseHit{}
	for i := range s.hits {
		hits[s.hits[i].passage] = append(hits[s.hits[i].passage], &s.hits[i])
	}
	passages := slices.Collect(maps.Values(hits))
	parallel.Each(len(passages), func(i int) {
		nearby := efficientqa.NearbyTo(passages[i][0].text, words)
		for _, h := range passages[i] {
			h.found.Nearby = nearby.Score(words, h.start, h.end)
		}
	})
	slices.SortStableFunc(s.hits, func(a, b phraseHit) int {
		return cmp.Compare(s.encoder.Total(b.found), s.encoder.Total(a.found))
	})
}

// phraseDocuments returns the documents behind groups; what was looked up for one state of texts and
// phrases serves all questions of that state.
func (x *Index) phraseDocuments(v *view, vectors phraseSnapshot) (*phraseView, error) {
	x.loading.Lock()
	defer x.loading.Unlock()
	state := [2]uint32{v.snapshot.Generation(), vectors.Generation()}
	if x.covered == nil || x.coveredState != state {
		p, err := v.phraseView(vectors.Groups())
		if err != nil {
			return nil, err
		}
		x.covered, x.coveredState = p, state
	}
	return &phraseView{view: v, documents: x.covered.documents, uncovered: x.covered.uncovered}, nil
}

// askPhrases answers from phrases alone.
func (x *Index) askPhrases(ctx context.Context, v *view, question string, o AskOptions) (*Answer, error) {
	s, err := x.searchPhrases(ctx, v, question, efficientqa.BestPhrases)
	if err != nil {
		return nil, err
	}
	return s.answer(question, o)
}

// answer turns what was found into evidence.
func (s *phraseSearch) answer(question string, o AskOptions) (*Answer, error) {
	a := &Answer{Question: question, Engine: EnginePhrase, Answers: []Candidate{}, Uncovered: s.view.uncovered}
	a.TookMS = map[string]float64{
		"encode": milliseconds(s.took.encode), "search": milliseconds(s.took.search),
		"combine": milliseconds(s.took.combine),
	}
	threshold := s.encoder.Settings.Threshold
	if o.Threshold != 0 {
		threshold = o.Threshold
	}
	switch {
	case len(s.answers) == 0:
		a.Abstained, a.Reason = true, "there are no phrases to compare the question with"
	case s.answers[0].Probability < threshold:
		a.Abstained = true
		a.Reason = fmt.Sprintf("the best phrase has probability %.2f, below the threshold %.2f",
			s.answers[0].Probability, threshold)
	}
	if a.Abstained {
		return a, s.nearest(a)
	}
	for _, found := range s.answers[:min(topOf(o), len(s.answers))] {
		c := Candidate{Text: found.Text, Score: found.Probability, Why: why(found.Why)}
		for i, place := range found.Places {
			h := s.hits[place]
			evidence, err := s.view.evidence(h.passage, h.start, h.end)
			if err != nil {
				return nil, err
			}
			evidence.By = []string{ByPhrase}
			addPlace(&c, i, evidence)
		}
		a.Answers = append(a.Answers, c)
	}
	return a, nil
}

// nearest shows the passages of the nearest phrases.
func (s *phraseSearch) nearest(a *Answer) error {
	for _, id := range s.passages(nearestMax) {
		hit, err := s.view.hit(id, s.scoreOf(id))
		if err != nil {
			return err
		}
		a.Nearest = append(a.Nearest, *hit)
	}
	return nil
}

// passages returns the first n distinct passages of the hits, in their order.
func (s *phraseSearch) passages(n int) []store.PassageID {
	var ids []store.PassageID
	for _, h := range s.hits {
		if len(ids) < n && !slices.Contains(ids, h.passage) {
			ids = append(ids, h.passage)
		}
	}
	return ids
}

func (s *phraseSearch) scoreOf(id store.PassageID) float64 {
	for _, h := range s.hits {
		if h.passage == id {
			return s.encoder.Total(h.found)
		}
	}
	return 0
}

func topOf(o AskOptions) int {
	if o.Top > 0 {
		return o.Top
	}
	return 3
}

// phrasePassages is the number of passages that the reader gets from phrases, beside those of BM25.
const phrasePassages = 5

// askBoth lets phrases find passages that share no word with the question and the reader verify what
// they say. Where ctx leaves no time to read, phrases answer alone.
func (x *Index) askBoth(ctx context.Context, v *view, question string, o AskOptions) (*Answer, error) {
	s, err := x.searchPhrases(ctx, v, question, efficientqa.BestPhrases)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < x.readTime() {
		return s.answer(question, o)
	}
	if o.Partial != nil {
		known, err := s.answer(question, o)
		if err != nil {
			return nil, err
		}
		o.Partial(known)
	}
	both := &bothRetriever{retriever: retriever{v.snapshot}, extra: s.near, by: map[int][]string{}}
	begun := time.Now()
	a, err := x.askReader(ctx, v, both, question, o, func(passage store.PassageID, e *Evidence) {
		e.By = both.foundBy(passage, e.Text.Exact, s)
	})
	if err != nil {
		return nil, err
	}
	x.noteReadTime(time.Since(begun))
	a.Engine, a.Uncovered = EngineAuto, s.view.uncovered
	a.TookMS["encode"], a.TookMS["search"] = milliseconds(s.took.encode), milliseconds(s.took.search)
	return a, nil
}

// The ways in which evidence is found; see [Evidence].
const (
	ByBM25   = "bm25"   // its passage shares words with the question
	ByPhrase = "phrase" // a phrase of its passage is near the question
	ByReader = "reader" // the reader found the answer in the passage
)

// bothRetriever adds passages of the nearest phrases to those of BM25.
type bothRetriever struct {
	retriever
	extra []store.PassageID
	by    map[int][]string // by passage: what found it
}

// Retrieve returns the k best passages by BM25, then those of phrases that are not among them. These
// count as if BM25 had found them last.
func (r *bothRetriever) Retrieve(ctx context.Context, question string, k int) ([]mix.Passage, error) {
	passages, err := r.retriever.Retrieve(ctx, question, k)
	if err != nil {
		return nil, err
	}
	last := float32(1)
	for _, p := range passages {
		r.by[p.ID] = append(r.by[p.ID], ByBM25)
		last = p.Score
	}
	for _, id := range r.extra {
		n := int(id)
		r.by[n] = append(r.by[n], ByPhrase)
		if len(r.by[n]) > 1 {
			continue
		}
		p, err := r.snapshot.Passage(id)
		if err != nil {
			return nil, err
		}
		passages = append(passages, mix.Passage{ID: n, Text: p.Text, Score: last})
	}
	return passages, nil
}

// foundBy says what found a passage, that the reader answered from it, and whether a phrase of it says
// the same.
func (r *bothRetriever) foundBy(passage store.PassageID, text string, s *phraseSearch) []string {
	by := append(slices.Clone(r.by[int(passage)]), ByReader)
	agrees := slices.ContainsFunc(s.hits, func(h phraseHit) bool {
		return h.passage == passage && mix.Key(h.found.Text) == mix.Key(text)
	})
	if agrees && !slices.Contains(by, ByPhrase) {
		by = append(by, ByPhrase)
	}
	return by
}

// readTime is how long the reader took the last time; before the first, a second.
func (x *Index) readTime() time.Duration {
	if t := x.lastRead.Load(); t > 0 {
		return time.Duration(t)
	}
	return time.Second
}

func (x *Index) noteReadTime(t time.Duration) { x.lastRead.Store(int64(t)) }
