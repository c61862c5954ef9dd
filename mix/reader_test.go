package mix

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"evident/internal/readertest"
	"evident/nn"
)

func smallReader(t *testing.T) *Reader {
	t.Helper()
	dir := t.TempDir()
	if err := readertest.Write(dir, 3); err != nil {
		t.Fatal(err)
	}
	r, err := LoadReader(os.DirFS(dir), LoadOptions{Precision: nn.FP32})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const question = "Who designed the bridge?"

var someTexts = []string{
	"The bridge, designed by Lise Maurer and opened in 1931, spans the Aare.",
	"",
	"One.",
	strings.Repeat("Zoë paid 5 € in the café; the bridge was closed. ", 23),
}

// TestReadPointsIntoItsPassages: every token of a reading lies in its passage, in order.
func TestReadPointsIntoItsPassages(t *testing.T) {
	readings, err := smallReader(t).Read(context.Background(), question, someTexts)
	if err != nil {
		t.Fatal(err)
	}
	covered := make([]int, len(someTexts))
	for i, r := range readings {
		text := someTexts[r.Passage]
		if len(r.Start) != len(r.Tokens) || len(r.End) != len(r.Tokens) {
			t.Fatalf("reading %d: %d tokens, %d starts, %d ends", i, len(r.Tokens), len(r.Start), len(r.End))
		}
		for j, b := range r.Tokens {
			if b.Start >= b.End || b.End > len(text) || j > 0 && b.Start < r.Tokens[j-1].Start {
				t.Fatalf("reading %d: token %d is at %v of %d bytes", i, j, b, len(text))
			}
		}
		covered[r.Passage] = max(covered[r.Passage], r.Tokens[len(r.Tokens)-1].End)
		for _, s := range r.bestSpans(5, answerTokensMax) {
			if quoted := text[s.bytes.Start:s.bytes.End]; !utf8.ValidString(quoted) {
				t.Errorf("reading %d: span %v cuts a character: %q", i, s.bytes, quoted)
			}
		}
	}
	if covered[1] != 0 {
		t.Errorf("the passage without words was read up to byte %d", covered[1])
	}
	if want := len(strings.TrimRight(someTexts[3], " ")); covered[3] != want {
		t.Errorf("the long passage is read up to byte %d, want %d", covered[3], want)
	}
	if len(readings) < 5 {
		t.Errorf("%d readings: the long passage should have needed several windows", len(readings))
	}
}

// TestReadAloneOrTogether: what is read of a passage does not depend on its neighbours.
func TestReadAloneOrTogether(t *testing.T) {
	r := smallReader(t)
	together, err := r.Read(context.Background(), question, someTexts)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, text := range someTexts {
		alone, err := r.Read(context.Background(), question, []string{text})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range alone {
			b := together[at]
			at++
			if d := math.Abs(float64(a.Relevance - b.Relevance)); d > 1e-4 {
				t.Errorf("relevance %v alone, %v together", a.Relevance, b.Relevance)
			}
			for j := range a.Start {
				if d := math.Abs(float64(a.Start[j] - b.Start[j])); d > 1e-4 {
					t.Fatalf("start logit %d is %v alone, %v together", j, a.Start[j], b.Start[j])
				}
			}
		}
	}
	if at != len(together) {
		t.Errorf("%d readings together, %d alone", len(together), at)
	}
}

func TestReadStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := smallReader(t).Read(ctx, question, someTexts); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// TestExtractorAlone: a Hugging Face …ForQuestionAnswering folder takes the reader's place.
func TestExtractorAlone(t *testing.T) {
	r, err := LoadReader(os.DirFS("../model/bert/testdata/bert-qa"), LoadOptions{Precision: nn.FP32})
	if err != nil {
		t.Fatal(err)
	}
	const paragraph = "a bridge of stone, built by hand over a cold river in the far north of a land"
	result, err := r.AnswerFrom(context.Background(), "who?", paragraph, Options{Threshold: -1})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Answers) == 0 || result.Abstained {
		t.Fatalf("no answer: %+v", result)
	}
	for _, a := range result.Answers {
		b := a.Places[0].Bytes
		if paragraph[b.Start:b.End] != a.Text || a.Places[0].Features.Relevance != 0 {
			t.Errorf("answer %+v does not quote the paragraph, or has a relevance", a)
		}
	}
}

func TestLoadReaderSaysWhatIsWrong(t *testing.T) {
	folder := func(source string, without string) fstest.MapFS {
		files := fstest.MapFS{}
		entries, err := os.ReadDir(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			data, err := os.ReadFile(source + "/" + e.Name())
			if err != nil {
				t.Fatal(err)
			}
			if e.Name() != without {
				files[e.Name()] = &fstest.MapFile{Data: data}
			}
		}
		return files
	}
	small := t.TempDir()
	if err := readertest.Write(small, 3); err != nil {
		t.Fatal(err)
	}
	broken := folder(small, "")
	broken["reader.json"] = &fstest.MapFile{Data: []byte(`{"open": 3}`)}
	cases := []struct {
		name   string
		folder fs.FS
		want   string
	}{
		{"an encoder without heads", folder("../model/bert/testdata/bert", ""), "answers no questions"},
		{"no settings", folder(small, "reader.json"), "reader.json"},
		{"wrong settings", broken, "reader.json"},
		{"no weights", folder(small, "model.safetensors"), "model.safetensors"},
	}
	for _, c := range cases {
		if _, err := LoadReader(c.folder, LoadOptions{Precision: nn.FP32}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one that says %q", c.name, err, c.want)
		}
	}
}

// TestParagraphKnownToAnswer gives the same answer two probabilities: that of a paragraph which may
// not answer, and that of one which does.
func TestParagraphKnownToAnswer(t *testing.T) {
	r := smallReader(t)
	r.Settings.Paragraph.Calibration.Bias, r.Settings.Paragraph.Threshold = -3, 0.9
	r.Settings.Answered.Calibration.Bias, r.Settings.Answered.Threshold = 3, 0
	ask := func(known bool) *Result {
		t.Helper()
		result, err := r.AnswerFrom(
			context.Background(), question, someTexts[0], Options{Answered: known})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	unknown, known := ask(false), ask(true)
	if unknown.Answers[0].Text != known.Answers[0].Text {
		t.Errorf("answers %q and %q", unknown.Answers[0].Text, known.Answers[0].Text)
	}
	got := logit(known.Answers[0].Probability) - logit(unknown.Answers[0].Probability)
	if !unknown.Abstained || known.Abstained || math.Abs(got-6) > 1e-9 {
		t.Errorf("abstained %v and %v, log-odds %g apart: want true, false, 6",
			unknown.Abstained, known.Abstained, got)
	}
}
