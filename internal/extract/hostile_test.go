package extract

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const relations = `<Relationships><Relationship Id="r" Type="x/officeDocument" ` +
	`Target="word/document.xml"/></Relationships>`

// word makes a docx with that main part.
func word(t testing.TB, document string) []byte {
	return pack(t, "_rels/.rels", relations, "word/document.xml", document)
}

const container = `<container><rootfiles><rootfile full-path="c.opf"/></rootfiles></container>`

// hostileCase is input made to hurt and what is to come of it.
type hostileCase struct {
	name, file string
	data       []byte
	want       string // start of the refusal; "" when it is read
}

func hostileCases(t *testing.T) []hostileCase {
	deep := strings.Repeat("<w:p>", 100_000)
	bomb := strings.Repeat(" ", 160<<20)
	laughs := `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">` +
		`<!ENTITY c "&b;&b;&b;&b;">]><html><w:p><w:t>x &c; &c;</w:t></w:p></html>`
	return []hostileCase{
		{"docx bomb", "a", word(t, bomb), "expands to more than 128 MiB"},
		{"docx deep", "a", word(t, deep), "XML nested deeper than 512 elements"},
		{"docx entities", "a", word(t, laughs), ""},
		{
			"docx long tag", "a", word(t, "<a "+strings.Repeat("b='' ", 2<<20)+">"),
			"XML with a tag or text longer than 4 MiB",
		},
		{"docx not xml", "a", word(t, "<<<&&&"), "damaged docx"},
		{"docx empty", "a", word(t, ""), "no text in this docx file"},
		{"docx points outside", "a", pack(t, "_rels/.rels", strings.Replace(relations, "word/",
			"../../../etc/", 1), "word/document.xml", "x"), "damaged docx"},
		{"epub loop", "a", pack(t, "META-INF/container.xml", container, "c.opf",
			`<item id="a" href="a.html"/>`+strings.Repeat(`<itemref idref="a"/>`, 30_000),
			"a.html", strings.Repeat("<p>"+strings.Repeat("word ", 5000), 2)), "expands to more than 128 MiB"},
		{"epub without package", "a", pack(t, "META-INF/container.xml", container), "damaged epub"},
		{"epub encrypted", "a", pack(t, "META-INF/container.xml", container, "c.opf",
			`<item id="a" href="a.html"/><itemref idref="a"/>`, "a.html", "x",
			"META-INF/encryption.xml", `<e><CipherReference URI="a.html"/></e>`), "epub protected by DRM"},
		{"zip of very many", "a", append(pack(t, "a", "b"),
			bytes.Repeat([]byte("PK\x01\x02"), 20_001)...), "holds more than 20000 files"},
		{"html deep", "a.html", []byte(strings.Repeat("<div><table><tr><td>", 100_000) + "core"), ""},
		{
			"html unclosed tag", "a.html", []byte("<html>word<p " + strings.Repeat("x ", 9<<20)),
			"a tag or text longer than 16 MiB",
		},
		{"html many attributes", "a.html", []byte("<html><p " + strings.Repeat("x ", 4<<20) + ">word"), ""},
		{"html entities", "a.html", []byte("<html>" + strings.Repeat("&amp;lt;", 1<<20)), ""},
		{"html many blocks", "a.html", []byte("<html>" + strings.Repeat("<p>a", 9<<20)), "more than "},
		{"html unclosed comment", "a.html", []byte("<html>word" + strings.Repeat("<!--", 1<<20)), ""},
		{"html rows in rows", "a.html", []byte("<html>" + strings.Repeat("<tr><td>a", 1<<18)), ""},
		{"md quotes", "a.md", []byte(strings.Repeat("> ", 100_000) + "core"), ""},
		{"md brackets", "a.md", []byte(strings.Repeat("[", 1<<20) + strings.Repeat("*_`", 1<<18)), ""},
		{"md lists", "a.md", []byte(strings.Repeat("- ", 100_000) + "x"), ""},
		{"md stairs", "a.md", []byte(stairs(2000)), ""},
		{"md paragraphs", "a.md", []byte(strings.Repeat("a\n\n", 3<<20)), ""},
		{"md fences", "a.md", []byte(strings.Repeat("```\n~~~\n", 1<<17)), ""},
		{"txt paragraphs", "a.txt", []byte(strings.Repeat("a\n\n", 9<<20)), "more than "},
		{"txt old line ends", "a.txt", []byte(strings.Repeat("a word\r", 4<<20)), ""},
		{"txt one line", "a.txt", []byte(strings.Repeat("x", 60<<20)), ""},
		{"csv one line", "a.csv", []byte("a,b\n" + strings.Repeat("word ", 10<<20) + ",c\n"), ""},
		{"csv commas", "a.csv", []byte("a,b\n" + strings.Repeat(",", 50<<20) + "c\n"), ""},
		{"csv quotes", "a.csv", []byte("a,b\nc,d\n" + strings.Repeat("\"\"\",", 8<<20)), ""},
		{"csv long names", "a.csv", []byte(strings.Repeat("n", 60) + "," + strings.Repeat("m", 60) + "\n" +
			strings.Repeat("1,2\n", 4<<20)), "expands to more than 128 MiB"},
		{"jsonl one line", "a.jsonl", []byte(`{"a":"` + strings.Repeat("word ", 10<<20) + `"}`), ""},
		{
			"jsonl values", "a.jsonl", []byte(`{"a":[1` + strings.Repeat(",1", 1<<20) + `]}`),
			"damaged JSON lines",
		},
		{"jsonl elements", "a.jsonl", []byte(`[1` + strings.Repeat(",1", 1<<20) + `]`), ""},
		{"jsonl deep", "a.jsonl", []byte(strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)), ""},
		{"jsonl deep enough", "a.jsonl", []byte(strings.Repeat("[", 5000) + "1" +
			strings.Repeat("]", 5000)), "damaged JSON lines"},
		{"json names", "a.json", []byte(strings.Repeat(`{"`+strings.Repeat("k", 5000)+`":`, 500) + "1" +
			strings.Repeat("}", 500)), ""},
		{"xml entities", "a.xml", []byte(laughs), ""},
		{"pdf of nothing", "a", []byte("%PDF-1.7\n%%EOF"), "damaged or truncated PDF"},
		{"pdf without end", "a", []byte("%PDF-1.7\nsome"), "truncated PDF"},
	}
}

