package extract

import (
	"math"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pdfLayout turns lines on pages back into paragraphs and headings. A PDF says where characters
// stand and nothing else, so all here is judgement by distances and font sizes.
type pdfLayout struct {
	b     *builder
	body  float64         // the font size that most text has
	words map[string]bool // every word of the document, to judge hyphens by
}

func newPDFLayout(limits Limits) *pdfLayout { return &pdfLayout{b: newBuilder(limits)} }

// content joins the pages. It refuses a document without text.
func (p *pdfLayout) content(pages []pdfPage, title string) (*Content, error) {
	dropRunning(pages)
	p.survey(pages)
	for _, page := range pages {
		p.b.page(page.label)
		p.page(page.lines)
	}
	content, err := p.b.content("pdf", title)
	if err == nil && len(content.Blocks) == 0 {
		return nil, refuse("PDF without text (scanned pages are not read yet)")
	}
	return content, err
}

// survey finds the size of body text and collects the document's words.
func (p *pdfLayout) survey(pages []pdfPage) {
	sizes := make(map[float64]int)
	p.words = make(map[string]bool)
	for _, page := range pages {
		for _, line := range page.lines {
			sizes[math.Round(line.size*2)/2] += len(line.text)
			for _, word := range strings.FieldsFunc(line.text, notInWord) {
				if len(p.words) < 1<<20 {
					p.words[strings.ToLower(word)] = true
				}
			}
		}
	}
	most := 0
	for size, n := range sizes {
		if n > most || n == most && size < p.body {
			p.body, most = size, n
		}
	}
}

func notInWord(r rune) bool { return !unicode.IsLetter(r) && r != '-' }

// isHyphenMark tells whether r is what PDFium puts in place of a hyphen that ends a line.
func isHyphenMark(r rune) bool { return r == 0x02 || r == 0xFFFE || r == 0xAD }

// page writes the paragraphs of one page.
func (p *pdfLayout) page(lines []pdfLine) {
	g := measure(lines)
	for i := 0; i < len(lines); {
		end := i + 1
		for end < len(lines) && !g.breaks(lines[end-1], lines[end]) {
			end++
		}
		p.paragraph(lines[i:end])
		i = end
	}
}

// grid is how the lines of a page are set.
type grid struct {
	pitch float64         // the usual distance between lines
	right map[int]float64 // the right edge of the lines that start in the same column
}

// columnWidth is how far apart, in points, lines may start and still stand in one column.
const columnWidth = 36

func columnOf(line pdfLine) int {
	return int(max(-1e6, min(1e6, line.left/columnWidth)))
}

func measure(lines []pdfLine) grid {
	g := grid{right: make(map[int]float64)}
	var pitches []float64
	for i, line := range lines {
		column := columnOf(line)
		for c := column - 1; c <= column+1; c++ {
			g.right[c] = max(g.right[c], line.right)
		}
		if i > 0 {
			if d := lines[i-1].bottom - line.top; d > 0 && d < 4*max(line.size, 4) {
				pitches = append(pitches, d)
			}
		}
	}
	if len(pitches) > 0 {
		sort.Float64s(pitches)
		g.pitch = pitches[len(pitches)/2]
	}
	return g
}

// breaks tells whether a paragraph ends between line and next.
func (g grid) breaks(line, next pdfLine) bool {
	text := strings.TrimRight(line.text, " \r")
	following := strings.TrimLeft(next.text, " ")
	tolerance := 0.1
	if r, _ := utf8.DecodeRuneInString(following); unicode.IsLower(r) {
		tolerance = 0.25 // a sentence going on: scanned text varies in size
	}
	if math.Abs(line.size-next.size) > tolerance*max(line.size, next.size) {
		return true
	}
	if text == "" || following == "" || isItem(following) {
		return true
	}
	last, _ := utf8.DecodeLastRuneInString(text)
	ended := strings.ContainsRune(".?!:\"”)", last)
	first, _ := utf8.DecodeRuneInString(following)
	distance := line.bottom - next.top
	size := max(line.size, 4)
	switch {
	case distance < -size/2: // up again: the next column, or a box
		return ended || !unicode.IsLower(first)
	case distance < size/2: // the same line: the cell of a table
		return false
	case distance > 2.5*size, g.pitch > 0 && distance > 1.35*g.pitch && distance > 1.35*size:
		return true
	case isFigures(text), isFigures(following):
		return true
	case next.left-line.left > 0.8*size && ended: // the first line of a paragraph is set in
		return true
	case g.right[columnOf(line)]-line.right > 6*size: // the next word would have fitted
		return !unicode.IsLower(first)
	}
	return false
}

// isFigures recognises a row of a table: at least two numbers, and hardly fewer than words.
func isFigures(text string) bool {
	numbers, others := 0, 0
	for _, word := range strings.Fields(text) {
		if strings.Trim(word, "0123456789.,+-−–%$€£()") == "" {
			numbers++
		} else {
			others++
		}
	}
	return numbers >= 2 && numbers*3 >= others*2
}

// paragraph writes lines as one block, as a heading when they are few and in larger type.
func (p *pdfLayout) paragraph(lines []pdfLine) {
	length := 0
	for _, line := range lines {
		length += len(line.text)
	}
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRight(lines[len(lines)-1].text, " \r"))
	size := lines[0].size
	if len(lines) <= 3 && length <= 160 && size >= 1.14*p.body && last != '.' && last != ',' &&
		strings.IndexFunc(lines[0].text, unicode.IsLetter) >= 0 {
		level := 3
		if size >= 1.7*p.body {
			level = 1
		} else if size >= 1.35*p.body {
			level = 2
		}
		p.b.heading(level)
	}
	for _, line := range lines {
		p.write(line.text)
	}
	p.b.headingEnd()
}

