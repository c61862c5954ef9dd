package evident

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evident/internal/readertest"
)

// tinyReader returns options with a small random model.
func tinyReader(t *testing.T) Options {
	t.Helper()
	dir := t.TempDir()
	if err := readertest.Write(dir, 7); err != nil {
		t.Fatal(err)
	}
	return Options{Create: true, Model: os.DirFS(dir)}
}

const valley = `The valley

The bridge, designed by Lise Maurer and opened in 1931, spans the Aare. It replaced a ferry.

Über der Brücke — the bridge — stands a chapel. It was designed by an unknown mason.
`

// askedIndex is an index of two small documents with the small model.
func askedIndex(t *testing.T) (*Index, string) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "valley.txt", valley, "tower.md", "# Tower\n\nThe tower of the town was designed in 1870.\n")
	x, err := Open(t.Context(), filepath.Join(t.TempDir(), "data"), tinyReader(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	add(t, x, dir)
	return x, dir
}

// Every quotation is, byte for byte, in the stored text and in the file.
func TestAskPointsAtWhatItQuotes(t *testing.T) {
	x, dir := askedIndex(t)
	answer, err := x.Ask(t.Context(), "Who designed the bridge?", AskOptions{Top: 5, Threshold: -1})
	if err != nil {
		t.Fatal(err)
	}
	if answer.Abstained || len(answer.Answers) == 0 || answer.Engine != "mix" {
		t.Fatalf("answer %+v", answer)
	}
	for _, c := range answer.Answers {
		if c.Score < 0 || c.Score > 1 || c.Text != c.Evidence.Text.Exact {
			t.Errorf("candidate %+v", c)
		}
		for _, e := range append([]Evidence{c.Evidence}, c.Also...) {
			content, err := os.ReadFile(e.Source.Path)
			if err != nil || filepath.Dir(e.Source.Path) != dir {
				t.Fatalf("source %q: %v", e.Source.Path, err)
			}
			if got := string(content[e.Text.Byte[0]:e.Text.Byte[1]]); got != e.Text.Exact {
				t.Errorf("bytes %v of %s are %q, not %q", e.Text.Byte, e.Source.Path, got, e.Text.Exact)
			}
			if got := string([]rune(string(content))[e.Text.Rune[0]:e.Text.Rune[1]]); got != e.Text.Exact {
				t.Errorf("runes %v of %s are %q", e.Text.Rune, e.Source.Path, got)
			}
		}
		if c.Why.Value != c.Score || len(c.Why.Details) == 0 {
			t.Errorf("why %+v does not explain %v", c.Why, c.Score)
		}
	}
	for _, stage := range []string{"retrieve", "read", "combine", "total"} {
		if _, ok := answer.TookMS[stage]; !ok {
			t.Errorf("took_ms lacks %q", stage)
		}
	}
}

func TestAskAbstains(t *testing.T) {
	x, _ := askedIndex(t)
	answer, err := x.Ask(t.Context(), "Who designed the bridge?", AskOptions{Threshold: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !answer.Abstained || answer.Reason == "" || len(answer.Answers) != 0 || len(answer.Nearest) == 0 {
		t.Errorf("answer %+v", answer)
	}
	answer, err = x.Ask(t.Context(), "xylophone quartz", AskOptions{Threshold: -1})
	if err != nil || !answer.Abstained || len(answer.Nearest) != 0 {
		t.Errorf("without a shared word: %+v, %v", answer, err)
	}
	encoded, err := json.Marshal(answer)
	if err != nil || !strings.Contains(string(encoded), `"answers":[]`) {
		t.Errorf("an abstention's answers are not an empty list: %s", encoded)
	}
}

func TestAskChecksTheQuestion(t *testing.T) {
	x, _ := askedIndex(t)
	for name, question := range map[string]string{
		"empty": "", "blank": " \t\n", "long": strings.Repeat("why ", 10_000),
	} {
		var bad *QuestionError
		if _, err := x.Ask(t.Context(), question, AskOptions{}); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := x.Ask(t.Context(), strings.Repeat("bridge ", QuestionWordsMax), AskOptions{}); err != nil {
		t.Errorf("the longest question: %v", err)
	}
}

// The order in which documents were indexed changes no answer.
func TestAskDoesNotDependOnOrder(t *testing.T) {
	dir := t.TempDir()
	var names []string
	for i := range 7 {
		name := fmt.Sprintf("%d.txt", i)
		names = append(names, name)
		write(t, dir, name, fmt.Sprintf("Bridge %d was designed by number %d in %d.", i, i*i, 1900+i))
	}
	ask := func(names []string) string {
		x, err := Open(t.Context(), filepath.Join(t.TempDir(), "data"), tinyReader(t))
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		for _, name := range names {
			add(t, x, filepath.Join(dir, name))
		}
		answer, err := x.Ask(t.Context(), "When was bridge 3 designed?", AskOptions{Threshold: -1})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s %.6f %v", answer.Answers[0].Text, answer.Answers[0].Score,
			answer.Answers[0].Evidence)
	}
	forward := ask(names)
	backward := ask([]string{"6.txt", "5.txt", "4.txt", "3.txt", "2.txt", "1.txt", "0.txt"})
	if forward != backward {
		t.Errorf("forward:  %s\nbackward: %s", forward, backward)
	}
}

func TestModelErrors(t *testing.T) {
	tiny := func(change func(dir string)) Options {
		dir := t.TempDir()
		if err := readertest.Write(dir, 7); err != nil {
			t.Fatal(err)
		}
		change(dir)
		return Options{Model: os.DirFS(dir)}
	}
	for name, c := range map[string]struct {
		options Options
		want    error
	}{
		"empty folder": {Options{Model: os.DirFS(t.TempDir())}, ErrModelMissing},
		"no weights": {tiny(func(dir string) {
			os.Remove(filepath.Join(dir, "model.safetensors"))
		}), ErrModelMissing},
		"cut weights": {tiny(func(dir string) {
			os.Truncate(filepath.Join(dir, "model.safetensors"), 5003)
		}), ErrDamaged},
		"junk config": {tiny(func(dir string) {
			os.WriteFile(filepath.Join(dir, "config.json"), []byte("{"), 0o600)
		}), ErrDamaged},
		"junk settings": {tiny(func(dir string) {
			os.WriteFile(filepath.Join(dir, "reader.json"), []byte("[]"), 0o600)
		}), ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := OpenReader(t.Context(), c.options); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestCorpus(t *testing.T) {
	var rows []CorpusRow
	for i := range 2003 { // three parts
		rows = append(rows, CorpusRow{Text: fmt.Sprintf("Bridge number%d spans river%d.", i, i%13)})
	}
	data, o := filepath.Join(t.TempDir(), "corpus"), tinyReader(t)
	for range 2 { // built, then only opened
		c, err := OpenCorpus(t.Context(), data, rows, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range []int{0, 999, 1000, 2002} {
			found, err := c.Retrieve(t.Context(), fmt.Sprintf("where is number%d?", row), 5)
			if err != nil || len(found) != 1 || found[0] != row {
				t.Errorf("number%d is in rows %v, %v", row, found, err)
			}
		}
		answer, p, err := c.Answer(t.Context(), "what spans river7?", 20)
		if err != nil || answer == "" || p <= 0 || p >= 1 {
			t.Errorf("answer %q, %v, %v", answer, p, err)
		}
		c.Close()
	}
	if _, err := OpenCorpus(t.Context(), data, rows[1:], o); err == nil {
		t.Error("an index of other rows was accepted")
	}
}
