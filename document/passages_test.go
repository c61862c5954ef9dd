package document

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// checkPassages fails unless the passages keep what Document.Passages promises.
func checkPassages(t *testing.T, d *Document, opts PassageOptions) []Passage {
	t.Helper()
	if !utf8.ValidString(d.Text) {
		t.Fatal("text is not UTF-8")
	}
	end := 0
	for i, b := range d.Blocks {
		if b.Start < end || b.End <= b.Start || b.End > len(d.Text) {
			t.Fatalf("block %d is %v after %d in a text of %d bytes", i, b, end, len(d.Text))
		}
		end = b.End
	}
	passages := d.Passages(opts)
	covered, last := 0, ByteSpan{-1, -1}
	uncovered := func(start, end int) {
		for _, b := range d.Blocks {
			s, e := max(b.Start, start), min(b.End, end)
			if s >= e {
				continue
			}
			for at, r := range d.Text[s:e] {
				if unicode.IsLetter(r) || unicode.IsNumber(r) {
					t.Fatalf("no passage holds %q at byte %d", r, s+at)
				}
			}
		}
	}
	for i, p := range passages {
		s := p.Span
		if s.Start < 0 || s.End <= s.Start || s.End > len(d.Text) {
			t.Fatalf("passage %d is %v in a text of %d bytes", i, s, len(d.Text))
		}
		if s.Start <= last.Start || s.End <= last.End {
			t.Fatalf("passage %d is %v after %v", i, s, last)
		}
		if !utf8.ValidString(d.Text[s.Start:s.End]) {
			t.Fatalf("passage %d is cut inside a rune: %v", i, s)
		}
		if page := d.PageAt(s.Start); page != p.Page {
			t.Fatalf("passage %d claims page %d and starts on %d", i, p.Page, page)
		}
		if len(d.Pages) > 0 && d.PageAt(s.End-1) != p.Page {
			t.Fatalf("passage %d starts on page %d and ends on %d", i, p.Page, d.PageAt(s.End-1))
		}
		uncovered(covered, s.Start)
		covered, last = s.End, s
	}
	uncovered(covered, len(d.Text))
	return passages
}

// words makes n words in sentences of size words.
func words(n, size int) string {
	var b strings.Builder
	for i := range n {
		switch {
		case i%size == 0:
			fmt.Fprintf(&b, "W%d", i)
		case i%size == size-1:
			fmt.Fprintf(&b, " w%d. ", i)
		default:
			fmt.Fprintf(&b, " w%d", i)
		}
	}
	return strings.TrimSpace(b.String())
}

func parse(t *testing.T, name, text string) *Document {
	t.Helper()
	d, err := Parse(context.Background(), name, []byte(text), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPassageSizes(t *testing.T) {
	cases := []struct {
		name  string
		text  string
		opts  PassageOptions
		count int
		least int
		most  int
	}{
		{"one word", "word", PassageOptions{}, 1, 1, 1},
		{"short", words(91, 13), PassageOptions{}, 1, 91, 91},
		{"just over", words(119, 7), PassageOptions{}, 1, 119, 119},
		{"two", words(169, 13), PassageOptions{}, 2, 78, 104},
		{"many", words(1001, 13), PassageOptions{}, 10, 91, 130},
		{"no overlap", words(1001, 13), PassageOptions{Overlap: -1}, 10, 91, 117},
		{"two sentences", words(1001, 7), PassageOptions{Overlap: 2}, 10, 91, 126},
		{"fifty", words(1001, 13), PassageOptions{Words: 50}, 20, 39, 78},
		{"one long sentence", words(997, 2000), PassageOptions{}, 10, 96, 101},
		{"one long word", strings.Repeat("x", 16*1000), PassageOptions{}, 10, 1, 1},
		{"chinese", strings.Repeat("天地玄黄。", 211), PassageOptions{}, 8, 1, 1},
		{"items", strings.Repeat("- item of four words\n", 101), PassageOptions{}, 5, 100, 130},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := parse(t, "a.txt", c.text)
			passages := checkPassages(t, d, c.opts)
			if len(passages) != c.count {
				t.Errorf("%d passages, want %d", len(passages), c.count)
			}
			for i, p := range passages {
				n := len(strings.Fields(d.Text[p.Span.Start:p.Span.End]))
				if n < c.least || n > c.most {
					t.Errorf("passage %d has %d words, want %d to %d", i, n, c.least, c.most)
				}
			}
		})
	}
}

