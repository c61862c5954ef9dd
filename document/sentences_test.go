package document

import (
	"strings"
	"testing"
)

func split(text string) []string {
	var s splitter
	var got []string
	s.split(text, ByteSpan{0, len(text)}, func(span ByteSpan) {
		got = append(got, text[span.Start:span.End])
	})
	return got
}

func TestSentences(t *testing.T) {
	// In each case the sentences are parted by " | ".
	cases := map[string]string{
		"two":               "One came. | Two went.",
		"title":             "Dr. Smith met Mrs. Jones. | They talked.",
		"latin":             "Fruit, e.g. Apples, i.e. Malus, is good. | Eat it.",
		"country":           "The U.S. Army came. | He left the U.S. | The army stayed.",
		"initials":          "It was J. R. R. Tolkien who wrote it. | Read it.",
		"vitamin":           "Take vitamin C. | The body needs it.",
		"decimal":           "Pi is 3.14159 and e is 2.71. | Both are irrational.",
		"number":            "See No. 5 and Fig. 3 for this. | Then go on.",
		"ellipsis":          "Wait... then go. | Well… maybe.",
		"question in quote": "\"Why not?\" he asked. | \"Go!\" she said.",
		"quote ends":        "He said \"Stop.\" | Then he left.",
		"parenthesis":       "It works. | (It always did.) | Good.",
		"question":          "Who? | You! | Why?",
		"numbered item":     "12. Call the office. | Ask for a form.",
		"reference":         "It was built in 1889.[1] | The tower is tall.[2][3] | Many visit.",
		"reference inside":  "It was built.[1] and then burnt.",
		"name of a file":    "Run main.go or see pkg.go.dev now. | Done.",
		"version":           "Go 1.26 is out. | Use it.",
		"firm":              "Apple Inc. Chairman Cook spoke. | He left Apple Inc. | The firm grew.",
		"month":             "On Jan. 5 it began. | It ended in Dec. | The rest is known.",
		"doctorate":         "She has a Ph.D. in physics. | He has none.",
		"time":              "At 5 p.m. Monday it rang. | Nobody came.",
		"line break":        "A line\nends here. | Another\r\nline.",
		"chinese":           "今天天气很好。 | 我们去公园。",
		"chinese tight":     "今天天气很好。|我们去公园。",
		"no end":            "no full stop here",
		"only marks":        "... !!! ???",
		"abbreviation ends": "He owns cats, dogs, etc. | They eat.",
		"versus":            "Kramer vs. Kramer is a film. | See it.",
	}
	for name, marked := range cases {
		t.Run(name, func(t *testing.T) {
			var want []string
			if name == "only marks" {
				want = split(marked)
			} else {
				for _, s := range strings.Split(marked, "|") {
					want = append(want, strings.TrimSpace(s))
				}
			}
			source := strings.ReplaceAll(strings.ReplaceAll(marked, " | ", " "), "|", "")
			got := split(source)
			if strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}
