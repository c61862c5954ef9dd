package server

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"evident/api"
	"evident/document"
	"evident/internal/openapi"
	"evident/internal/web"
)

// readPage shows a document with what is marked in it, as text or as pages.
func (s *Server) readPage(c *call) (*reply, error) {
	index, id := c.PathValue("index"), c.PathValue("id")
	d, text, err := s.service.Document(c.Context(), index, id)
	if err != nil {
		return nil, err
	}
	if d.Image != nil {
		return seeOther("/look?image=" + id + "&index=" + url.QueryEscape(index)), nil
	}
	in, err := s.in(index)
	if err != nil {
		return nil, err
	}
	at := web.ReadAt{In: in, ID: id, Question: c.FormValue("q"), Engine: engineOf(c)}
	marks := spansOf(c.Form["mark"], len(text))
	if span := spansOf(c.Form["span"], len(text)); len(span) > 0 {
		at.Span = span[0]
	}
	if len(marks) == 0 && at.Span[1] > 0 {
		marks = [][2]int{at.Span}
	}
	at.Marks = marks
	body := web.NewRead(d, text, at)
	if page := number(c.FormValue("page")); d.Format == "pdf" && page > 0 && page <= d.Pages {
		body.ShowPage(at, page)
		marked, err := s.service.PageMarks(c.Context(), index, id, page, document.ByteSpan{Start: at.Span[0], End: at.Span[1]})
		if c.Context().Err() != nil {
			return nil, err
		}
		if body.Problem, _ = s.problemOf(err); err == nil {
			body.Boxes = marked.Boxes
		}
	} else {
		body.ShowText(text, at, d.Starts, number(c.FormValue("from")))
	}
	return s.show(c, 0, "read", body.Title, body)
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// spansOf reads spans "start-end" that lie within a text.
func spansOf(texts []string, length int) [][2]int {
	const most = 200
	var spans [][2]int
	for _, t := range texts[:min(len(texts), most)] {
		from, to, _ := strings.Cut(t, "-")
		start, end := number(from), number(to)
		if start < end && end <= length {
			spans = append(spans, [2]int{start, end})
		}
	}
	return spans
}

func (s *Server) libraryPage(c *call) (*reply, error) {
	in, err := s.in(c.FormValue("index"))
	if err != nil {
		return nil, err
	}
	x, err := s.service.Index(in.Name)
	if err != nil {
		return nil, err
	}
	q := api.DocumentQuery{Match: c.FormValue("match"), Kind: c.FormValue("kind"), Cursor: c.FormValue("cursor")}
	list, err := s.service.Documents(c.Context(), in.Name, q)
	if err != nil {
		return nil, err
	}
	snapshots, err := s.service.Snapshots()
	if err != nil {
		return nil, err
	}
	body := web.Library{
		In:     in,
		Counts: web.Counts([]api.Index{*x}), Roots: x.Roots, Folders: s.service.Limits().Folders,
		Match: q.Match, Kind: q.Kind, Total: list.Total, Skipped: x.Skipped,
	}
	for _, d := range list.Documents {
		row := web.LibraryRow{File: web.NewFile(d.Path), Title: d.Title, Format: d.Format, Size: web.Size(int64(d.Bytes))}
		row.Open = web.ReadPath(web.ReadAt{In: in, ID: d.ID})
		if d.Image != nil {
			row.Open = web.NewTile(in, d.ID, d.Path, *d.Image).Look
			row.Size = fmt.Sprintf("%d × %d", d.Image.Width, d.Image.Height)
		}
		body.Documents = append(body.Documents, row)
	}
	if list.Next != "" {
		next := url.Values{"match": {q.Match}, "kind": {q.Kind}, "cursor": {list.Next}}
		if in.Other {
			next.Set("index", in.Name)
		}
		body.Next = "/library?" + next.Encode()
	}
	for _, one := range snapshots.Snapshots {
		body.Snapshots = append(body.Snapshots, web.SnapshotRow{Name: one.Name, Size: web.Size(one.Bytes), Created: one.Created})
	}
	return s.show(c, 0, "library", "Library", body)
}

func (s *Server) jobsPage(c *call) (*reply, error) {
	body := web.Jobs{}
	for _, j := range s.service.Jobs().Jobs {
		body.Jobs = append(body.Jobs, web.NewJobRow(&j))
	}
	return s.show(c, 0, "jobs", "Jobs", body)
}

// jobsForm starts a job from a page: of a path, or of all that was indexed before.
func (s *Server) jobsForm(c *call) (*reply, error) {
	r := api.JobRequest{Kind: "index", Index: c.PostFormValue("index"), Phrases: c.PostFormValue("phrases") != ""}
	if path := strings.TrimSpace(c.PostFormValue("path")); path != "" {
		r.Paths = []string{path}
	}
	if _, err := s.service.StartJob(r); err != nil {
		return nil, err
	}
	return seeOther("/jobs"), nil
}

func (s *Server) cancelForm(c *call) (*reply, error) {
	if err := s.service.StopJob(c.PostFormValue("id")); err != nil {
		return nil, err
	}
	return seeOther("/jobs"), nil
}

func (s *Server) statusPage(c *call) (*reply, error) {
	status, err := s.service.Status()
	if err != nil {
		return nil, err
	}
	if s.o.Keys != nil {
		status.Access = "keys"
	}
	models, err := s.service.Models()
	if err != nil {
		return nil, err
	}
	return s.show(c, 0, "status", "Status", web.StatusPage{Status: status, Fetched: models.Fetched})
}

// snapshotForm starts a snapshot from a page, removeSnapshotForm deletes one; so with models.
func (s *Server) snapshotForm(c *call) (*reply, error) {
	if _, err := s.service.StartSnapshot(api.SnapshotRequest{Index: c.PostFormValue("index")}); err != nil {
		return nil, err
	}
	return seeOther("/jobs"), nil
}

func (s *Server) removeSnapshotForm(c *call) (*reply, error) {
	if _, err := s.service.RemoveSnapshot(c.PostFormValue("name")); err != nil {
		return nil, err
	}
	return seeOther("/library"), nil
}

func (s *Server) pullForm(c *call) (*reply, error) {
	if _, err := s.service.StartPull(api.ModelRequest{Name: strings.TrimSpace(c.PostFormValue("name"))}); err != nil {
		return nil, err
	}
	return seeOther("/jobs"), nil
}

func (s *Server) removeModelForm(c *call) (*reply, error) {
	if _, err := s.service.RemoveModel(api.ModelQuery{Name: c.PostFormValue("name")}); err != nil {
		return nil, err
	}
	return seeOther("/status"), nil
}

// docsPage is the reference of the API, made of the table of routes.
func (s *Server) docsPage(c *call) (*reply, error) {
	scheme := "http://"
	if c.TLS != nil || s.o.Secure {
		scheme = "https://"
	}
	body := web.Docs{Address: scheme + c.Host}
	for _, r := range s.routes {
		if r.Tag == pagesTag {
			continue
		}
		n := len(body.Groups)
		if n == 0 || body.Groups[n-1].Name != r.Tag {
			body.Groups = append(body.Groups, web.DocsGroup{Name: r.Tag, ID: strings.ReplaceAll(strings.ToLower(r.Tag), " ", "-")})
			n++
		}
		g := &body.Groups[n-1]
		g.Routes = append(g.Routes, docsOf(&r))
	}
	return s.show(c, 0, "docs", "API", body)
}

func docsOf(r *route) web.DocsRoute {
	d := web.DocsRoute{
		Method: r.Method, Path: r.Path, Summary: r.Summary, Doc: r.Doc, Problems: r.Problems,
	}
	for _, fields := range []any{r.Query, r.Body} {
		if fields == nil {
			continue
		}
		for _, f := range openapi.Of(reflect.TypeOf(fields)).Fields {
			d.Fields = append(d.Fields, web.DocsField{
				Name: f.Name, Kind: string(f.Shape.Kind), Doc: f.Doc, Required: f.Required,
			})
		}
	}
	if r.Example != nil {
		if example, err := json.MarshalIndent(r.Example, "", "  "); err == nil {
			d.Example = string(example)
		}
	}
	return d
}

func (s *Server) errorsPage(c *call) (*reply, error) {
	return s.show(c, 0, "errors", "Problems", web.Errors{Kinds: api.Kinds})
}

func (s *Server) errorPage(c *call) (*reply, error) {
	kind, ok := api.KindOf(c.PathValue("code"))
	if !ok {
		return nil, api.NewProblem("not-found", "no problem has the code "+strconv.Quote(c.PathValue("code")))
	}
	return s.show(c, 0, "errors", kind.Title, web.Errors{Kind: &kind})
}
