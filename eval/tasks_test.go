package eval

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// clock advances by 7 ms at every look.
func clock() func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time {
		now = now.Add(7 * time.Millisecond)
		return now
	}
}

// bridges is a reader and a system that knows a little about bridges.
type bridges struct{ err error }

func (b bridges) Read(_ context.Context, question, _ string) (string, float64, error) {
	switch {
	case b.err != nil:
		return "", 0, b.err
	case strings.HasPrefix(question, "Who designed"):
		return "Lise Maurer", 0.9, nil
	case strings.HasPrefix(question, "When"):
		return "1931", 0.8, nil
	default:
		return "Aare", 0.1, nil
	}
}

func (b bridges) Answer(ctx context.Context, question string) (Found, error) {
	answer, p, err := b.Read(ctx, question, "")
	return Found{answer, p}, err
}

func (b bridges) Retrieve(_ context.Context, question string, k int) ([]int, error) {
	if strings.HasPrefix(question, "Who") {
		return []int{2, 0, 1}[:min(k, 3)], b.err
	}
	return []int{1}, b.err
}

func small(t *testing.T) *Dataset {
	t.Helper()
	d, err := OpenSQuAD("testdata/small.json")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRunSQuAD(t *testing.T) {
	var progress []int
	report, err := RunSQuAD(t.Context(), small(t), bridges{}, Options{
		Threshold: 0.5, Now: clock(),
		Progress: func(done, total int) { progress = append(progress, done, total) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"exact": 80, "f1": 80, "no_answer_exact": 100, "answered": 40, "p50_ms": 7,
	} {
		if got := report.Metrics[name]; got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	if got := report.Baselines["never_abstain"]["exact"]; got != 40 {
		t.Errorf("never_abstain = %v, want 40", got)
	}
	if len(report.Outcomes) != 5 || !report.Outcomes[0].Correct || report.Outcomes[2].Correct {
		t.Errorf("outcomes %v", report.Outcomes)
	}
	if want := []int{1, 5, 2, 5, 3, 5, 4, 5, 5, 5}; !slices.Equal(progress, want) {
		t.Errorf("progress %v, want %v", progress, want)
	}
}

func TestRunSQuADNamesTheFailingQuestion(t *testing.T) {
	broken := errors.New("out of paper")
	_, err := RunSQuAD(t.Context(), small(t), bridges{err: broken}, Options{})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "question q1") {
		t.Errorf("error %v", err)
	}
}

func TestRunOpen(t *testing.T) {
	d := small(t)
	corpus := []CorpusRow{
		{Text: d.Paragraphs[0].Text + "\n"}, {Text: d.Paragraphs[1].Text}, {Text: "x"},
	}
	report, err := RunOpen(t.Context(), d, corpus, bridges{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	// q1: second place; q4: first; q5: third; q2 and q3: not found.
	for name, want := range map[string]float64{
		"recall_at_1": 20, "recall_at_5": 60, "recall_at_100": 60, "exact": 40, "passages": 3,
	} {
		if got := report.Metrics[name]; got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	if _, err := RunOpen(t.Context(), d, corpus[1:], bridges{}, Options{}); err == nil {
		t.Error("a corpus without the paragraph was accepted")
	}
}

func TestSampleIsDeterministic(t *testing.T) {
	d := &Dataset{}
	for i := range 101 {
		d.Questions = append(d.Questions, Question{ID: string(rune('a' + i))})
	}
	ids := func(limit int, seed uint64) (ids []string) {
		for _, q := range d.Sample(limit, seed).Questions {
			ids = append(ids, q.ID)
		}
		return ids
	}
	if !slices.Equal(ids(17, 3), ids(17, 3)) {
		t.Error("the same seed drew two samples")
	}
	if slices.Equal(ids(17, 3), ids(17, 4)) {
		t.Error("two seeds drew the same sample")
	}
	if got := ids(17, 3); len(got) != 17 || !slices.IsSorted(got) {
		t.Errorf("sample %v", got)
	}
	if len(ids(0, 3)) != 101 || len(ids(500, 3)) != 101 {
		t.Error("no limit did not mean all")
	}
}

func TestReportForms(t *testing.T) {
	report := &Report{
		Task: "squad", N: 5, Seconds: 1.25,
		Metrics:   map[string]float64{"f1": 80, "exact": 75.5, "zebra": 1},
		Intervals: map[string]Interval{"f1": {70, 90}},
		Baselines: map[string]map[string]float64{"never_abstain": {"f1": 40}},
	}
	var table bytes.Buffer
	if err := report.Table(&table); err != nil {
		t.Fatal(err)
	}
	want := `squad  value  95 % interval  never_abstain
exact  75.50                             –
f1     80.00    70.00–90.00          40.00
zebra   1.00                             –

5 questions in 1.2 s
`
	if table.String() != want {
		t.Errorf("table\n%s\nwant\n%s", table.String(), want)
	}
	var document bytes.Buffer
	if err := (&Report{Task: "squad"}).JSON(&document); err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(document.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"task", "n", "metrics", "baselines", "seconds"} {
		if _, ok := fields[field]; !ok {
			t.Errorf("the JSON form lacks %q", field)
		}
	}
}

func TestReadingForeignFiles(t *testing.T) {
	pack := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write([]byte(text))
		z.Close()
		return b.String()
	}
	one := `{"data":[{"paragraphs":[{"context":"c","qas":[{"id":"1","question":"q"}]}]}]}`
	twice := `{"data":[{"paragraphs":[{"qas":[{"id":"1"},{"id":"1"}]}]}]}`
	for name, c := range map[string]struct{ content, fails string }{
		"plain":        {one, ""},
		"gzip":         {pack(one), ""},
		"empty":        {"", "not in SQuAD's JSON format"},
		"cut gzip":     {pack(one)[:20], "unexpected EOF"},
		"not JSON":     {"hello", "not in SQuAD's JSON format"},
		"other JSON":   {`{"rows":[]}`, "no questions"},
		"twice an id":  {twice, `question id "1" occurs twice`},
		"a list":       {"[1]", "not in SQuAD's JSON format"},
		"one byte":     {"\x1f", "not in SQuAD's JSON format"},
		"gzip of junk": {"\x1f\x8b\x00\x00\x00\x00\x00\x00\x00\x00\x00", "gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "set.json")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := OpenSQuAD(path)
			switch {
			case c.fails == "" && err != nil:
				t.Errorf("error %v", err)
			case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
				t.Errorf("error %v, want one with %q", err, c.fails)
			case err != nil && !strings.Contains(err.Error(), path):
				t.Errorf("error %v does not name the file", err)
			}
		})
	}
}

func TestOpenCorpus(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.jsonl"), filepath.Join(dir, "bad.jsonl")
	os.WriteFile(good, []byte(`{"id":"1","text":"x"}`+"\n\n"+`{"id":"2","text":"y"}`+"\n"), 0o600)
	os.WriteFile(bad, []byte(`{"id":"1","text":"x"}`+"\n"+`{"id":"2"}`+"\n"), 0o600)
	rows, err := OpenCorpus(good, good)
	if err != nil || len(rows) != 4 || rows[3].Text != "y" {
		t.Errorf("rows %v, error %v", rows, err)
	}
	_, err = OpenCorpus(good, bad)
	if err == nil || !strings.Contains(err.Error(), "line 2: no text") {
		t.Errorf("error %v", err)
	}
}

func FuzzReadSQuAD(f *testing.F) {
	f.Add([]byte(`{"data":[{"paragraphs":[{"context":"c","qas":[{"id":"1","question":"q"}]}]}]}`))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := ReadSQuAD(bytes.NewReader(content))
		if err == nil {
			Score(d, map[string]string{d.Questions[0].ID: "x"})
		}
	})
}

func FuzzNormalise(f *testing.F) {
	f.Add("The ΟΔΟΣ \xff a\u0301")
	f.Fuzz(func(t *testing.T, s string) {
		got := Normalise(s)
		if strings.HasPrefix(got, " ") || strings.Contains(got, "  ") {
			t.Errorf("Normalise(%q) = %q has loose blanks", s, got)
		}
		if F1(s, []string{s}) != 1 && got != "" {
			t.Errorf("%q does not equal itself", s)
		}
	})
}
