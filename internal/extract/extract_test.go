package extract

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the outlines in testdata anew")

// read parses source as a file called name and checks what holds for every content.
func read(t *testing.T, name, source string) *Content {
	t.Helper()
	content, err := Parse(context.Background(), name, []byte(source), Limits{})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	check(t, content)
	return content
}

// check fails unless the offsets of content are in order and inside its text.
func check(t *testing.T, content *Content) {
	t.Helper()
	if !utf8.ValidString(content.Text) {
		t.Fatal("the text is not UTF-8")
	}
	end := 0
	for i, b := range content.Blocks {
		if b.Start < end || b.End <= b.Start || b.End > len(content.Text) {
			t.Fatalf("block %d is %v, after %d, in %d bytes", i, b, end, len(content.Text))
		}
		block := content.Text[b.Start:b.End]
		if !utf8.ValidString(block) || strings.TrimSpace(block) == "" {
			t.Fatalf("block %d is %q", i, block)
		}
		end = b.End
	}
	for _, marks := range [][]Mark{content.Headings, content.Pages} {
		at := 0
		for i, m := range marks {
			if m.At < at || m.At > len(content.Text) {
				t.Fatalf("mark %d (%q) is at %d, after %d, in %d bytes", i, m.Label, m.At, at,
					len(content.Text))
			}
			at = m.At
		}
	}
}

// outline writes the blocks of content a line each, headings with a number sign for each level.
func outline(content *Content) string {
	var b strings.Builder
	level := make(map[int]int)
	for _, h := range content.Headings {
		level[h.At] = h.Level
	}
	for _, block := range content.Blocks {
		if n := level[block.Start]; n > 0 {
			b.WriteString(strings.Repeat("#", n) + " ")
		}
		text := content.Text[block.Start:block.End]
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(text, "\n", "⏎"), "\t", "→") + "\n")
	}
	return b.String()
}

// TestFiles compares every file of testdata that has an outline beside it (NAME.outline).
func TestFiles(t *testing.T) {
	outlines, err := filepath.Glob("testdata/*.outline")
	if err != nil || len(outlines) == 0 {
		t.Fatalf("no outlines in testdata: %v", err)
	}
	for _, path := range outlines {
		name := strings.TrimSuffix(path, ".outline")
		t.Run(filepath.Base(name), func(t *testing.T) {
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			content := read(t, name, string(source))
			var got strings.Builder
			got.WriteString("format " + content.Format + "\ntitle " + content.Title + "\n")
			for i, page := range content.Pages {
				end := len(content.Text)
				if i+1 < len(content.Pages) {
					end = content.Pages[i+1].At
				}
				text := content.Text[page.At:end]
				got.WriteString("page " + page.Label + ": " + clip(text, 24) + "\n")
			}
			got.WriteString("----\n" + outline(content))
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
			if content.Format == "txt" || content.Format == "md" {
				if content.Text != string(source) {
					t.Error("the text is not the file")
				}
			}
		})
	}
}

