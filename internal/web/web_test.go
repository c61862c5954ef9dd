package web

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"evident/api"
)

func TestPieces(t *testing.T) {
	text := "one two three four five"
	for _, c := range []struct {
		name       string
		start, end int
		marks      [][2]int
		here       [2]int
		pages      []int
		want       string
	}{
		{"no marks", 0, 23, nil, [2]int{}, nil, "one two three four five"},
		{"one mark", 0, 23, [][2]int{{4, 7}}, [2]int{4, 7}, nil, "one *two* three four five"},
		{"out of order", 0, 23, [][2]int{{14, 18}, {0, 3}}, [2]int{14, 18}, nil, "[one] two three *four* five"},
		{"overlapping", 0, 23, [][2]int{{4, 9}, {8, 13}}, [2]int{8, 13}, nil, "one *two three* four five"},
		{"cut by the window", 6, 16, [][2]int{{4, 9}, {14, 18}}, [2]int{}, nil, "[o t]hree [fo]"},
		{"to the end", 0, 23, [][2]int{{19, 23}}, [2]int{}, nil, "one two three four [five]"},
		{"pages", 0, 23, [][2]int{{4, 7}}, [2]int{}, []int{0, 8, 19}, "{1}one [two] {2}three four {3}five"},
		{"pages before the window", 10, 23, nil, [2]int{}, []int{0, 8, 19}, "ree four {3}five"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got strings.Builder
			for _, p := range Pieces(text, c.start, c.end, c.marks, c.here, c.pages) {
				switch {
				case p.Here:
					fmt.Fprintf(&got, "*%s*", p.Text)
				case p.Mark:
					fmt.Fprintf(&got, "[%s]", p.Text)
				case p.Page > 0:
					fmt.Fprintf(&got, "{%d}", p.Page)
				default:
					got.WriteString(p.Text)
				}
			}
			if got.String() != c.want {
				t.Errorf("got  %s\nwant %s", got.String(), c.want)
			}
		})
	}
}

// TestWindow: a long text is shown around any byte, whole characters only, and all of it can be reached.
func TestWindow(t *testing.T) {
	text := strings.Repeat("Grüße aus dem Tal, wo die Brücke steht.\n", 12_000)
	for _, around := range []int{0, 1, 60_003, len(text) / 2, len(text) - 1, len(text)} {
		start, end := Window(text, around)
		if start > around || end < min(around, len(text)) || end-start > 2*windowBytes {
			t.Errorf("around %d: %d to %d of %d", around, start, end, len(text))
		}
		if cut := text[start:end]; strings.ToValidUTF8(cut, "") != cut {
			t.Errorf("around %d: a character is cut", around)
		}
	}
	if start, end := Window("short", 3); start != 0 || end != 5 {
		t.Errorf("a short text is shown from %d to %d", start, end)
	}
	reached := 0
	for from := 0; from < len(text); {
		start, end := Window(text, from+windowBytes/4)
		if start > from {
			t.Fatalf("bytes %d to %d are never shown", from, start)
		}
		reached, from = end, end
	}
	if reached != len(text) {
		t.Errorf("only %d of %d bytes can be reached", reached, len(text))
	}
}

func TestCitation(t *testing.T) {
	e := &api.Evidence{
		Source: api.Source{Path: "reports/valley.pdf", Title: "The valley"},
		Text:   api.Quotation{Exact: "Lise\nMaurer", Byte: [2]int{10, 21}, Page: 4},
	}
	want := "“Lise Maurer”, The valley (valley.pdf), p. 4, bytes 10–21"
	if got := Citation(e); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReadPath(t *testing.T) {
	got := ReadPath(ReadAt{In: In{Name: "a/b"}, ID: "0f", Span: [2]int{3, 9}, Marks: [][2]int{{3, 9}, {20, 25}}, Question: "who & why?"})
	want := "/read/a%2Fb/0f?mark=3-9&mark=20-25&q=who+%26+why%3F&span=3-9#here"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestPagesAreSafe: what documents and questions say is shown, never obeyed.
func TestPagesAreSafe(t *testing.T) {
	pages, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	evil := `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	html, err := pages.Render(Page{View: "ask", Title: evil, Body: Ask{
		Box: Box{Label: "Question", Value: evil},
		Answer: NewAnswered(&api.Answer{Engine: "mix", Answers: []api.Candidate{{
			Text: evil, Score: 0.5, Why: api.Why{Label: evil},
			Evidence: api.Evidence{Source: api.Source{Path: evil, ID: "0f"}, Text: api.Quotation{Exact: evil, Prefix: evil, Heading: evil}},
		}}}, In{Name: "default"}, ""),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(html), "<script>alert") || strings.Contains(string(html), "<img src=x") {
		t.Errorf("a document's words became markup: %s", html)
	}
	if !strings.Contains(string(html), "&lt;script&gt;") {
		t.Error("a document's words are not shown")
	}
}

// TestNothingFromElsewhere looks through every file of the pages for addresses of other hosts, and for
// what the content security policy would refuse.
func TestNothingFromElsewhere(t *testing.T) {
	hosts := regexp.MustCompile(`https?://[a-z]`)
	inline := regexp.MustCompile(`\sstyle=|\son[a-z]+=|javascript:`)
	seen := 0
	for _, files := range []struct {
		fs   interface{ ReadFile(string) ([]byte, error) }
		list []string
	}{
		{templateFiles, []string{
			"ask", "docs", "errors", "fault", "jobs", "layout", "library", "login", "look", "read", "region", "search", "start", "status",
		}},
		{staticFiles, []string{"app.js", "look.js", "jobs.js", "region.js", "evident.css"}},
	} {
		for _, name := range files.list {
			path := "static/" + name
			if !strings.Contains(name, ".") {
				path = "templates/" + name + ".html"
			}
			content, err := files.fs.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			seen += len(content)
			if found := hosts.Find(content); found != nil {
				t.Errorf("%s names another host: %s", path, found)
			}
			if found := inline.Find(content); found != nil && strings.HasSuffix(path, ".html") {
				t.Errorf("%s has %q, which the policy refuses", path, found)
			}
		}
	}
	if seen < 10_000 {
		t.Errorf("only %d bytes were looked at", seen)
	}
}

func TestStatic(t *testing.T) {
	for _, name := range []string{"nothing.css", "../web.go", "evident", ""} {
		if _, _, _, ok := Static(name); ok {
			t.Errorf("%q was found", name)
		}
	}
	total := 0
	for _, name := range []string{"evident.css", "app.js", "icon.svg"} {
		content, media, tag, ok := Static(name)
		if !ok || media == "" || tag == "" {
			t.Errorf("%s was not found", name)
		}
		total += len(content)
	}
	if total > 60_000 {
		t.Errorf("what every page loads takes %d bytes", total)
	}
}
