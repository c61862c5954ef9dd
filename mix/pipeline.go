package mix

import (
	"context"
	"fmt"
	"time"
)

// Passage is a text the reader looks at.
type Passage struct {
	ID    int     // the retriever's name for it
	Text  string  // valid UTF-8
	Score float32 // BM25; 0 where nothing was retrieved
}

// Retriever finds the passages worth reading.
type Retriever interface {
	// Retrieve returns the k best passages for a question, best first.
	Retrieve(ctx context.Context, question string, k int) ([]Passage, error)
	// Explain shows the working of a passage's score.
	Explain(question string, id int) Explanation
}

// Options tunes [Pipeline.Answer]. The zero value is the setting our figures were made with.
type Options struct {
	Passages   int     // passages read; 0 means 20
	Answers    int     // answers returned; 0 means 3
	Threshold  float64 // abstain below this probability; 0 means the model's own, below 0 never
	PerPassage int     // spans considered in each passage; 0 means 8
	Answered   bool    // [Reader.AnswerFrom]: the paragraph is known to hold the answer

	// Partial, where it is set, is told what [Pipeline.Answer] knows after every few passages, by the goroutine
	// that called it, but for the last. The answers have no explanation yet.
	Partial func(*Result)
}

func (o Options) withDefaults() Options {
	if o.Passages == 0 {
		o.Passages = 20
	}
	if o.Answers == 0 {
		o.Answers = 3
	}
	if o.PerPassage == 0 {
		o.PerPassage = 8
	}
	return o
}

// Result is what a question got.
type Result struct {
	Question  string
	Answers   []Answer  // best first; kept when abstaining, so that a caller may look at them
	Passages  []Passage // as retrieved; the nearest passages of an abstention
	Abstained bool
	Reason    string // why it abstained
	Took      Took
}

// Took is the time spent in each stage.
type Took struct {
	Retrieve, Read, Combine time.Duration
}

// Pipeline joins a retriever and a reader.
type Pipeline struct {
	Retriever Retriever
	Reader    *Reader
}

// Answer retrieves passages for the question, reads them in one batch and ranks their spans.
// Abstaining is a result, not an error.
func (p *Pipeline) Answer(ctx context.Context, question string, o Options) (*Result, error) {
	o = o.withDefaults()
	begun := time.Now()
	passages, err := p.Retriever.Retrieve(ctx, question, o.Passages)
	if err != nil {
		return nil, fmt.Errorf("retrieve passages: %w", err)
	}
	retrieved := time.Now()
	result := &Result{Question: question, Passages: passages}
	result.Took.Retrieve = retrieved.Sub(begun)
	if len(passages) == 0 {
		result.Abstained, result.Reason = true, "no passage shares a word with the question"
		return result, nil
	}
	readings, err := p.read(ctx, result, o)
	if err != nil {
		return nil, fmt.Errorf("read passages: %w", err)
	}
	read := time.Now()
	result.Took.Read = read.Sub(retrieved)
	p.Reader.Settings.Open.judge(result, readings, o)
	for i := range result.Answers {
		a := &result.Answers[i]
		retrieval := p.Retriever.Explain(question, passages[a.Places[0].Passage].ID)
		a.Why = explain(*a, p.Reader.Settings.Open, &retrieval)
	}
	result.Took.Combine = time.Since(read)
	return result, nil
}

// partialPassages is how many passages are read between two partial results: enough that reading them in parts
// takes hardly longer than all at once.
const partialPassages = 5

// read reads all passages at once, or in parts where somebody wants to know what was found so far. Passages do
// not influence each other, so that the readings are the same.
func (p *Pipeline) read(ctx context.Context, result *Result, o Options) ([]Reading, error) {
	if o.Partial == nil {
		return p.Reader.Read(ctx, result.Question, texts(result.Passages))
	}
	var all []Reading
	for from := 0; from < len(result.Passages); from += partialPassages {
		to := min(from+partialPassages, len(result.Passages))
		readings, err := p.Reader.Read(ctx, result.Question, texts(result.Passages[from:to]))
		if err != nil {
			return nil, err
		}
		for i := range readings {
			readings[i].Passage += from
		}
		if all = append(all, readings...); to < len(result.Passages) {
			known := &Result{Question: result.Question, Passages: result.Passages[:to]}
			p.Reader.Settings.Open.judge(known, all, o)
			o.Partial(known)
		}
	}
	return all, nil
}

// AnswerFrom reads one given paragraph, without retrieval. Whether it is known to hold the answer
// changes what a probability means: the same span is the likelier right where nothing else can be.
func (r *Reader) AnswerFrom(ctx context.Context, question, paragraph string, o Options) (*Result, error) {
	o = o.withDefaults()
	begun := time.Now()
	result := &Result{Question: question, Passages: []Passage{{Text: paragraph}}}
	readings, err := r.Read(ctx, question, texts(result.Passages))
	if err != nil {
		return nil, fmt.Errorf("read paragraph: %w", err)
	}
	read := time.Now()
	result.Took.Read = read.Sub(begun)
	setting := r.Settings.Paragraph
	if o.Answered {
		setting = r.Settings.Answered
	}
	setting.judge(result, readings, o)
	for i := range result.Answers {
		a := &result.Answers[i]
		a.Why = explain(*a, setting, nil)
	}
	result.Took.Combine = time.Since(read)
	return result, nil
}

// Candidates returns every span that [Setting] weighs, best first by the span feature alone: what
// the weights are fitted on.
func (r *Reader) Candidates(ctx context.Context, question string, passages []Passage) ([]Place, error) {
	readings, err := r.Read(ctx, question, texts(passages))
	if err != nil {
		return nil, err
	}
	perPassage := Options{}.withDefaults().PerPassage
	return candidates(readings, passages, Fusion{}, perPassage, answerTokensMax), nil
}

// judge fills in the answers and decides whether to abstain.
func (s Setting) judge(result *Result, readings []Reading, o Options) {
	places := candidates(readings, result.Passages, s.Fusion, o.PerPassage, answerTokensMax)
	answers := merge(places, result.Passages, s.Calibration)
	result.Answers = answers[:min(o.Answers, len(answers))]
	threshold := s.Threshold
	if o.Threshold != 0 {
		threshold = o.Threshold
	}
	switch {
	case len(answers) == 0:
		result.Abstained, result.Reason = true, "the passages found hold no words to quote"
	case answers[0].Probability < threshold:
		result.Abstained = true
		result.Reason = fmt.Sprintf("the best answer has probability %.2f, below the threshold %.2f",
			answers[0].Probability, threshold)
	}
}

func texts(passages []Passage) []string {
	out := make([]string, len(passages))
	for i, p := range passages {
		out[i] = p.Text
	}
	return out
}
