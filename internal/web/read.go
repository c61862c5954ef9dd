package web

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"evident/api"
)

// Read is a document beside what is marked in it.
type Read struct {
	Title, Path, Facts, Back string
	Stale                    bool
	Marks                    []ReadMark
	Headings                 []ReadHeading
	Citation                 string
	Problem                  *api.Problem

	Pieces         []Piece // of the text
	Earlier, Later string  // addresses of what stands before and after the pieces

	Pages                  int // of the document; 0 where it has none to look at
	TextView, PageViewPath string
	PageView               bool
	Page                   int
	PageBefore, PageAfter  int
	Before, After          string
	PageImage              string
	Boxes                  []api.PageBox
}

// ReadMark is a marked place in the list beside the document.
type ReadMark struct {
	Text, Path string
	Here       bool
	Span       [2]int
}

// ReadHeading is a line of the contents.
type ReadHeading struct {
	Text, Path string
	Level      int
}

// Piece is a run of the text: plain, marked, or the beginning of a page.
type Piece struct {
	Text, ID string
	Mark     bool
	Here     bool
	Page     int
}

// windowBytes is how much of a long text is shown at once.
const windowBytes = 120_000

// Window returns the bytes of a text that are shown: all of a short one, else what is around a byte,
// cut at ends of lines.
func Window(text string, around int) (start, end int) {
	if len(text) <= windowBytes {
		return 0, len(text)
	}
	start = min(max(0, around-windowBytes/4), len(text)-1)
	if start > 0 {
		if i := strings.LastIndexByte(text[:start], '\n'); i >= 0 && start-i < windowBytes/8 {
			start = i + 1
		}
	}
	end = min(len(text), start+windowBytes)
	if i := strings.IndexByte(text[end:], '\n'); i >= 0 && i < windowBytes/8 {
		end += i + 1
	}
	for start > 0 && !utf8.RuneStart(text[start]) {
		start--
	}
	for end < len(text) && !utf8.RuneStart(text[end]) {
		end++
	}
	return start, end
}

// Pieces cuts text[start:end] at marks and at beginnings of pages. Marks that overlap are merged, so
// that every byte is shown once; here is the mark that is looked at.
func Pieces(text string, start, end int, marks [][2]int, here [2]int, pages []int) []Piece {
	marks = merged(marks)
	var out []Piece
	page := 0
	plain := func(to int) {
		for ; page < len(pages) && pages[page] < to; page++ {
			if pages[page] < start {
				continue
			}
			if pages[page] > start {
				out = append(out, Piece{Text: text[start:pages[page]]})
			}
			start = pages[page]
			out = append(out, Piece{Page: page + 1})
		}
		if to > start {
			out = append(out, Piece{Text: text[start:to]})
			start = to
		}
	}
	shown := false
	for _, m := range marks {
		from, to := max(m[0], start), min(m[1], end)
		if from >= to {
			continue
		}
		plain(from)
		p := Piece{Text: text[from:to], Mark: true}
		if here[0] < to && here[1] > from && !shown {
			p.Here, p.ID, shown = true, "here", true
		}
		out, start = append(out, p), to
	}
	plain(end)
	return out
}

// merged sorts spans and joins those that overlap.
func merged(spans [][2]int) [][2]int {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b [2]int) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	var out [][2]int
	for _, s := range spans {
		if n := len(out); n > 0 && s[0] < out[n-1][1] {
			out[n-1][1] = max(out[n-1][1], s[1])
			continue
		}
		out = append(out, s)
	}
	return out
}
