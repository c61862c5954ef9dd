package document

import (
	"sort"
	"unicode"
	"unicode/utf8"
)

// PassageOptions tunes [Document.Passages]. The zero value is what the default index uses.
type PassageOptions struct {
	Words   int // words aimed at; 0 means 100
	Overlap int // sentences a passage repeats from the one before; 0 means 1, below 0 none
}

const (
	passageWordsDefault = 100
	// wordRunes is the longest run without white space that counts as one word. Longer runs (paths,
	// minified code, languages written without spaces) count as several, so that a passage stays
	// readable for a model.
	wordRunes = 16
	// passageGapMax is the longest stretch without blocks, in bytes, that a passage may contain: a
	// comment in Markdown may be long.
	passageGapMax = 2000
)

// sectionUnitsMax bounds the sentences held at once: a longer section is cut in two.
const sectionUnitsMax = 1 << 16

// unit is a sentence, or a piece of one that is too long: passages are runs of whole units.
type unit struct {
	span     ByteSpan
	weight   int  // words, see weigh
	hasWord  bool // holds a letter or a digit
	heading  bool
	blockEnd bool // last of its block: a good place to cut
	leadIn   bool // ends with a colon: a bad one
}

// Passages cuts the document into passages of about opts.Words words on sentence boundaries.
//
// A heading opens a passage and belongs to it; a page does too, so that a passage's page is exact.
// Within such a section passages are about equally long, end between blocks where one is near, and
// repeat the last sentence of the one before. Short blocks (items, rows) share a passage; a
// sentence longer than twice the aim is cut between words. Spans are in order, at rune boundaries,
// never empty, and cover every word of every block.
func (d *Document) Passages(opts PassageOptions) []Passage {
	if opts.Words <= 0 {
		opts.Words = passageWordsDefault
	}
	if opts.Overlap == 0 {
		opts.Overlap = 1
	}
	c := &passageCutter{document: d, opts: opts, label: d.Title}
	c.passages = make([]Passage, 0, len(d.Text)/(4*opts.Words)+1)
	for _, block := range d.Blocks {
		c.block(block)
	}
	c.flush()
	return c.passages
}

type passageCutter struct {
	document *Document
	opts     PassageOptions
	splitter splitter
	passages []Passage

	units   []unit // of the open section
	hasBody bool   // the section has more than headings
	label   string // the section's heading
	page    int    // the section's page, from 1; 0 without pages

	nextHeading, nextPage int // first marks not passed yet
}

// block adds one block to the open section, or opens a new one.
func (c *passageCutter) block(block ByteSpan) {
	d := c.document
	page := c.page
	for c.nextPage < len(d.Pages) && d.Pages[c.nextPage].At <= block.Start {
		c.nextPage++
		page = c.nextPage
	}
	label, heading := "", false
	for c.nextHeading < len(d.Headings) && d.Headings[c.nextHeading].At <= block.Start {
		label, heading = d.Headings[c.nextHeading].Label, true
		c.nextHeading++
	}
	far := len(c.units) > 0 && block.Start-c.units[len(c.units)-1].span.End > passageGapMax
	if page != c.page || far || len(c.units) > sectionUnitsMax || heading && c.hasBody {
		c.flush()
	}
	c.page = page
	if heading {
		c.label = label
	}
	first := len(c.units)
	c.splitter.split(d.Text, block, func(s ByteSpan) { c.add(s, heading) })
	if len(c.units) > first {
		c.units[len(c.units)-1].blockEnd = true
		c.hasBody = c.hasBody || !heading
	}
}

// add appends a sentence, in pieces when it is too long.
func (c *passageCutter) add(s ByteSpan, heading bool) {
	longest := 2 * c.opts.Words
	for s.Start < s.End {
		n, weight, hasWord := weigh(c.document.Text[s.Start:s.End], longest)
		if s.Start+n < s.End { // too long: pieces of about one passage
			n, weight, hasWord = weigh(c.document.Text[s.Start:s.End], c.opts.Words)
			longest = c.opts.Words + c.opts.Words/4
		}
		piece := ByteSpan{s.Start, s.Start + n}
		s.Start += n
		for s.Start < s.End && isSpace(c.document.Text[s.Start]) {
			s.Start++
		}
		c.units = append(c.units, unit{
			span: piece, weight: weight, hasWord: hasWord,
			heading: heading, leadIn: c.document.Text[piece.End-1] == ':',
		})
	}
}

