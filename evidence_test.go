package evident

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestQuote(t *testing.T) {
	text := "Über uns. The bridge, designed by Lise Maurer and opened in 1931, spans it. Next.\n\n" +
		"More."
	start := strings.Index(text, "Lise")
	q := quote(text, start, start+len("Lise Maurer"))
	want := Quotation{
		Exact: "Lise Maurer", Prefix: "The bridge, designed by ",
		Suffix: " and opened in 1931, spans it.",
		Byte:   [2]int{35, 46}, Rune: [2]int{34, 45},
	}
	if q != want {
		t.Errorf("quotation %+v, want %+v", q, want)
	}
}

func TestQuoteContext(t *testing.T) {
	long := strings.Repeat("Wörter ", 100)
	for name, c := range map[string]struct{ before, after, prefix, suffix string }{
		"alone":             {"", "", "", ""},
		"sentence starts":   {"It rained. ", " fell.", "", " fell."},
		"paragraph ends":    {"Title\n\nthe ", "\n\nNext", "the ", ""},
		"several lines":     {"one\ntwo ", " three\nfour.", "one\ntwo ", " three\nfour."},
		"number with point": {"pi is 3.14 or ", " so 2.7", "pi is 3.14 or ", " so 2.7"},
		"end of text":       {"said he. ", ".", "", "."},
	} {
		t.Run(name, func(t *testing.T) {
			q := quote(c.before+"X"+c.after, len(c.before), len(c.before)+1)
			if q.Prefix != c.prefix || q.Suffix != c.suffix {
				t.Errorf("prefix %q, suffix %q, want %q, %q", q.Prefix, q.Suffix, c.prefix, c.suffix)
			}
		})
	}
	q := quote(long+"X "+long, len(long), len(long)+1)
	if len(q.Prefix) > contextBytesMax || !strings.HasPrefix(q.Prefix, "Wörter ") {
		t.Errorf("long prefix %q", q.Prefix)
	}
	if len(q.Suffix) > contextBytesMax || !strings.HasSuffix(q.Suffix, " Wörter") {
		t.Errorf("long suffix %q", q.Suffix)
	}
}

// Whatever is cut, prefix, quotation and suffix stand side by side in the text.
func FuzzQuote(f *testing.F) {
	f.Add("Über uns. The bridge — spans!\n\nit? 日本語 の文", uint(5), uint(9))
	f.Fuzz(func(t *testing.T, text string, a, b uint) {
		if !utf8.ValidString(text) || text == "" {
			return
		}
		start, end := int(a%uint(len(text))), int(b%uint(len(text)))
		if start > end || !utf8.RuneStart(text[start]) || !utf8.RuneStart(text[end]) {
			return
		}
		q := quote(text, start, end)
		if !strings.HasSuffix(text[:start], q.Prefix) || !strings.HasPrefix(text[end:], q.Suffix) {
			t.Errorf("%q: prefix %q or suffix %q is not beside", text, q.Prefix, q.Suffix)
		}
		if text[q.Byte[0]:q.Byte[1]] != q.Exact || !utf8.ValidString(q.Prefix+q.Suffix) {
			t.Errorf("%q: %+v", text, q)
		}
		if string([]rune(text)[q.Rune[0]:q.Rune[1]]) != q.Exact {
			t.Errorf("%q: runes %v", text, q.Rune)
		}
	})
}
