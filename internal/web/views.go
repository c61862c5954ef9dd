package web

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"evident/api"
)

// In is the index that a page is about.
type In struct {
	Name  string
	Other bool // it is not the server's first: addresses name it
}

// query adds the index to an address that has a query already.
func (in In) query() string {
	if !in.Other {
		return ""
	}
	return "&index=" + url.QueryEscape(in.Name)
}

// Param is the index as forms send it; "" for the first.
func (in In) Param() string {
	if !in.Other {
		return ""
	}
	return in.Name
}

// Box is the field that questions are asked in.
type Box struct {
	Label, Value string
	In           In
	Engine       string // that is chosen
	Engines      []Engine
}

// Engine is a method that answers.
type Engine struct {
	Name, Words string
	Missing     bool // the index has nothing for it
}

// NewBox is a field for questions to an index, with or without phrases.
func NewBox(in In, question, engine string, phrases bool) Box {
	return Box{
		Label: "Question", Value: question, In: in, Engine: engine, Engines: []Engine{
			{Name: "auto", Words: "phrases find too, the reader answers"},
			{Name: "mix", Words: "words find, the reader answers"},
			{Name: "phrase", Words: "phrases answer alone", Missing: !phrases},
		},
	}
}

// Start is what the first page shows.
type Start struct {
	Empty   bool // nothing was indexed yet
	Folders []string
	Data    string // the index, where it is not the default one
	Box     Box
	Counts  string
	Images  bool
}

// Ask is a question and its answer.
type Ask struct {
	Box     Box
	Answer  *Answered
	Problem *api.Problem
}

// Answered is an answer as cards.
type Answered struct {
	Abstained    bool
	Reason       string
	Nearest      []Hit
	Cards        []Card
	Took, Engine string
}

// Card is one candidate.
type Card struct {
	Place
	Text, Prefix, Exact, Suffix string
	Percent                     int
	Likely                      string // the same in words
	Also                        []Place
	Why                         api.Why
	Citation                    string
}

// Place is where a quotation stands.
type Place struct {
	File
	Heading, Read    string
	Page, Start, End int
	Stale            bool
}

// File is a document's path, for people.
type File struct{ Path, Name, Folder string }

// NewFile takes a path apart.
func NewFile(path string) File {
	folder := filepath.Dir(path)
	if folder == "." {
		folder = ""
	}
	return File{Path: path, Name: filepath.Base(path), Folder: folder}
}

// Hit is a passage.
type Hit struct {
	File
	Text, Heading, Read, Score string
	Page                       int
	Why                        *api.Why
}

// Tile is a picture in a grid.
type Tile struct {
	Path, Name, Look, Region, Like, Thumb, Score string
	Width, Height                                int
}

// NewAnswered turns an answer into cards.
func NewAnswered(a *api.Answer, in In, engine string) *Answered {
	out := &Answered{
		Abstained: a.Abstained, Engine: a.Engine, Took: Took(a.TookMS),
		Reason: sentence(a.Reason),
	}
	from := ReadAt{In: in, Question: a.Question, Engine: engine}
	for _, h := range a.Nearest {
		out.Nearest = append(out.Nearest, NewHit(h, in, a.Question))
	}
	for _, c := range a.Answers {
		t := c.Evidence.Text
		card := Card{
			Place: newPlace(&c.Evidence, from, spans(&c)),
			Text:  c.Text, Prefix: t.Prefix, Exact: t.Exact, Suffix: t.Suffix,
			Percent: int(100*c.Score + 0.5), Likely: likely(c.Score), Why: c.Why,
			Citation: Citation(&c.Evidence),
		}
		for i := range c.Also {
			card.Also = append(card.Also, newPlace(&c.Also[i], from, spans(&c)))
		}
		out.Cards = append(out.Cards, card)
	}
	return out
}

// likely says a probability as one would: it is never 0 nor 1.
func likely(p float64) string {
	switch percent := int(100*p + 0.5); {
	case percent < 1:
		return "under 1 %"
	case percent > 99:
		return "over 99 %"
	default:
		return strconv.Itoa(percent) + " %"
	}
}

func sentence(reason string) string {
	if reason == "" {
		return ""
	}
	return strings.ToUpper(reason[:1]) + reason[1:]
}

// spans returns the byte spans of a candidate by document.
func spans(c *api.Candidate) map[string][][2]int {
	out := map[string][][2]int{}
	for _, e := range append([]api.Evidence{c.Evidence}, c.Also...) {
		out[e.Source.ID] = append(out[e.Source.ID], e.Text.Byte)
	}
	return out
}

