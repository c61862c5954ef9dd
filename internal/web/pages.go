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
	In                 In
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
	In                     In
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
func LookAt(in In, d *api.Document, texts string) Look {
	tile := NewTile(in, d.Source.ID, d.Source.Path, *d.Image)
	return Look{
		Image: strings.TrimSuffix(tile.Thumb, strconv.Itoa(thumbSide)) + "1200", ID: d.Source.ID,
		Name: tile.Name, Width: d.Image.Width, Height: d.Image.Height, Texts: texts, In: in,
	}
}

// NewLook shows an explanation.
func NewLook(in In, e *api.Explanation, palette [256][3]uint8) Look {
	at := "/api/" + api.Version + "/explanations/" + e.ID
	l := Look{
		ID: e.Image, Name: filepath.Base(e.Path), Width: e.Width, Height: e.Height,
		Overlay: at + "/overlay.png", Notes: e.Notes, Took: Took(e.TookMS),
		Image: at + "/picture", In: in,
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
	In                        In
	Counts, Match, Kind, Next string
	Roots, Folders            []string
	Documents                 []LibraryRow
	Total                     int
	Skipped                   []api.Skipped
	Snapshots                 []SnapshotRow
	Problem                   *api.Problem
}

// SnapshotRow is a snapshot in the list.
type SnapshotRow struct{ Name, Size, Created string }

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
	ID, State, Title, Words string
	Result                  string // address of what came of it
	ResultWords             string
	Over                    bool
	Done, Total             int
	Error                   *api.Problem
	Skipped                 []api.Skipped
}

// NewJobRow shows a job.
func NewJobRow(j *api.Job) JobRow {
	row := JobRow{
		ID: j.ID, State: j.State, Over: j.Over(), Done: j.Progress.Done, Total: max(1, j.Progress.Total),
		Words: jobWords(j), Error: j.Error,
	}
	if j.State == "done" {
		row.Done, row.Total = 1, 1
	}
	if j.Result != nil {
		row.Skipped = j.Result.Skipped
	}
	switch j.Kind {
	case "snapshot":
		row.Title = "Snapshot of " + j.Index
	case "model":
		row.Title = "Fetching " + j.Subject
	case "evaluation":
		row.Title = "Measuring " + j.Subject
	default:
		row.Title = "Indexing " + strings.Join(names(j.Paths), ", ")
	}
	switch {
	case j.Evaluation != nil:
		row.Result, row.ResultWords = "/evaluate?id="+j.Evaluation.ID, "The figures"
	case j.Snapshot != nil:
		row.Result, row.ResultWords = "/library", "The snapshots"
	}
	return row
}

func names(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = filepath.Base(p)
	}
	return out
}

// jobWords says how far a job is, or what came of it.
func jobWords(j *api.Job) string {
	p := j.Progress
	switch {
	case j.Result != nil:
		r := j.Result
		words := fmt.Sprintf("%d new, %d changed, %d unchanged, %d removed, %d skipped in %.1f s",
			r.Added, r.Changed, r.Unchanged, r.Removed, len(r.Skipped), r.Seconds)
		if r.Phrases > 0 {
			words += fmt.Sprintf("; phrases of %d passages", r.Phrases)
		}
		return words
	case j.Snapshot != nil:
		return fmt.Sprintf("%s, %s", j.Snapshot.Name, Size(j.Snapshot.Bytes))
	case j.Model != nil:
		return fmt.Sprintf("%s, %s", Size(j.Model.Bytes), or(j.Model.License, "no licence named"))
	case j.Evaluation != nil:
		return fmt.Sprintf("%d %s in %.1f s", j.Evaluation.Report.N, j.Evaluation.Report.Unit, j.Evaluation.Report.Seconds)
	case j.State == "waiting":
		return "waits for the jobs before it"
	case j.State == "failed":
		return ""
	case p.Total == 0:
		return "has begun"
	case p.Skipped > 0:
		return fmt.Sprintf("%d of %d %s, %d skipped", p.Done, p.Total, p.Unit, p.Skipped)
	}
	return fmt.Sprintf("%d of %d %s", p.Done, p.Total, p.Unit)
}

func or(text, other string) string {
	if text != "" {
		return text
	}
	return other
}

// StatusPage is what the server is doing.
type StatusPage struct {
	Status  *api.Status
	Fetched []api.FetchedModel
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
		r.Back = "/ask?q=" + url.QueryEscape(at.Question) + at.In.query()
		if at.Engine != "" {
			r.Back += "&engine=" + url.QueryEscape(at.Engine)
		}
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
		there := ReadAt{In: at.In, ID: at.ID, Question: at.Question, Engine: at.Engine, From: h.Byte}
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
	step := ReadAt{In: at.In, ID: at.ID, Question: at.Question, Engine: at.Engine}
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
	r.PageImage = "/api/" + api.Version + "/indexes/" + url.PathEscape(at.In.Name) + "/documents/" + at.ID +
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
