package server

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"evident"
	"evident/api"
	"evident/internal/openapi"
	"evident/internal/web"
)

// pagesTag marks the routes that are for people: they are not in the description of the API.
const pagesTag = "pages"

func pageRoutes() []route {
	page := func(method, path string, access openapi.Access, handle func(*Server, *call) (*reply, error)) route {
		return route{handle: handle, Route: openapi.Route{
			Method: method, Path: path, Tag: pagesTag, Access: access, Summary: "a page",
			Results: []openapi.Result{{Status: 200, Media: asHTML}},
		}}
	}
	return []route{
		page("GET", "/", openapi.Read, (*Server).startPage),
		page("GET", "/ask", openapi.Read, (*Server).askPage),
		page("GET", "/search", openapi.Read, (*Server).searchPage),
		page("GET", "/read/{index}/{id}", openapi.Read, (*Server).readPage),
		page("GET", "/look", openapi.Read, (*Server).lookPage),
		page("POST", "/look", openapi.Read, (*Server).lookUpload),
		page("GET", "/region", openapi.Read, (*Server).regionPage),
		page("GET", "/evaluate", openapi.Read, (*Server).evaluatePage),
		page("POST", "/evaluate", openapi.Admin, (*Server).evaluateForm),
		page("POST", "/evaluate/remove", openapi.Admin, (*Server).removeEvaluationForm),
		page("GET", "/library", openapi.Read, (*Server).libraryPage),
		page("POST", "/snapshots", openapi.Admin, (*Server).snapshotForm),
		page("POST", "/snapshots/remove", openapi.Admin, (*Server).removeSnapshotForm),
		page("POST", "/models", openapi.Admin, (*Server).pullForm),
		page("POST", "/models/remove", openapi.Admin, (*Server).removeModelForm),
		page("GET", "/jobs", openapi.Read, (*Server).jobsPage),
		page("POST", "/jobs", openapi.Admin, (*Server).jobsForm),
		page("POST", "/jobs/cancel", openapi.Admin, (*Server).cancelForm),
		page("GET", "/status", openapi.Read, (*Server).statusPage),
		page("GET", "/docs", openapi.Open, (*Server).docsPage),
		page("GET", "/docs/errors", openapi.Open, (*Server).errorsPage),
		page("GET", "/docs/errors/{code}", openapi.Open, (*Server).errorPage),
		page("GET", "/login", openapi.Open, (*Server).loginPage),
		page("POST", "/login", openapi.Open, (*Server).login),
		page("POST", "/logout", openapi.Open, (*Server).logout),
		page("GET", "/static/{file}", openapi.Open, (*Server).static),
	}
}

const asHTML = "text/html; charset=utf-8"

// show renders a page.
func (s *Server) show(c *call, status int, view, title string, body any) (*reply, error) {
	_, noCookie := c.Cookie(cookieName)
	in, err := s.in(c.FormValue("index"))
	if err != nil { // the page says what is wrong; its addresses lead to the first index
		in = web.In{}
	}
	html, err := s.pages.Render(web.Page{
		View: view, Title: title, Body: body, SignedIn: noCookie == nil && s.o.Keys != nil,
		In: in, Indexes: s.service.IndexNames(),
	})
	if err != nil {
		return nil, err
	}
	return &reply{status: status, media: asHTML, bytes: html}, nil
}

// in is the index of a name, "" for the first, as pages have it.
func (s *Server) in(name string) (web.In, error) {
	found, err := s.service.IndexName(name)
	if err != nil {
		return web.In{}, err
	}
	return web.In{Name: found, Other: found != s.service.IndexNames()[0]}, nil
}

// engineOf is the method that a page was told to answer with; "" where it was not.
func engineOf(c *call) string {
	if engine := c.FormValue("engine"); engine == evident.EngineMix || engine == evident.EnginePhrase {
		return engine
	}
	return ""
}

// box is the field for questions to an index.
func (s *Server) box(c *call, question string) (web.Box, error) {
	in, err := s.in(c.FormValue("index"))
	if err != nil {
		return web.Box{}, err
	}
	x, err := s.service.Index(in.Name)
	if err != nil {
		return web.Box{}, err
	}
	return web.NewBox(in, question, or(engineOf(c), evident.EngineAuto), x.Phrases > 0), nil
}

// fault shows what went wrong as a page, or asks for a key.
func (s *Server) fault(w http.ResponseWriter, c *call, err error) {
	p := s.asProblem(err)
	if p.Code == "key-needed" && c.Method == http.MethodGet {
		http.Redirect(w, c.Request, "/login?next="+url.QueryEscape(c.URL.RequestURI()), http.StatusSeeOther)
		return
	}
	if p.Code == "internal" {
		s.o.Log.Error("internal problem", "request_id", c.Context().Value(requestIDKey{}), "cause", err.Error())
	}
	answer, err := s.show(c, p.Status, "fault", p.Title, p)
	if err == nil {
		err = s.write(w, c, answer)
	}
	if err != nil {
		s.problem(w, c.Request, err)
	}
}

