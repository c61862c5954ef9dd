package mix

import (
	"context"
	"strings"
	"testing"

	"evident/internal/tokenize"
)

func TestDeliberateLineEnds(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{ // ¶ after each line end that counts
		{"none", "One line of text.", "One line of text."},
		{
			"wrapped", "The bridge was designed by\nLise Maurer and opened in\n1931. It spans the Aare.",
			"The bridge was designed by\nLise Maurer and opened in\n1931. It spans the Aare.",
		},
		{
			"list", "int16  the set of 16-bit integers\nint32  the set of 32-bit integers (larger)\nend",
			"int16  the set of 16-bit integers¶\nint32  the set of 32-bit integers (larger)\nend",
		},
		{"heading", "Numeric types\n\nAn integer type", "Numeric types¶\n\nAn integer type"},
		{"windows", "Numeric types\r\n \r\nAn integer type", "Numeric types¶\r\n \r\nAn integer type"},
		{
			"address", "see the page\nhttps://example.org/a/very/long/address/that/cannot/be/wrapped\nfor the rest",
			"see the page\nhttps://example.org/a/very/long/address/that/cannot/be/wrapped\nfor the rest",
		},
		{"accents", "é é é é é\nab é é", "é é é é é\nab é é"},
		{"empty", "", ""},
		{"only empty lines", "\n\n\n", "\n\n\n"},
	} {
		marked, at := "", 0
		for _, end := range deliberate(c.text) {
			marked, at = marked+c.text[at:end]+"¶", end
		}
		if marked += c.text[at:]; marked != c.want {
			t.Errorf("%s: %q, want %q", c.name, marked, c.want)
		}
	}
}

func TestStopsStandAtLineEndsOnly(t *testing.T) {
	text := "alpha one two\nbeta:\ngamma three four five six seven eight\n\ndelta"
	var tokens []tokenize.Token
	for at := 0; at < len(text); {
		word := strings.IndexAny(text[at:]+" ", " :\n")
		if word > 0 {
			tokens = append(tokens, tokenize.Token{ID: 1, Start: at, End: at + word})
			at += word
		} else {
			if text[at] == ':' {
				tokens = append(tokens, tokenize.Token{ID: 1, Start: at, End: at + 1})
			}
			at++
		}
	}
	var got strings.Builder
	for _, token := range withStops(text, tokens, tokenize.Token{ID: 9, Start: 0, End: 1}) {
		if token.ID == 9 {
			if token.Start != token.End {
				t.Errorf("a stop of width %d", token.End-token.Start)
			}
			got.WriteString(" .")
			continue
		}
		got.WriteString(" " + text[token.Start:token.End])
	}
	want := " alpha one two . beta : gamma three four five six seven eight . delta"
	if got.String() != want {
		t.Errorf("the reader sees %q, want %q", got.String(), want)
	}
}

// TestQuotationsNeverEndOnAStop reads a list in which every line end is shown as a stop.
func TestQuotationsNeverEndOnAStop(t *testing.T) {
	r := smallReader(t)
	list := "the bridge\ndesigned by\nopened in the town by the bridge in the town\nthe"
	places, err := r.Candidates(context.Background(), question, []Passage{{Text: list}})
	if err != nil {
		t.Fatal(err)
	}
	if len(places) == 0 {
		t.Fatal("no candidates")
	}
	for _, p := range places {
		quoted := list[p.Bytes.Start:p.Bytes.End]
		if quoted == "" || strings.TrimSpace(quoted) != quoted {
			t.Errorf("quotation %q", quoted)
		}
	}
	plain, err := r.Read(context.Background(), "Who?", []string{strings.ReplaceAll(list, "\n", " ")})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := r.Read(context.Background(), "Who?", []string{list})
	if err != nil {
		t.Fatal(err)
	}
	if len(shown[0].Tokens) != len(plain[0].Tokens)+2 {
		t.Errorf("%d tokens without stops, %d with: want two more",
			len(plain[0].Tokens), len(shown[0].Tokens))
	}
}
