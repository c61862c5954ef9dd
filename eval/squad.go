package eval

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
)

// Dataset is a set of questions in the order of its file.
type Dataset struct {
	Version    string // "1.1", "v2.0" …, as the file says
	Paragraphs []Paragraph
	Questions  []Question
}

// Paragraph is a context that questions are asked about.
type Paragraph struct {
	Title string // of the article
	Text  string
}

// Question is one question with all its accepted answers.
type Question struct {
	ID        string
	Text      string
	Paragraph int      // index into Dataset.Paragraphs
	Answers   []string // none when the paragraph does not answer the question
}

// HasUnanswerable says whether any question has no answer, which decides between the rules of
// SQuAD 1.1 and those of SQuAD 2.0.
func (d *Dataset) HasUnanswerable() bool {
	return slices.ContainsFunc(d.Questions, func(q Question) bool { return len(q.Answers) == 0 })
}

// Sample returns a set with at most limit questions, drawn at random but always the same for the
// same seed, in their old order. A limit of 0 or less returns d itself. The paragraphs are shared.
func (d *Dataset) Sample(limit int, seed uint64) *Dataset {
	if limit <= 0 || limit >= len(d.Questions) {
		return d
	}
	order := rand.New(rand.NewPCG(seed, 0x5ca1ab1e)).Perm(len(d.Questions))[:limit]
	slices.Sort(order)
	sample := &Dataset{Version: d.Version, Paragraphs: d.Paragraphs}
	for _, i := range order {
		sample.Questions = append(sample.Questions, d.Questions[i])
	}
	return sample
}

// squadFile is SQuAD's own layout; fields that scoring does not need are left out.
type squadFile struct {
	Version string `json:"version"`
	Data    []struct {
		Title      string `json:"title"`
		Paragraphs []struct {
			Context string `json:"context"`
			QAs     []struct {
				ID         string `json:"id"`
				Question   string `json:"question"`
				Impossible bool   `json:"is_impossible"`
				Answers    []struct {
					Text string `json:"text"`
				} `json:"answers"`
			} `json:"qas"`
		} `json:"paragraphs"`
	} `json:"data"`
}

// OpenSQuAD reads a file in the format of SQuAD 1.1 or 2.0, plain or compressed with gzip.
func OpenSQuAD(path string) (*Dataset, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, err := ReadSQuAD(f)
	if err != nil {
		return nil, fmt.Errorf("read SQuAD file %s: %w", path, err)
	}
	return d, nil
}

// ReadSQuAD reads what [OpenSQuAD] reads from a stream.
func ReadSQuAD(r io.Reader) (*Dataset, error) {
	plain, err := inflate(r)
	if err != nil {
		return nil, err
	}
	var file squadFile
	if err := json.NewDecoder(plain).Decode(&file); err != nil {
		return nil, fmt.Errorf("not in SQuAD's JSON format: %w", err)
	}
	d := &Dataset{Version: file.Version}
	seen := map[string]bool{}
	for _, article := range file.Data {
		for _, p := range article.Paragraphs {
			d.Paragraphs = append(d.Paragraphs, Paragraph{Title: article.Title, Text: p.Context})
			for _, qa := range p.QAs {
				if seen[qa.ID] {
					return nil, fmt.Errorf("question id %q occurs twice", qa.ID)
				}
				seen[qa.ID] = true
				q := Question{ID: qa.ID, Text: qa.Question, Paragraph: len(d.Paragraphs) - 1}
				for _, a := range qa.Answers {
					if !qa.Impossible {
						q.Answers = append(q.Answers, a.Text)
					}
				}
				d.Questions = append(d.Questions, q)
			}
		}
	}
	if len(d.Questions) == 0 {
		return nil, errors.New("no questions: the file has no data[].paragraphs[].qas[]")
	}
	return d, nil
}

// OpenPredictions reads a file {question id: answer text}, plain or compressed with gzip.
func OpenPredictions(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plain, err := inflate(f)
	if err != nil {
		return nil, fmt.Errorf("read predictions %s: %w", path, err)
	}
	var predictions map[string]string
	if err := json.NewDecoder(plain).Decode(&predictions); err != nil {
		return nil, fmt.Errorf("read predictions %s: not {\"id\": \"answer\"}: %w", path, err)
	}
	return predictions, nil
}

// inflate unpacks r when it begins as gzip does.
func inflate(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	if start, err := buffered.Peek(2); err != nil || !bytes.Equal(start, []byte{0x1f, 0x8b}) {
		return buffered, nil
	}
	return gzip.NewReader(buffered)
}
