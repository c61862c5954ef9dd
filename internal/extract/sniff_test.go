package extract

import (
	"archive/zip"
	"bytes"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/net/html/charset"
)

// pack makes a zip file of name, content pairs.
func pack(t testing.TB, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i+1 < len(entries); i += 2 {
		f, err := w.Create(entries[i])
		if err == nil {
			_, err = f.Write([]byte(entries[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func testFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSniff(t *testing.T) {
	cases := []struct {
		name, file string
		data       []byte
		want       string // format, or the refusal
	}{
		{"pdf called txt", "a.txt", testFile(t, "report.pdf"), "pdf"},
		{"docx called zip", "a.zip", testFile(t, "report.docx"), "docx"},
		{"epub without name", "", testFile(t, "book.epub"), "epub"},
		{"html called txt", "a.txt", []byte("<!-- x -->\n<!DOCTYPE HTML><p>a"), "html"},
		{"html called csv", "a.csv", []byte("<html><p>a,b\n<p>c,d"), "html"},
		{"html by name", "a.html", []byte("<p>a"), "html"},
		{"html without tags", "a.html", []byte("just words"), "txt"},
		{"xhtml", "a", []byte("<?xml version=\"1.0\"?><html xmlns=\"x\"><body>a"), "html"},
		{"md", "a.md", []byte("# a"), "md"},
		{"md with html first", "README.md", []byte("<div align=center>\n\n# a\n</div>"), "md"},
		{"md called txt", "a.txt", []byte("# a"), "txt"},
		{"jsonl called txt", "a.txt", []byte("{\"a\":1}\n{\"a\":2}\n"), "jsonl"},
		{"braces", "a.txt", []byte("{not json}\n"), "txt"},
		{"csv with one column", "a.csv", []byte("a\nb\nc\n"), "txt"},
		{"prose called csv", "a.csv", []byte("Well, it is\nprose.\nYes, it, is, prose.\nEnd\n"), "txt"},
		{"commas called txt", "a.txt", []byte("a,b\n1,2\n"), "txt"},
		{"go source", "a.go", []byte("package a\n"), "txt"},
		{"prose on pdf", "a.txt", []byte("A PDF starts with %PDF-1.7 and ends with %%EOF."), "txt"},
		{"prose on zip", "a.txt", []byte("ID3 tags and BZh are magic."), "txt"},
		{"empty", "a.txt", nil, "empty"},
		{"blank", "a.txt", []byte(" \n\t\n"), "only white space"},
		{"png", "a.txt", []byte("\x89PNG\r\n\x1A\n\x00\x00"), reasonImage},
		{"jpeg", "a.md", []byte("\xFF\xD8\xFF\xE0\x00\x10JFIF"), reasonImage},
		{"webp", "a", []byte("RIFF\x01\x02\x00\x00WEBPVP8 "), reasonImage},
		{"bmp", "a", []byte("BM\x36\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28"), reasonImage},
		{"svg", "a.svg", []byte("<?xml version='1.0'?><svg><text>a"), reasonImage},
		{"zip", "a.docx", pack(t, "a.txt", "x"), reasonArchive},
		{"xlsx", "a.docx", pack(t, "xl/workbook.xml", "x"), "spreadsheet (save it as .csv)"},
		{"pptx", "a", pack(t, "ppt/presentation.xml", "x"), "presentation (save it as .pdf)"},
		{
			"old word", "a.doc", []byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\x00\x00"),
			"old or encrypted Office file (save it as .docx)",
		},
		{"gzip", "a.txt", []byte("\x1F\x8B\x08\x00\x00"), "compressed with gzip, not a document"},
		{"elf", "a", []byte("\x7FELF\x02\x01\x01\x00"), reasonBinary},
		{"zeros", "a.txt", []byte("text with\x00 a zero"), reasonBinary},
		{"controls", "a.txt", []byte(strings.Repeat("\x01\x02\x03\x80abc", 13)), reasonBinary},
		{"rtf", "a.txt", []byte("{\\rtf1 a}"), "RTF (save it as .docx)"},
		{"html without text", "a.html", []byte("<html><script>a</script>"), "no text in this html file"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if why := reason(t, c.file, c.data, Limits{}); why != "" {
				if why != c.want {
					t.Errorf("refused: %s; want %s", why, c.want)
				}
				return
			}
			if content := read(t, c.file, string(c.data)); content.Format != c.want {
				t.Errorf("read as %s, want %s", content.Format, c.want)
			}
		})
	}
}

// encode writes s in UTF-16.
func encode(s string, bigEndian, mark bool) string {
	units := utf16.Encode([]rune(s))
	if mark {
		units = append([]uint16{0xFEFF}, units...)
	}
	var b strings.Builder
	for _, u := range units {
		if bigEndian {
			b.WriteByte(byte(u >> 8))
		}
		b.WriteByte(byte(u))
		if !bigEndian {
			b.WriteByte(byte(u >> 8))
		}
	}
	return b.String()
}

// encodeAs writes s in the named encoding.
func encodeAs(t *testing.T, name, s string) string {
	t.Helper()
	encoding, _ := charset.Lookup(name)
	out, err := encoding.NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEncodings(t *testing.T) {
	const text = "Où est le café? Straße “x” – 5 €, naïve words"
	cases := []struct{ name, file, source, want string }{
		{"utf-8", "a.txt", text, text},
		{"utf-8 with mark", "a.txt", "\uFEFF" + text, "\uFEFF" + text},
		{"utf-16 le with mark", "a.txt", encode(text, false, true), text},
		{"utf-16 be with mark", "a.txt", encode(text, true, true), text},
		{"utf-16 le", "a.txt", encode(text, false, false), text},
		{"utf-16 be", "a.txt", encode(text, true, false), text},
		{"windows-1252", "a.txt", encodeAs(t, "windows-1252", text), text},
		{"latin-1", "a.txt", "caf\xE9 na\xEFve", "café naïve"},
		{"damaged utf-8", "a.txt", strings.Repeat("é", 23) + "\xFF", strings.Repeat("é", 23) + "\uFFFD"},
		{
			"shift-jis", "a.html", encodeAs(t, "shift_jis", "<html><meta charset='shift_jis'><p>東京は晴れ"),
			"東京は晴れ",
		},
		{"gbk", "a.html", encodeAs(t, "gbk", "<html><meta charset=gbk><p>北京今天下雨"), "北京今天下雨"},
		{
			"koi8-r", "a.html", encodeAs(t, "koi8-r", "<?xml version='1.0' encoding='koi8-r'?><html><p>Привет"),
			"Привет",
		},
		{"wrong declaration", "a.html", "<html><meta charset=gbk><p>" + text, text},
		{"utf-16 html", "a.html", encode("<html><p>"+text, false, true), text},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := read(t, c.file, c.source).Text; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