// write appends the text of a line: ligatures as letters, words that a hyphen broke at a line's end
// joined.
func (p *pdfLayout) write(text string) {
	if b := p.b; b.start >= 0 && strings.HasSuffix(string(b.text[max(b.start, len(b.text)-1):]), "-") {
		b.space = false
		before := lastLetters(string(b.text[max(b.start, len(b.text)-64) : len(b.text)-1]))
		after := firstLetters(strings.TrimLeft(text, " "))
		if p.joins(before, after) {
			b.text = b.text[:len(b.text)-1]
		}
		text = strings.TrimLeft(text, " ")
	} else if b.start >= 0 {
		b.space = true
	}
	for {
		i := strings.IndexFunc(text, isHyphenMark)
		if i < 0 {
			break
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		rest := strings.TrimLeft(text[i+size:], " \r")
		before, after := lastLetters(text[:i]), firstLetters(rest)
		p.b.write(ligatures.Replace(text[:i]))
		if after == "" || !p.joins(before, after) {
			p.b.write("-")
		}
		text = rest
	}
	p.b.write(ligatures.Replace(text))
}

// joins tells whether before and after, parted by a hyphen at the end of a line, are one word. The
// document's other words decide; without any, they are.
func (p *pdfLayout) joins(before, after string) bool {
	r, _ := utf8.DecodeRuneInString(after)
	if before == "" || !unicode.IsLower(r) {
		return false
	}
	before, after = strings.ToLower(before), strings.ToLower(after)
	switch {
	case p.words[before+after]:
		return true
	case p.words[before+"-"+after]:
		return false
	}
	return !(len(before) >= 3 && len(after) >= 3 && p.words[before] && p.words[after])
}

func lastLetters(s string) string {
	i := strings.LastIndexFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
	if i < 0 {
		return s
	}
	_, size := utf8.DecodeRuneInString(s[i:])
	return s[i+size:]
}

func firstLetters(s string) string {
	if i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsLetter(r) }); i >= 0 {
		return s[:i]
	}
	return s
}

var ligatures = strings.NewReplacer("\uFB00", "ff", "\uFB01", "fi", "\uFB02", "fl", "\uFB03", "ffi",
	"\uFB04", "ffl", "\uFB05", "st", "\uFB06", "st")

// dropRunning removes page numbers and running titles: first and last lines of pages that are a
// number only, or that say the same, digits apart, on most pages.
func dropRunning(pages []pdfPage) {
	counts := make(map[string]int)
	for _, page := range pages {
		for _, line := range edges(page.lines) {
			counts[runningKey(line.text)]++
		}
	}
	drops := func(line pdfLine) bool {
		key := runningKey(line.text)
		isNumber := key == "" && len(strings.TrimSpace(line.text)) <= 8
		return isNumber || len(pages) >= 3 && counts[key]*2 > len(pages)
	}
	for i := range pages {
		lines := pages[i].lines
		if len(lines) > 1 && drops(lines[0]) {
			lines = lines[1:]
		}
		if n := len(lines); n > 1 && drops(lines[n-1]) {
			lines = lines[:n-1]
		}
		pages[i].lines = lines
	}
}

// edges returns the first and last line.
func edges(lines []pdfLine) []pdfLine {
	if len(lines) < 2 {
		return nil
	}
	return []pdfLine{lines[0], lines[len(lines)-1]}
}

// runningKey is what two running titles share: the text without digits and marks.
func runningKey(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}