func TestBlocks(t *testing.T) {
	cases := []struct{ name, file, source, want string }{
		{
			"wrapped prose", "a.txt", "A sentence that is long enough to be wrapped by an\neditor here and " +
				"there in the file, as it\nwas once usual.\n\nNext.",
			"A sentence that is long enough to be wrapped by an⏎editor here and there in the file, " +
				"as it⏎was once usual.\nNext.\n",
		},
		{
			"list", "a.txt", "Buy these:\n- bread and salted butter\n- milk of an old cow\n",
			"Buy these:\n- bread and salted butter\n- milk of an old cow\n",
		},
		{
			"columns", "a.txt", "name     value\nalpha    1\nbeta     2\n",
			"name     value\nalpha    1\nbeta     2\n",
		},
		{"code", "a.txt", "func f() {\n\treturn 1\n}\n", "func f() {\nreturn 1\n}\n"},
		{
			"old line ends", "a.txt", "First one here.\r\rSecond one here.\r\n\r\nThird.",
			"First one here.\nSecond one here.\nThird.\n",
		},
		{"mark of byte order", "a.txt", "\uFEFFHello.", "Hello.\n"},
		{
			"headings", "a.md", "# A *b* `c` [d](e)\nText\n\nSetext\n======\nmore\n",
			"# A *b* `c` [d](e)\nText\n# Setext\nmore\n",
		},
		{"md list", "a.md", "- one\n  - two\n\n    three\n1. four\n", "one\ntwo\nthree\nfour\n"},
		{
			"md quote and code", "a.md", "> said he\n\n```go\nx := 1\n\ny := 2\n```\n\n    z\n",
			"said he\nx := 1\ny := 2\nz\n",
		},
		{"md table", "a.md", "| a | b |\n|---|:-:|\n| 1 | 2 |\n", "| a | b |\n| 1 | 2 |\n"},
		{
			"md html", "a.md", "<!-- a\nb -->\n<p align=x>\nHi <b>you</b>\n</p>\n\nPara.",
			"Hi <b>you</b>\nPara.\n",
		},
		{"md references", "a.md", "See [it].\n\n[it]: http://example.com \"T\"\n", "See [it].\n"},
		{
			"paragraphs", "a.html", "<p>One <b>bo</b>ld<p>Two&nbsp;&amp; three<div>Four</div>",
			"One bold\nTwo & three\nFour\n",
		},
		{"dropped", "a.html", "<head><style>p{}</style><script>if(a<b){}</script></head><nav>Menu</nav>" +
			"<template><p>no</template><p hidden>gone<p>seen<div style='display: none'><div>x</div>y" +
			"</div><span aria-hidden=true>¶</span><noscript>no</noscript>end", "seen\nend\n"},
		{"list and terms", "a.html", "<ul><li>a<li>b</ul><dl><dt>t<dd>d</dl>", "a\nb\nt\nd\n"},
		{"breaks", "a.html", "<p>a<br>b<br><br>c", "a⏎b\nc\n"},
		{
			"table", "a.html", "<table><tr><th>Year<th>Sum<tr><td>1999<td><p>7</p></table>after",
			"Year→Sum\n1999→7\nafter\n",
		},
		{
			"layout table", "a.html", "<table><tr><td><h1>Head</h1><p>Text.<td><p>More.</table>",
			"# Head\nText.\nMore.\n",
		},
		{
			"nested table", "a.html", "<table><tr><td>x<table><tr><td>1<td>2</table><td>y</table>",
			"x\n1→2\ny\n",
		},
		{"pre", "a.html", "<pre>\n  a  b\n\n<b>c</b>\td\n</pre>e", "a  b\nc→d\ne\n"},
		{"heading unclosed", "a.html", "<html><h2>One</h3><h1>Two<p>para", "## One\n# Two\npara\n"},
		{"soft hyphen", "a.html", "<p>ex&shy;ample", "example\n"},
		{"inline words", "a.html", "<p>a<span> b</span> <i>c</i>d", "a b cd\n"},
		{"xml", "a.xml", "<?xml version='1.0'?><feed><title>T</title><entry><summary>One <b>two</b>" +
			"</summary><id>3</id></entry></feed>", "## T\nOne two\n3\n"},
		{
			"csv", "a.csv", "name,note\nAda,\"wrote, in 1843,\nthe \"\"first\"\"\"\nBob,\n",
			"name: Ada; note: wrote, in 1843, the \"first\"\nname: Bob\n",
		},
		{"csv without header", "a.csv", "1,2\n3,4\n", "1; 2\n3; 4\n"},
		{"csv by semicolon", "a.csv", "a;b\n1,5;2\n", "a: 1,5; b: 2\n"},
		{"tsv", "a.tsv", "a\tb\nx y\tz\n", "a: x y; b: z\n"},
		{"csv open quote", "a.csv", "a,b\n1,2\n\"x,y\nz,w\n", "a: 1; b: 2\na: \"x; b: y\na: z; b: w\n"},
		{
			"jsonl", "a.jsonl", `{"id":1,"tags":["x","y"],"deep":{"n":null,"b":true}}` + "\n" + `{"id":2}`,
			"id: 1; tags: x; tags: y; deep.b: true\nid: 2\n",
		},
		{
			"jsonl text", "a.jsonl", `{"title":"T","text":"One.\n\nTwo.","id":7}` + "\n",
			"# T\nOne.\nTwo.\n",
		},
		{"json", "a.json", "[\n {\"a\": 1},\n {\"a\": 2}\n]", "a: 1\na: 2\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			content := read(t, c.file, c.source)
			if got := outline(content); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if f := content.Format; (f == "txt" || f == "md") && content.Text != c.source {
				t.Error("the text is not the file")
			}
		})
	}
}

func TestTitles(t *testing.T) {
	cases := []struct{ name, file, source, want string }{
		{"html", "a.html", "<html><title>A &amp;\n B</title><h1>C</h1>d", "A & B"},
		{"html heading", "a.html", "<html><h1>C</h1>d", "C"},
		{"site comment", "a.html", "<!--{\n\"Title\": \"The Spec\"\n}-->\n<h2>Intro</h2>x", "The Spec"},
		{"front matter", "a.md", "---\ntitle: \"A: b\"\ntags: x\n---\n# C\n", "A: b"},
		{"toml front matter", "a.md", "+++\ntitle = 'A = b'\n+++\n# C\n", "A = b"},
		{"not front matter", "a.md", "---\n\n# C\n", "C"},
		{"text", "a.txt", "# C\n", ""},
		{"records", "a.jsonl", `{"title":"T","text":"x"}`, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := read(t, c.file, c.source).Title; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestRowSpacing(t *testing.T) {
	content := read(t, "a.html", "<p>a<table><tr><td>1<td>2<tr><td>3<td>4</table><p>b<ul><li>c<li>d</ul>e")
	want := "a\n\n1\t2\n3\t4\n\nb\n\nc\nd\n\ne"
	if content.Text != want {
		t.Errorf("got %q, want %q", content.Text, want)
	}
}

// reason returns why source is refused, or "" when it is not.
func reason(t *testing.T, name string, source []byte, limits Limits) string {
	t.Helper()
	content, err := Parse(context.Background(), name, source, limits)
	if err == nil {
		check(t, content)
		return ""
	}
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("error %v is no refusal", err)
	}
	return refusal.Reason
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Parse(ctx, "a.html", []byte("<html>"+strings.Repeat("<p>a", 3000)), Limits{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the caller's cancellation", err)
	}
}
