// Package lucenecheck provides the texts and questions on which package bm25 is compared with
// Lucene. The program in tools/ref/lucene hands them to Lucene, the tests of bm25 to our index;
// both must see the same, so both ask here.
package lucenecheck

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Depth is how many ranks are compared.
const Depth = 20

// Settings are the pairs (k1, b) compared.
var Settings = [][2]float32{{0.9, 0.4}, {1.2, 0.75}}

// Collection is a list of texts and the questions put to it.
type Collection struct {
	Texts     []string
	Questions []string
}

// Small draws 3,001 texts and 601 questions whose words follow Zipf's law. They are the same on
// every machine and in every version of Go. Among them are empty texts, very long ones, and
// questions with repeated and unknown words.
func Small() Collection {
	random := rand.New(rand.NewPCG(20, 26))
	shares := make([]float64, 4999)
	sum := 0.0
	for rank := range shares {
		sum += 1 / float64(rank+1)
		shares[rank] = sum
	}
	draw := func(lengthMax int) string {
		words := make([]string, random.IntN(lengthMax+1))
		for i := range words {
			rank, _ := slices.BinarySearch(shares, random.Float64()*sum)
			words[i] = fmt.Sprintf("w%d", rank)
			if i > 0 && random.IntN(11) == 0 {
				words[i] = words[i-1]
			}
		}
		return strings.Join(words, " ")
	}
	var c Collection
	for i := range 3001 {
		lengthMax := 149
		if i%401 == 400 {
			lengthMax = 9973
		}
		c.Texts = append(c.Texts, draw(lengthMax))
	}
	for range 601 {
		c.Questions = append(c.Questions, draw(13))
	}
	return c
}

// Real reads the paragraphs of corpus_wiki and corpus_docs, in that order, and as questions every
// seventh of SQuAD 1.1 dev, from the folder of the question-answering data.
func Real(dir string) (Collection, error) {
	var c Collection
	for _, name := range []string{"corpus_wiki.jsonl.gz", "corpus_docs.jsonl.gz"} {
		err := EachLine(filepath.Join(dir, name), func(line []byte) error {
			var row struct{ Text string }
			if err := json.Unmarshal(line, &row); err != nil {
				return err
			}
			c.Texts = append(c.Texts, row.Text)
			return nil
		})
		if err != nil {
			return Collection{}, err
		}
	}
	questions, err := squadQuestions(filepath.Join(dir, "squad-1.1-dev.json.gz"))
	if err != nil {
		return Collection{}, err
	}
	for i := 0; i < len(questions); i += 7 {
		c.Questions = append(c.Questions, questions[i])
	}
	return c, nil
}

// EachLine calls yield with every line of a gzip file.
func EachLine(path string, yield func(line []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	unzip, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	lines := bufio.NewScanner(unzip)
	lines.Buffer(nil, 1<<26)
	for n := 1; lines.Scan(); n++ {
		if err := yield(lines.Bytes()); err != nil {
			return fmt.Errorf("read %q: line %d: %w", path, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	return nil
}

func squadQuestions(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	unzip, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	var squad struct {
		Data []struct {
			Paragraphs []struct {
				QAs []struct{ Question string }
			}
		}
	}
	if err := json.NewDecoder(unzip).Decode(&squad); err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	var questions []string
	for _, article := range squad.Data {
		for _, paragraph := range article.Paragraphs {
			for _, qa := range paragraph.QAs {
				questions = append(questions, qa.Question)
			}
		}
	}
	return questions, nil
}