func TestPassagesOverlapBySentence(t *testing.T) {
	d := parse(t, "a.txt", words(503, 17))
	passages := checkPassages(t, d, PassageOptions{})
	for i := 1; i < len(passages); i++ {
		shared := d.Text[passages[i].Span.Start:passages[i-1].Span.End]
		if n := len(strings.Fields(shared)); n != 17 {
			t.Errorf("passage %d shares %d words with the one before, want one sentence of 17", i, n)
		}
	}
}

func TestPassagesStartAtHeadings(t *testing.T) {
	text := "# Top\n\n## First\n\n" + words(31, 7) + "\n\n## Second\n\n" + words(211, 7) +
		"\n\n## Empty\n\n## Third\n\nend\n"
	d := parse(t, "a.md", text)
	passages := checkPassages(t, d, PassageOptions{})
	want := []string{"First: Top", "Second: Second", "Second: W", "Third: Empty"}
	for i, p := range passages {
		got := p.Heading + ": " + d.Text[p.Span.Start:p.Span.End]
		if i >= len(want) || !strings.HasPrefix(got, want[i]) {
			t.Errorf("passage %d is %.40q", i, got)
		}
	}
	if len(passages) != len(want) {
		t.Errorf("%d passages, want %d", len(passages), len(want))
	}
	if d.Title != "Top" {
		t.Errorf("title %q, want the first heading", d.Title)
	}
}

func TestPassagesKeepToPages(t *testing.T) {
	one, two := words(61, 7), words(67, 11)
	d := &Document{
		Title: "T", Text: one + "\n\n" + two,
		Pages:  []Mark{{At: 0, Label: "i"}, {At: len(one) + 2, Label: "ii"}},
		Blocks: []ByteSpan{{0, len(one)}, {len(one) + 2, len(one) + 2 + len(two)}},
	}
	passages := checkPassages(t, d, PassageOptions{})
	if len(passages) != 2 || passages[0].Page != 1 || passages[1].Page != 2 {
		t.Errorf("got %+v, want one passage on each page", passages)
	}
	if passages[1].Heading != "T" || d.HeadingAt(3) != "T" {
		t.Errorf("heading %q, want the title", passages[1].Heading)
	}
}

// TestPassagesProperties checks the promises on random documents.
func TestPassagesProperties(t *testing.T) {
	pieces := []string{
		"word", "Dr.", "U.S.", "3.14", "—", "…", "!", "?", ".", "。", "漢字", "é", "e\u0301",
		"\n", "\n\n", "\t", "    ", " ", " ", " ", "[1]", "\"", "(", ")", "# H\n", "- ", "a.b.c", "=====",
		strings.Repeat("long", 23), "\u00A0", "\u2028", "\r\n", "👩‍👩‍👧", "x", "<p>", "<h2>", "</h2>", "<td>",
		"<tr>", "<pre>", "</pre>", "|", "> ", "1. ", "```\n", "&amp;", "<br>", "<table>", "</table>",
	}
	random := rand.New(rand.NewPCG(7, 11))
	for range 3000 {
		var b strings.Builder
		b.WriteString("start ")
		for range random.IntN(307) {
			b.WriteString(pieces[random.IntN(len(pieces))])
			if random.IntN(3) == 0 {
				b.WriteByte(' ')
			}
		}
		for _, name := range []string{"a.txt", "a.md", "a.html"} {
			d := parse(t, name, b.String())
			if name != "a.html" && d.Text != b.String() {
				t.Fatalf("%s: the text is not the file", name)
			}
			opts := PassageOptions{Words: 1 + random.IntN(41), Overlap: random.IntN(4) - 1}
			checkPassages(t, d, opts)
		}
	}
}

func FuzzPassages(f *testing.F) {
	f.Add("One. Two! Three?", 3, 1)
	f.Add(strings.Repeat("漢字。", 31), 7, 0)
	f.Add("word "+strings.Repeat("x", 397)+"\n\n# =\n", 5, -1)
	f.Fuzz(func(t *testing.T, text string, size, overlap int) {
		for _, name := range []string{"a.txt", "a.md", "a.html"} {
			d, err := Parse(context.Background(), name, []byte(text), ReadOptions{})
			if err != nil {
				continue
			}
			checkPassages(t, d, PassageOptions{Words: size % 301, Overlap: overlap % 7})
		}
	})
}
