package web

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"evident/api"
)

// Search is a query and what it found.
type Search struct {
	Query, Like        string
	LikePath, LikeLook string
	Pictures, Done     bool
	Hits               []Hit
	Tiles              []Tile
	Took               string
	Problem            *api.Problem
}

// Look is a picture and the maps over it, or pictures to choose from.
type Look struct {
	Image, ID, Name, Texts string
	Width, Height          int
	Overlay                string
	Maps                   []LookMap
	Notes                  []string
	Took, Palette          string
	Problem                *api.Problem

	Tiles []Tile
	Next  string
}

// LookMap is one text's map.
type LookMap struct {
	Text, Words, Heat, Raw, Similarity string
	Percent                            int
	Min, Max                           float64
}

// LookAt shows a picture of the index without maps.
func LookAt(index string, d *api.Document, texts string) Look {
	tile := NewTile(index, d.Source.ID, d.Source.Path, *d.Image)
	return Look{
		Image: strings.TrimSuffix(tile.Thumb, strconv.Itoa(thumbSide)) + "1200", ID: d.Source.ID,
		Name: tile.Name, Width: d.Image.Width, Height: d.Image.Height, Texts: texts,
	}
}

// NewLook shows an explanation.
func NewLook(e *api.Explanation, palette [256][3]uint8) Look {
	at := "/api/" + api.Version + "/explanations/" + e.ID
	l := Look{
		ID: e.Image, Name: filepath.Base(e.Path), Width: e.Width, Height: e.Height,
		Overlay: at + "/overlay.png", Notes: e.Notes, Took: Took(e.TookMS),
		Image: at + "/picture",
	}
	if e.Path == "" {
		l.Name = "Your picture"
	}
	var texts []string
	for _, m := range e.Maps {
		texts = append(texts, m.Text)
		l.Maps = append(l.Maps, LookMap{
			Text: m.Text, Words: m.Words, Heat: m.Heat, Raw: m.Raw, Min: m.Min, Max: m.Max,
			Percent: int(100*m.Presence + 0.5), Similarity: strconv.FormatFloat(m.Similarity, 'f', 3, 64),
		})
	}
	l.Texts = strings.Join(texts, "\n")
	var hex strings.Builder
	for _, c := range palette {
		fmt.Fprintf(&hex, "%02x%02x%02x", c[0], c[1], c[2])
	}
	l.Palette = hex.String()
	return l
}

// Library is what an index holds.
type Library struct {
	Counts, Match, Kind, Next string
	Roots, Folders            []string
	Documents                 []LibraryRow
	Total                     int
	Skipped                   []api.Skipped
	Problem                   *api.Problem
}

// LibraryRow is a document in the list.
type LibraryRow struct {
	File
	Title, Format, Size, Open string
}

// Jobs is the jobs that are remembered.
type Jobs struct {
	Jobs    []JobRow
	Problem *api.Problem
}

// JobRow is a job in the list.
type JobRow struct {
	ID, State, Words, What string
	Over                   bool
	Done, Total            int
	Error                  *api.Problem
	Skipped                []api.Skipped
}

// JobWords says how far a job is, or what came of it.
func JobWords(j *api.Job) string {
	if r := j.Result; r != nil {
		return fmt.Sprintf("%d new, %d changed, %d unchanged, %d removed, %d skipped in %.1f s",
			r.Added, r.Changed, r.Unchanged, r.Removed, len(r.Skipped), r.Seconds)
	}
	if j.State == "waiting" {
		return "waits for the jobs before it"
	}
	return fmt.Sprintf("%d of %d files, %d skipped", j.Progress.Done, j.Progress.Total, j.Progress.Skipped)
}

// StatusPage is what the server is doing.
type StatusPage struct {
	Status  *api.Status
	Problem *api.Problem
}

// Docs is the reference of the API.
type Docs struct {
	Address string
	Groups  []DocsGroup
}

// DocsGroup is the routes of one tag.
type DocsGroup struct {
	Name, ID string
	Routes   []DocsRoute
}

// DocsRoute is a route in the reference.
type DocsRoute struct {
	Method, Path, Summary, Doc, Example string
	Fields                              []DocsField
	Problems                            []string
}

// DocsField is a parameter or a field of a body.
type DocsField struct {
	Name, Kind, Doc string
	Required        bool
}

