package extract

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

// fuzz parses source as a file called name: it must give sound content or a refusal.
func fuzz(t *testing.T, name string, source []byte) {
	content, err := Parse(context.Background(), name, source, Limits{ExpandedBytesMax: 1 << 20})
	var refusal *Refusal
	if err != nil {
		if !errors.As(err, &refusal) {
			t.Fatalf("error %v is no refusal", err)
		}
		return
	}
	check(t, content)
	if content.Format == "txt" && content.Text != string(source) && bytes.IndexByte(source, 0) < 0 &&
		!bytes.HasPrefix(source, []byte("\xFF\xFE")) && !bytes.HasPrefix(source, []byte("\xFE\xFF")) &&
		string(bytes.ToValidUTF8(source, nil)) == string(source) {
		t.Fatal("the text is not the file")
	}
}

func FuzzHTML(f *testing.F) {
	f.Add("<html><h1>a</h1><table><tr><td>b<td><p>c</table><pre> d\n e</pre><p hidden>f<p>g")
	f.Add("<?xml version='1.0'?><a><title>b</title><c><![CDATA[d]]></c></a>")
	f.Fuzz(func(t *testing.T, source string) {
		fuzz(t, "a.html", []byte(source))
		fuzz(t, "a.html", []byte("<html>"+source))
		fuzz(t, "a.xml", []byte("<?xml version='1.0'?>"+source))
	})
}

func FuzzDOCX(f *testing.F) {
	f.Add(`<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>a</w:t></w:r></w:p>`,
		`<w:style w:styleId="a"><w:name w:val="heading 2"/><w:basedOn w:val="a"/></w:style>`)
	f.Add(`<w:tbl><w:tr><w:tc><w:p><w:t>a</w:t></w:p></w:tc><w:tc><w:t>b</w:t></w:tc></w:tr></w:tbl>`, ``)
	f.Fuzz(func(t *testing.T, document, styles string) {
		fuzz(t, "a", pack(t, "word/document.xml", document, "word/styles.xml", styles))
	})
}

func FuzzEPUB(f *testing.F) {
	f.Add(`<title>t</title><item id="a" href="a.html"/><item id="n" href="n" properties="nav"/>`+
		`<itemref idref="a"/>`, `<a href="a.html">One</a>`, `<p>a</p>`)
	f.Fuzz(func(t *testing.T, packageFile, contents, chapter string) {
		fuzz(t, "a", pack(t, "META-INF/container.xml", container, "c.opf", packageFile,
			"n", contents, "a.html", chapter))
	})
}

func FuzzCSV(f *testing.F) {
	f.Add("a,b\n1,\"2\n\"\"3\"\n")
	f.Add("a\tb\r\n\"")
	f.Add("\u00A0")
	f.Fuzz(func(t *testing.T, source string) { fuzz(t, "a.csv", []byte(source)) })
}

func FuzzJSONL(f *testing.F) {
	f.Add("{\"a\":[1,{\"b\":null}]}\n{\"title\":\"t\",\"text\":\"x\\ny\"}\n")
	f.Add("[[],{},\"\\ud800\"]")
	f.Fuzz(func(t *testing.T, source string) {
		fuzz(t, "a.jsonl", []byte(source))
		fuzz(t, "a.json", []byte(source))
	})
}

func FuzzMarkdown(f *testing.F) {
	f.Add("---\ntitle: a\n---\n# b\n\n> - c\n>   d\n\n| e | f |\n|---|---|\n| g | h |\n\n[i]: j\n")
	f.Add("<!-- a\n\tb\n=\n```\n~~~\n1) c")
	f.Fuzz(func(t *testing.T, source string) { fuzz(t, "a.md", []byte(source)) })
}

func FuzzBytes(f *testing.F) {
	for _, name := range []string{"report.docx", "book.epub"} {
		f.Add(testFile(f, name))
	}
	f.Add([]byte("\xFF\xFEa\x00b\x00"))
	f.Add([]byte("caf\xE9"))
	f.Fuzz(func(t *testing.T, source []byte) {
		if isPDF(source) {
			t.Skip("PDFs are read by PDFium, which is too slow to fuzz here")
		}
		fuzz(t, "a", source)
	})
}
