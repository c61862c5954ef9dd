// Package heldout reads the questions that training leaves out, by the rules of
// training/mix/data.py: what measures and settings are chosen on, so that test sets never are.
package heldout

import (
	"bufio"
	"compress/gzip"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"

	"evident/eval"
)

// Row is one question about a paragraph.
type Row struct {
	ID, Title, Context, Question, Source string

	Redistributable bool
	Answers         []struct{ Text string }
}

// Golds returns the accepted answers.
func (r Row) Golds() []string {
	golds := make([]string, len(r.Answers))
	for i, a := range r.Answers {
		golds[i] = a.Text
	}
	return golds
}

// realUnanswerable is the article that training leaves out for its unanswerable questions.
const realUnanswerable = "The_Legend_of_Zelda:_Twilight_Princess"

var squadLike = map[string]bool{
	"squad11_train_prefix/train": true, "squad2/train_10articles": true, "squadshifts/new_wiki": true,
}

// Read returns, from train_paragraph.jsonl.gz, the answerable SQuAD-like questions of the titles
// that training leaves out, shuffled, and the unanswerable ones that people wrote about one
// article.
func Read(path string) (answerable, unanswerable []Row, err error) {
	rows, err := ReadRows(path)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range rows {
		switch {
		case !r.Redistributable || !squadLike[r.Source]:
		case len(r.Answers) == 0 && r.Title == realUnanswerable:
			unanswerable = append(unanswerable, r)
		case len(r.Answers) > 0 && LeftOut(r.Title):
			answerable = append(answerable, r)
		}
	}
	if len(answerable) == 0 {
		return nil, nil, fmt.Errorf("%s holds no held-out questions", path)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(answerable), func(i, j int) {
		answerable[i], answerable[j] = answerable[j], answerable[i]
	})
	return answerable, unanswerable, nil
}

// LeftOut says whether training leaves a title out.
func LeftOut(title string) bool {
	sum := sha1.Sum([]byte(title))
	return sum[0]%12 == 0
}

// ReadRows returns all rows of a gzipped JSON Lines file.
func ReadRows(path string) (rows []Row, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	lines := bufio.NewScanner(unpacked)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var r Row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		rows = append(rows, r)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rows, nil
}

// Holds says whether one of the answers stands in the text, word for word, in the normalisation of
// SQuAD's exact match.
func Holds(text string, golds []string) bool {
	text = " " + eval.Normalise(text) + " "
	for _, g := range golds {
		if strings.Contains(text, " "+eval.Normalise(g)+" ") {
			return true
		}
	}
	return false
}