// Errors is one kind of problem, or all.
type Errors struct {
	Kind  *api.Kind
	Kinds []api.Kind
}

// Login asks for a key.
type Login struct {
	Next  string
	Wrong bool
}

// NewRead shows a document; ShowText or ShowPage fill in the document itself.
func NewRead(d *api.Document, text string, at ReadAt) *Read {
	r := &Read{
		Title: d.Source.Title, Path: d.Source.Path, Stale: d.Source.Stale,
		Facts: fmt.Sprintf("%s · %s", d.Format, Size(int64(d.Bytes))),
	}
	if r.Title == "" {
		r.Title = filepath.Base(d.Source.Path)
	}
	if d.Pages == 1 {
		r.Facts += " · 1 page"
	} else if d.Pages > 1 {
		r.Facts += fmt.Sprintf(" · %d pages", d.Pages)
	}
	if at.Question != "" {
		r.Back = "/ask?q=" + url.QueryEscape(at.Question)
	}
	for _, m := range merged(at.Marks) {
		there := at
		there.Span = m
		quoted := strings.Join(strings.Fields(text[m[0]:m[1]]), " ")
		if runes := []rune(quoted); len(runes) > 90 {
			quoted = string(runes[:90]) + "…"
		}
		r.Marks = append(r.Marks, ReadMark{Text: quoted, Path: ReadPath(there), Here: m == at.Span, Span: m})
	}
	if at.Span[1] > at.Span[0] {
		r.Citation = Citation(&api.Evidence{Source: d.Source, Text: api.Quotation{
			Exact: strings.ToValidUTF8(text[at.Span[0]:at.Span[1]], ""), Byte: at.Span,
		}})
	}
	for _, h := range d.Headings {
		there := ReadAt{Index: at.Index, ID: at.ID, Question: at.Question, From: h.Byte}
		end := min(len(text), h.Byte+len(h.Text))
		if end > h.Byte && text[h.Byte:end] == h.Text {
			there.Span = [2]int{h.Byte, end}
		}
		r.Headings = append(r.Headings, ReadHeading{Text: h.Text, Level: h.Level, Path: ReadPath(there)})
	}
	if d.Format == "pdf" {
		r.Pages = d.Pages
	}
	return r
}

// ShowText fills in the text, or a window of a long one that begins near from or the marked span.
func (r *Read) ShowText(text string, at ReadAt, pages []int, from int) {
	around := at.Span[0]
	if from > 0 && from < len(text) {
		around = from
	}
	start, end := Window(text, around)
	if from > 0 && len(text) > windowBytes {
		start, end = Window(text, min(from+windowBytes/4, len(text)))
	}
	r.Pieces = Pieces(text, start, end, at.Marks, at.Span, pages)
	step := ReadAt{Index: at.Index, ID: at.ID, Question: at.Question}
	if start > 0 {
		step.From = max(1, start-windowBytes)
		r.Earlier = ReadPath(step)
	}
	if end < len(text) {
		step.From = end
		r.Later = ReadPath(step)
	}
	there := at
	r.TextView = ReadPath(there)
	if there.Page = pageOf(at.Span[0], pages); r.Pages > 0 {
		r.PageViewPath = ReadPath(there)
	}
}

// pageOf returns the page, from 1, that a byte is on.
func pageOf(at int, pages []int) int {
	page := 1
	for i, start := range pages {
		if start <= at {
			page = i + 1
		}
	}
	return page
}

// ShowPage fills in the picture of a page; its boxes are the caller's to add.
func (r *Read) ShowPage(at ReadAt, page int) {
	r.PageView, r.Page, r.PageBefore, r.PageAfter = true, page, page-1, page+1
	r.PageImage = "/api/" + api.Version + "/indexes/" + url.PathEscape(at.Index) + "/documents/" + at.ID +
		"/pages/" + strconv.Itoa(page) + "/image.png"
	there := at
	there.Page = 0
	r.TextView = ReadPath(there)
	there.Page = page
	r.PageViewPath = ReadPath(there)
	if page > 1 {
		there.Page = page - 1
		r.Before = ReadPath(there)
	}
	if page < r.Pages {
		there.Page = page + 1
		r.After = ReadPath(there)
	}
}