// TestHostile reads each case. It must end soon, as text or with the refusal named.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("reads hundreds of megabytes; run without -short")
	}
	for _, c := range hostileCases(t) {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			why := reason(t, c.file, c.data, Limits{})
			if (why == "") != (c.want == "") || !strings.HasPrefix(why, c.want) {
				t.Errorf("refused: %q, want %q", why, c.want)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			} else if took > 2*time.Second {
				t.Logf("took %v", took)
			}
		})
	}
}

// stairs is a list nested n deep.
func stairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat("  ", i) + "- a\n")
	}
	return b.String()
}

// TestCut reads every format cut short in many places: an error or text, never a crash.
func TestCut(t *testing.T) {
	for _, name := range []string{"report.docx", "book.epub", "report.pdf", "columns.pdf"} {
		whole := testFile(t, name)
		for i := range 23 {
			cut := whole[:len(whole)*i/23]
			if why := reason(t, name, cut, Limits{}); why == "" {
				t.Errorf("%s cut at %d of %d bytes is read", name, len(cut), len(whole))
			}
		}
	}
}

// TestDamaged reads files with bytes changed at random: an error or text, never a crash.
func TestDamaged(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	for _, name := range []string{"report.docx", "book.epub", "report.pdf", "columns.pdf"} {
		whole := testFile(t, name)
		for range 61 {
			damaged := bytes.Clone(whole)
			for range 1 + random.IntN(19) {
				damaged[random.IntN(len(damaged))] = byte(random.IntN(256))
			}
			reason(t, name, damaged, Limits{})
		}
	}
}

func TestDuration(t *testing.T) {
	long := []byte("<html>" + strings.Repeat("<p>a", 30_000))
	want := "takes longer than 1ns to read; index again to try once more"
	if why := reason(t, "a.html", long, Limits{Duration: 1}); why != want {
		t.Errorf("html: refused: %q, want %q", why, want)
	}
	if why := reason(t, "a.pdf", testFile(t, "report.pdf"), Limits{Duration: 1}); why != want {
		t.Errorf("pdf: refused: %q, want %q", why, want)
	}
	if why := reason(t, "a.pdf", testFile(t, "report.pdf"), Limits{}); why != "" {
		t.Errorf("the file after one that took too long is refused: %s", why)
	}
}

// TestEngineStarts: the time that a PDF may take begins when its engine is there, and who gives up does not wait for one.
func TestEngineStarts(t *testing.T) {
	file, limit := testFile(t, "report.pdf"), 2*time.Second
	parse := func(ctx context.Context) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := Parse(ctx, "report.pdf", file, Limits{Duration: limit})
			done <- err
		}()
		return done
	}
	engines.Lock() // as while one is compiled
	ctx, leave := context.WithCancel(t.Context())
	left := parse(ctx)
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left was told %v", err)
	}
	read := parse(t.Context())
	select {
	case err := <-read:
		t.Errorf("it was read without an engine: %v", err)
	case <-time.After(limit + limit/8):
	}
	engines.Unlock()
	if err := <-read; err != nil {
		t.Errorf("starting the engine was counted: %v", err)
	}
}

func TestLimits(t *testing.T) {
	pdf := testFile(t, "report.pdf")
	cases := []struct {
		name, file string
		data       []byte
		limits     Limits
		want       string
	}{
		{"pages", "a", pdf, Limits{PagesMax: 1}, "more than 1 pages"},
		{"text of pdf", "a", pdf, Limits{TextBytesMax: 97}, "expands to more than 97 bytes of text"},
		{"text", "a.txt", []byte("hello"), Limits{TextBytesMax: 3}, "expands to more than 3 bytes of text"},
		{
			"depth", "a", word(t, "<a><b><t>x</t></b></a>"),
			Limits{DepthMax: 2},
			"XML nested deeper than 2 elements",
		},
		{
			"unpacked", "a", testFile(t, "book.epub"),
			Limits{ExpandedBytesMax: 1 << 10},
			"expands to more than 1 KiB",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if why := reason(t, c.file, c.data, c.limits); why != c.want {
				t.Errorf("refused: %q, want %q", why, c.want)
			}
		})
	}
}