// flush cuts the open section into passages.
func (c *passageCutter) flush() {
	units := c.units
	c.units, c.hasBody = c.units[:0], false
	for len(units) > 0 && !units[0].hasWord {
		units = units[1:]
	}
	for len(units) > 0 && !units[len(units)-1].hasWord {
		units = units[:len(units)-1]
	}
	total := 0
	for _, u := range units {
		total += u.weight
	}
	if total == 0 {
		return
	}
	count := passageCount(total, c.opts.Words)
	first, sum := 0, 0
	for i := 1; i <= count && first < len(units); i++ {
		last, after := c.cut(units, first, sum, total*i/count)
		if i == count {
			last = len(units)
		}
		c.emit(units, first, last)
		first, sum = last, after
	}
}

// passageCount returns into how many passages a section of total words is cut.
func passageCount(total, words int) int {
	if total <= words+words/4 {
		return 1
	}
	return max(2, (total+words/2)/words)
}

// cut returns the end of the passage that starts at units[first], where sum words come before it
// and about target words should come before its end; and the words before that end. An end of a
// block near the target is preferred.
func (c *passageCutter) cut(units []unit, first, sum, target int) (last, after int) {
	best, bestSum, bestCost := 0, 0, 1<<62
	for i := first; i < len(units); i++ {
		sum += units[i].weight
		cost := sum - target
		if cost < 0 {
			cost = -cost
		}
		if !units[i].blockEnd {
			cost += c.opts.Words / 8
		}
		if units[i].leadIn {
			cost += c.opts.Words / 3
		}
		if units[i].heading {
			cost += c.opts.Words
		}
		if cost < bestCost {
			best, bestSum, bestCost = i+1, sum, cost
		}
		if sum > target+c.opts.Words/4 {
			break
		}
	}
	return best, bestSum
}

// emit appends the passage units[first:last], with the sentences it repeats from the one before.
func (c *passageCutter) emit(units []unit, first, last int) {
	for first < last && !units[first].hasWord {
		first++
	}
	for last > first && !units[last-1].hasWord {
		last--
	}
	if first == last {
		return
	}
	start, repeated, before := first, 0, -1 // where the passage before starts: never repeat it all
	if n := len(c.passages); n > 0 {
		before = c.passages[n-1].Span.Start
	}
	for start > 0 && first-start < c.opts.Overlap {
		u := units[start-1]
		repeated += u.weight
		if u.heading || !u.hasWord || repeated > c.opts.Words/3 || u.span.Start <= before {
			break
		}
		start--
	}
	c.passages = append(c.passages, Passage{
		Span:    ByteSpan{units[start].span.Start, units[last-1].span.End},
		Heading: c.label,
		Page:    c.page,
	})
}

// weigh counts the words of s up to limit. It returns how many bytes hold them (never 0, never
// inside a rune), their number, and whether any holds a letter or a digit. A run of characters
// longer than wordRunes counts as several words; so does each character of the scripts written
// without spaces.
func weigh(s string, limit int) (n, weight int, hasWord bool) {
	run := 0 // runes in the open word
	for i := 0; i < len(s); {
		c := s[i]
		size, wide, mark, letter := 1, false, false, false
		switch {
		case isSpace(c):
			run = 0
			i++
			continue
		case c < utf8.RuneSelf:
			letter = isAlphanumeric(c)
		default:
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			wide = isUnspaced(r)
			mark = unicode.Is(unicode.M, r)
			letter = wide || unicode.IsLetter(r) || unicode.IsNumber(r)
		}
		if run == 0 || wide || run >= wordRunes && !mark {
			if weight == limit {
				return trimmedLen(s[:i]), weight, hasWord
			}
			weight++
			run = 0
		}
		hasWord = hasWord || letter
		run++
		i += size
	}
	return len(s), weight, hasWord
}

func trimmedLen(s string) int {
	n := len(s)
	for n > 1 && isSpace(s[n-1]) {
		n--
	}
	return n
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// isUnspaced tells whether r belongs to a script whose words are not parted by spaces and whose
// characters are about a token each: Chinese, Japanese.
func isUnspaced(r rune) bool {
	return r >= 0x3040 && r <= 0x30FF || r >= 0x3400 && r <= 0x4DBF || r >= 0x4E00 && r <= 0x9FFF ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0x20000 && r <= 0x3FFFF
}

// PageAt returns the page, from 1, that holds byte offset at; 0 when the format has no pages.
func (d *Document) PageAt(at int) int {
	return sort.Search(len(d.Pages), func(i int) bool { return d.Pages[i].At > at })
}

// HeadingAt returns the nearest heading at or above byte offset at, or the title.
func (d *Document) HeadingAt(at int) string {
	i := sort.Search(len(d.Headings), func(i int) bool { return d.Headings[i].At > at })
	if i == 0 {
		return d.Title
	}
	return d.Headings[i-1].Label
}