func newPlace(e *api.Evidence, from ReadAt, all map[string][][2]int) Place {
	from.ID, from.Span, from.Marks = e.Source.ID, e.Text.Byte, all[e.Source.ID]
	return Place{
		File: NewFile(e.Source.Path), Heading: e.Text.Heading, Page: e.Text.Page, Stale: e.Source.Stale,
		Start: e.Text.Byte[0], End: e.Text.Byte[1],
		Read: ReadPath(from),
	}
}

// NewHit turns a passage into what is shown.
func NewHit(h api.Hit, in In, question string) Hit {
	hit := Hit{
		Text: strings.Join(strings.Fields(h.Passage.Text), " "), File: NewFile(h.Path), Page: h.Passage.Page,
		Heading: h.Passage.Heading, Why: h.Why,
		Read: ReadPath(ReadAt{In: in, ID: h.ID, Span: h.Passage.Byte, Question: question}),
	}
	if h.Why != nil {
		hit.Score = strconv.FormatFloat(h.Score, 'f', 2, 64)
	}
	return hit
}

// ReadAt is a place in the reader.
type ReadAt struct {
	In       In
	ID       string
	Engine   string   // that answered, where one was chosen
	Span     [2]int   // the marked one
	Marks    [][2]int // others of the same document
	Question string   // to go back to
	Page     int      // shown as a picture; 0 shows text
	From     int      // byte that the shown text begins at; 0 chooses
}

// ReadPath is the address of a place in the reader.
func ReadPath(a ReadAt) string {
	q := url.Values{}
	if a.Span[1] > a.Span[0] {
		q.Set("span", spanText(a.Span))
	}
	for _, m := range a.Marks {
		if len(a.Marks) > 1 {
			q.Add("mark", spanText(m))
		}
	}
	if a.Question != "" {
		q.Set("q", a.Question)
		if a.Engine != "" {
			q.Set("engine", a.Engine)
		}
	}
	if a.Page > 0 {
		q.Set("page", strconv.Itoa(a.Page))
	}
	if a.From > 0 {
		q.Set("from", strconv.Itoa(a.From))
	}
	to := "/read/" + url.PathEscape(a.In.Name) + "/" + url.PathEscape(a.ID)
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	if a.Span[1] > a.Span[0] && a.Page == 0 {
		to += "#here"
	}
	return to
}

func spanText(s [2]int) string { return fmt.Sprintf("%d-%d", s[0], s[1]) }

// Citation is a quotation as one would put it under a text.
func Citation(e *api.Evidence) string {
	c := "“" + strings.Join(strings.Fields(e.Text.Exact), " ") + "”, " + filepath.Base(e.Source.Path)
	if e.Source.Title != "" {
		c = "“" + strings.Join(strings.Fields(e.Text.Exact), " ") + "”, " + e.Source.Title +
			" (" + filepath.Base(e.Source.Path) + ")"
	}
	if e.Text.Page > 0 {
		c += fmt.Sprintf(", p. %d", e.Text.Page)
	}
	return c + fmt.Sprintf(", bytes %d–%d", e.Text.Byte[0], e.Text.Byte[1])
}

// thumbSide is the longest side of a picture in a grid, in pixels, on fine screens.
const thumbSide = 360

// NewTile turns a picture into a tile.
func NewTile(in In, id, name string, size api.HitImage) Tile {
	at := "/api/" + api.Version + "/indexes/" + url.PathEscape(in.Name) + "/documents/" + id
	return Tile{
		Path: name, Name: filepath.Base(name), Look: "/look?image=" + id + in.query(),
		Region: "/region?image=" + id + in.query(),
		Like:   "/search?kind=images&like=" + id + in.query(),
		Thumb:  at + "/image?side=" + strconv.Itoa(thumbSide), Width: size.Width, Height: size.Height,
	}
}

// Took says how long an answer took: "0.25 s".
func Took(ms map[string]float64) string {
	total, ok := ms["total"]
	switch {
	case !ok:
		return ""
	case total < 100:
		return fmt.Sprintf("%.0f ms", max(total, 1))
	}
	return fmt.Sprintf("%.2f s", total/1000)
}

// Counts says what indexes hold.
func Counts(indexes []api.Index) string {
	documents, passages, images := 0, 0, 0
	for _, x := range indexes {
		documents, passages, images = documents+x.Documents, passages+x.Passages, images+x.Images
	}
	words := []string{}
	for _, n := range []struct {
		n    int
		noun string
	}{{documents, "document"}, {passages, "passage"}, {images, "picture"}} {
		if n.n == 1 {
			words = append(words, "1 "+n.noun)
		} else if n.n > 1 {
			words = append(words, grouped(n.n)+" "+n.noun+"s")
		}
	}
	if len(words) == 0 {
		return "Nothing is indexed yet."
	}
	return strings.Join(words, ", ")
}

// grouped writes a number with thin spaces between thousands.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "\u202f" + text[at:]
	}
	return text
}
