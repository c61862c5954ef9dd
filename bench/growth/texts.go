//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"evident/internal/lucenecheck"
)

// row is a passage of a document; rows of one document follow each other.
type row struct{ path, title, text string }

// documentRows is the number of passages after which a document ends, whatever its title.
const documentRows = 25

// realRows reads the paragraphs of the question-answering data. Rows of one title in a row are a document;
// the documents are shuffled, so that every beginning of the list is a fair sample of it.
func realRows(dir string) ([][]row, error) {
	var documents [][]row
	for _, name := range []string{"corpus_wiki.jsonl.gz", "corpus_docs.jsonl.gz"} {
		title := "\x00"
		err := lucenecheck.EachLine(filepath.Join(dir, name), func(line []byte) error {
			var r struct{ ID, Title, Text string }
			if err := json.Unmarshal(line, &r); err != nil {
				return err
			}
			last := len(documents) - 1
			if r.Title != title || len(documents[last]) == documentRows {
				title = r.Title
				documents = append(documents, nil)
				last++
			}
			oneLine := func(s string) string { return strings.Join(strings.Fields(s), " ") }
			documents[last] = append(documents[last], row{title: oneLine(r.Title), text: oneLine(r.Text)})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	random := rand.New(rand.NewPCG(8, 1))
	random.Shuffle(len(documents), func(i, j int) { documents[i], documents[j] = documents[j], documents[i] })
	return documents, nil
}

// eachASCIIWord calls yield with the bounds of every run of ASCII letters.
func eachASCIIWord(text string, yield func(start, end int)) {
	start := -1
	for i := range len(text) + 1 {
		letter := i < len(text) && (text[i]|0x20) >= 'a' && (text[i]|0x20) <= 'z'
		switch {
		case letter && start < 0:
			start = i
		case !letter && start >= 0:
			yield(start, i)
			start = -1
		}
	}
}

// lexicon knows the words of the real texts, and how many passages have each.
type lexicon struct {
	frequency map[string]int
	classes   [32]class // by the binary logarithm of the frequency
	keptFrom  int       // words of so many passages are never exchanged
}

// class is words of about one frequency.
type class struct {
	words []string
	sums  []int // of their frequencies, so far
}

func newLexicon(documents [][]row) *lexicon {
	l := &lexicon{frequency: map[string]int{}}
	passages := 0
	for _, document := range documents {
		for _, r := range document {
			seen := map[string]bool{}
			eachASCIIWord(r.text, func(start, end int) { seen[strings.ToLower(r.text[start:end])] = true })
			for word := range seen {
				l.frequency[word]++
			}
			passages++
		}
	}
	l.keptFrom = passages / 50
	words := make([]string, 0, len(l.frequency))
	for word := range l.frequency {
		words = append(words, word)
	}
	slices.Sort(words)
	for _, word := range words {
		n := l.frequency[word]
		c := &l.classes[bits.Len(uint(n))]
		sum := n
		if len(c.sums) > 0 {
			sum += c.sums[len(c.sums)-1]
		}
		c.words, c.sums = append(c.words, word), append(c.sums, sum)
	}
	return l
}

// draw returns a word of the frequency of another, each as often as it is in the real texts.
func (l *lexicon) draw(random *rand.Rand, frequency int) string {
	c := &l.classes[bits.Len(uint(frequency))]
	at, _ := slices.BinarySearch(c.sums, 1+random.IntN(c.sums[len(c.sums)-1]))
	return c.words[at]
}

// How a document is varied. rareMax and coined were chosen once, so that the number of different words
// goes on growing with the number of passages as it does within the real texts: "growth texts" prints both.
const (
	exchanged = 0.5  // share of its words that are exchanged for others
	rareMax   = 3    // a word of at most so many passages
	coined    = 0.65 // is exchanged for a new word this often, for others of its class otherwise
)

// variant is a document with words exchanged: a word that is not among the commonest, for another of its
// frequency, everywhere in the document; so lengths, repetitions, the distribution of frequencies and
// half of the company a word keeps stay what they are.
func (l *lexicon) variant(document []row, random *rand.Rand) []row {
	to := map[string]string{}
	exchange := func(word string) string {
		lower := strings.ToLower(word)
		other, known := to[lower]
		if !known {
			other = l.exchange(lower, random)
			to[lower] = other
		}
		switch {
		case other == "":
			return word
		case word[0] >= 'a':
			return other
		case len(word) > 1 && word == strings.ToUpper(word):
			return strings.ToUpper(other)
		}
		return strings.ToUpper(other[:1]) + other[1:]
	}
	varied := make([]row, len(document))
	for i, r := range document {
		varied[i] = row{title: exchangeWords(r.title, exchange), text: exchangeWords(r.text, exchange)}
	}
	return varied
}

// exchange returns what takes the place of a word, or "" where it stays.
func (l *lexicon) exchange(word string, random *rand.Rand) string {
	n := l.frequency[word]
	if n == 0 || n >= l.keptFrom || random.Float64() >= exchanged {
		return ""
	}
	other := l.draw(random, n)
	if n <= rareMax && random.Float64() < coined { // the beginning of one rare word and the end of another
		return word[:(len(word)+1)/2] + other[len(other)/2:]
	}
	return other
}

func exchangeWords(text string, exchange func(string) string) string {
	var b strings.Builder
	at := 0
	eachASCIIWord(text, func(start, end int) {
		b.WriteString(text[at:start])
		b.WriteString(exchange(text[start:end]))
		at = end
	})
	b.WriteString(text[at:])
	return b.String()
}

// writeTexts writes n passages, one a line, path, title and text apart by tabs: the real ones, and then
// their variants, round after round, always the same.
func writeTexts(path, qa string, n int) error {
	documents, err := realRows(qa)
	if err != nil {
		return err
	}
	l := newLexicon(documents)
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	census := &census{words: map[string]struct{}{}, next: 1000}
	for round, written := 0, 0; written < n; round++ {
		for number, document := range documents {
			if round > 0 {
				document = l.variant(document, rand.New(rand.NewPCG(uint64(round), uint64(number))))
			}
			for _, r := range document[:min(len(document), n-written)] {
				fmt.Fprintf(out, "%d/%d.txt\t%s\t%s\n", round, number, r.title, r.text)
				census.add(r.text)
				written++
			}
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// census prints how the number of different words grows.
type census struct {
	words          map[string]struct{}
	passages, next int
}

func (c *census) add(text string) {
	eachASCIIWord(text, func(start, end int) { c.words[strings.ToLower(text[start:end])] = struct{}{} })
	if c.passages++; c.passages == c.next {
		fmt.Printf("%8d passages, %8d different words\n", c.passages, len(c.words))
		if c.next *= 10; c.next == 1_000_000 && c.passages < 140_000 {
			c.next = 140_000
		} else if c.passages == 140_000 {
			c.next = 200_000
		} else if c.passages == 200_000 {
			c.next = 1_000_000
		}
	}
}

// writeQuestions writes questions of SQuAD, which are sentences, and sets of three words of middling
// frequency from one real paragraph: as many of each.
func writeQuestions(path, qa string, n int) error {
	documents, err := realRows(qa)
	if err != nil {
		return err
	}
	asked, err := lucenecheck.Real(qa)
	if err != nil {
		return err
	}
	l := newLexicon(documents)
	random := rand.New(rand.NewPCG(8, 2))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for i := range n {
		fmt.Fprintf(f, "sentence\t%s\n", strings.Join(strings.Fields(asked.Questions[i*len(asked.Questions)/n]), " "))
	}
	for made := 0; made < n; {
		document := documents[random.IntN(len(documents))]
		if words := l.middling(document[random.IntN(len(document))].text, random); words != "" {
			fmt.Fprintf(f, "words\t%s\n", words)
			made++
		}
	}
	return f.Close()
}

// middling draws three words that 20 to 2,000 real passages have from a text, or "".
func (l *lexicon) middling(text string, random *rand.Rand) string {
	set := map[string]bool{}
	eachASCIIWord(text, func(start, end int) {
		if word := strings.ToLower(text[start:end]); l.frequency[word] >= 20 && l.frequency[word] <= 2000 {
			set[word] = true
		}
	})
	if len(set) < 3 {
		return ""
	}
	words := make([]string, 0, len(set))
	for word := range set {
		words = append(words, word)
	}
	slices.Sort(words)
	random.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	return strings.Join(words[:3], " ")
}

// eachRow calls yield with the first n passages of a file of texts.
func eachRow(path string, n int, yield func(row) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 1<<20), 1<<26)
	for i := 0; i < n && lines.Scan(); i++ {
		path, rest, _ := strings.Cut(lines.Text(), "\t")
		title, text, _ := strings.Cut(rest, "\t")
		if err := yield(row{path, title, text}); err != nil {
			return err
		}
	}
	return lines.Err()
}