// problemOf returns the problem that a page shows in its place, and the page's status.
func (s *Server) problemOf(err error) (*api.Problem, int) {
	if err == nil {
		return nil, 0
	}
	p := s.asProblem(err)
	if p.Code == "internal" {
		s.o.Log.Error("internal problem", "cause", err.Error())
	}
	return p, p.Status
}

func (s *Server) startPage(c *call) (*reply, error) {
	list, err := s.service.Indexes()
	if err != nil {
		return nil, err
	}
	box, err := s.box(c, "")
	if err != nil {
		return nil, err
	}
	body := web.Start{
		Box: box, Counts: web.Counts(list.Indexes),
		Folders: s.service.Limits().Folders, Empty: true, Data: s.o.Data,
	}
	for _, x := range list.Indexes {
		body.Empty = body.Empty && x.Documents+x.Images == 0
		body.Images = body.Images || x.Images > 0
	}
	return s.show(c, 0, "start", "", body)
}

func (s *Server) askPage(c *call) (*reply, error) {
	question := strings.TrimSpace(c.FormValue("q"))
	box, err := s.box(c, question)
	if err != nil {
		return nil, err
	}
	body := web.Ask{Box: box}
	if question == "" {
		return s.show(c, 0, "ask", "Ask", body)
	}
	answer, err := s.service.Ask(c.Context(), api.AskRequest{Question: question, Index: box.In.Name, Engine: box.Engine}, nil)
	if c.Context().Err() != nil {
		return nil, err
	}
	var status int
	if body.Problem, status = s.problemOf(err); err == nil {
		body.Answer = web.NewAnswered(answer, box.In, engineOf(c))
	}
	a, err := s.show(c, status, "ask", question, body)
	if err == nil && answer != nil {
		a.took = answer.TookMS
	}
	return a, err
}

func (s *Server) searchPage(c *call) (*reply, error) {
	q := strings.TrimSpace(c.FormValue("q"))
	body := web.Search{Query: q, Pictures: c.FormValue("kind") == "images", Like: c.FormValue("like")}
	var err error
	if body.In, err = s.in(c.FormValue("index")); err != nil {
		return nil, err
	}
	var took map[string]float64
	switch {
	case body.Pictures && (q != "" || body.Like != ""):
		took, err = s.findPictures(c, &body)
	case q != "":
		took, err = s.findPassages(c, &body)
	default:
		return s.show(c, 0, "search", "Search", body)
	}
	if c.Context().Err() != nil {
		return nil, err
	}
	var status int
	body.Problem, status = s.problemOf(err)
	body.Done, body.Took = err == nil, web.Took(took)
	a, err := s.show(c, status, "search", or(q, "Search"), body)
	if err == nil {
		a.took = took
	}
	return a, err
}

func or(text, other string) string {
	if text != "" {
		return text
	}
	return other
}

func (s *Server) findPassages(c *call, body *web.Search) (map[string]float64, error) {
	found, err := s.service.Search(c.Context(), api.SearchRequest{Query: body.Query, Index: body.In.Name, Explain: true})
	if err != nil {
		return nil, err
	}
	for _, h := range found.Hits {
		body.Hits = append(body.Hits, web.NewHit(h, body.In, ""))
	}
	return found.TookMS, nil
}

func (s *Server) findPictures(c *call, body *web.Search) (map[string]float64, error) {
	r := api.ImageSearchRequest{Query: body.Query, Index: body.In.Name}
	if body.Query == "" {
		r.Like = body.Like
		d, _, err := s.service.Document(c.Context(), body.In.Name, body.Like)
		if err != nil {
			return nil, err
		}
		body.LikePath = d.Source.Path
		body.LikeLook = "/look?image=" + body.Like + "&index=" + url.QueryEscape(body.In.Name)
	} else {
		body.Like = ""
	}
	found, err := s.service.SearchImages(c.Context(), r, nil)
	if err != nil {
		return nil, err
	}
	for _, h := range found.Hits {
		tile := web.NewTile(body.In, h.ID, h.Path, h.Image)
		tile.Score = strconv.FormatFloat(h.Score, 'f', 3, 64)
		if body.Query != "" {
			tile.Look += "&texts=" + url.QueryEscape(body.Query)
		}
		body.Tiles = append(body.Tiles, tile)
	}
	return found.TookMS, nil
}

// picturesPage is how many pictures of the library one page shows.
const picturesPage = 60

func (s *Server) lookPage(c *call) (*reply, error) {
	id, kept := c.FormValue("image"), c.FormValue("explanation")
	texts := linesOf(c.FormValue("texts"))
	in, err := s.in(c.FormValue("index"))
	if err != nil {
		return nil, err
	}
	switch {
	case kept != "":
		e, err := s.service.Explanation(kept)
		if err != nil {
			return nil, err
		}
		return s.show(c, 0, "look", "Look", web.NewLook(in, e, evident.EvenPalette()))
	case id == "":
		return s.choosePicture(c, in)
	}
	d, _, err := s.service.Document(c.Context(), in.Name, id)
	if err != nil {
		return nil, err
	}
	if d.Image == nil {
		return seeOther(web.ReadPath(web.ReadAt{In: in, ID: id})), nil
	}
	body := web.LookAt(in, d, c.FormValue("texts"))
	if len(texts) == 0 {
		return s.show(c, 0, "look", body.Name, body)
	}
	e, err := s.service.Explain(c.Context(), api.ExplainRequest{Image: id, Texts: texts, Index: in.Name}, nil)
	if c.Context().Err() != nil {
		return nil, err
	}
	var status int
	if body.Problem, status = s.problemOf(err); err == nil {
		body = web.NewLook(in, e, evident.EvenPalette())
	}
	return s.show(c, status, "look", body.Name, body)
}

// linesOf returns the lines that have words.
func linesOf(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func (s *Server) choosePicture(c *call, in web.In) (*reply, error) {
	tiles, next, err := s.pictures(c, in, "/look")
	if err != nil {
		return nil, err
	}
	return s.show(c, 0, "look", "Look", web.Look{In: in, Tiles: tiles, Next: next})
}

// pictures lists pictures of an index to choose from, and the address of the next ones.
func (s *Server) pictures(c *call, in web.In, page string) (tiles []web.Tile, next string, err error) {
	list, err := s.service.Documents(c.Context(), in.Name, api.DocumentQuery{
		Kind: "image", Limit: picturesPage, Cursor: c.FormValue("cursor"),
	})
	if err != nil {
		return nil, "", err
	}
	for _, d := range list.Documents {
		tiles = append(tiles, web.NewTile(in, d.ID, d.Path, *d.Image))
	}
	if list.Next != "" {
		next = page + "?cursor=" + url.QueryEscape(list.Next)
		if in.Other {
			next += "&index=" + url.QueryEscape(in.Name)
		}
	}
	return tiles, next, nil
}

// lookUpload explains a picture that came with a form, and goes to the explanation's address.
func (s *Server) lookUpload(c *call) (*reply, error) {
	free, err := c.readBody(s.uploads)
	if err != nil {
		return nil, err
	}
	defer free()
	_, boundary, _ := strings.Cut(c.Header.Get("Content-Type"), "boundary=")
	fields, upload, err := readForm(c.body, strings.Trim(boundary, `"`))
	if err != nil || len(upload) == 0 {
		return nil, errors.Join(api.NewProblem("invalid-request", "the form holds no picture"), err)
	}
	texts := linesOf(fields.Get("texts"))
	if len(texts) == 0 {
		return nil, api.NewProblem("bad-text", "there is no text to look for")
	}
	e, err := s.service.Explain(c.Context(), api.ExplainRequest{Texts: texts}, upload)
	if err != nil {
		return nil, err
	}
	return seeOther("/look?explanation=" + e.ID), nil
}

// seeOther sends the browser to another page.
func seeOther(to string) *reply {
	return &reply{status: http.StatusSeeOther, header: map[string]string{"Location": to}}
}

func (s *Server) static(c *call) (*reply, error) {
	content, media, tag, ok := web.Static(c.PathValue("file"))
	if !ok {
		return nil, api.NewProblem("not-found", "there is nothing at "+c.URL.Path)
	}
	return &reply{media: media, bytes: content, etag: tag}, nil
}

func (s *Server) loginPage(c *call) (*reply, error) {
	return s.show(c, 0, "login", "Sign in", web.Login{Next: c.FormValue("next")})
}

// login keeps a key in a cookie that no script reads and no other site sends.
func (s *Server) login(c *call) (*reply, error) {
	token, next := strings.TrimSpace(c.PostFormValue("key")), c.PostFormValue("next")
	if to, err := url.Parse(next); err != nil || to.Host != "" || to.Scheme != "" ||
		!strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, `\`) {
		next = "/"
	}
	if s.o.Keys == nil {
		return seeOther(next), nil
	}
	if _, ok := s.o.Keys.Find(token); !ok {
		return s.show(c, http.StatusUnauthorized, "login", "Sign in", web.Login{Next: next, Wrong: true})
	}
	a := seeOther(next)
	a.header["Set-Cookie"] = s.cookie(token, 30*24*3600)
	return a, nil
}

func (s *Server) logout(*call) (*reply, error) {
	a := seeOther("/login")
	a.header["Set-Cookie"] = s.cookie("", -1)
	return a, nil
}

func (s *Server) cookie(value string, age int) string {
	return (&http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: age, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Secure: s.o.Secure,
	}).String()
}
