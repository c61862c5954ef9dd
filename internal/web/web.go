// Package web shows answers to people: pages of HTML that work without JavaScript, and small modules
// that make them quicker. Everything is in the binary; nothing is fetched from another host.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// Page is a page to be shown.
type Page struct {
	View     string // name of its template: "ask"
	Title    string // of the window; "" for the start
	SignedIn bool   // the browser holds a key
	In       In     // the index that it is about
	Indexes  []string
	Body     any // what the template shows
}

// view is a place in the navigation.
type view struct {
	Name, Path string
	Here       bool
}

var views = []view{
	{Name: "Ask", Path: "/ask"},
	{Name: "Search", Path: "/search"},
	{Name: "Look", Path: "/look"},
	{Name: "Region", Path: "/region"},
	{Name: "Evaluate", Path: "/evaluate"},
	{Name: "Library", Path: "/library"},
	{Name: "Jobs", Path: "/jobs"},
	{Name: "Status", Path: "/status"},
}

// ofIndexes are the views that are about an index.
var ofIndexes = map[string]bool{
	"start": true, "ask": true, "search": true, "look": true, "region": true, "library": true, "evaluate": true,
}

// Views lists the places of the navigation, and which one the page is at.
func (p Page) Views() []view {
	out := append([]view{}, views...)
	for i := range out {
		out[i].Here = out[i].Path == "/"+p.View
		if q := p.In.query(); q != "" && ofIndexes[out[i].Path[1:]] {
			out[i].Path += "?" + q[1:]
		}
	}
	return out
}

// Choose says whether the page lets one choose among indexes.
func (p Page) Choose() bool { return len(p.Indexes) > 1 && ofIndexes[p.View] }

// Pages is the templates, read.
type Pages struct{ byView map[string]*template.Template }

// Load reads the templates.
func Load() (*Pages, error) {
	functions := template.FuncMap{
		"number": number, "size": Size, "task": TaskWords, "at": at, "minutes": minutes,
		"megapixels": func(pixels int) string { return strconv.FormatFloat(float64(pixels)/1e6, 'f', 1, 64) },
		"percent":    func(share float64) float64 { return 100 * share },
	}
	layout, err := template.New("layout").Funcs(functions).ParseFS(templateFiles, "templates/layout.html")
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	p := &Pages{byView: map[string]*template.Template{}}
	for _, name := range names {
		view := strings.TrimSuffix(path.Base(name), ".html")
		if view == "layout" {
			continue
		}
		t, err := template.Must(layout.Clone()).ParseFS(templateFiles, name)
		if err != nil {
			return nil, fmt.Errorf("read templates: %w", err)
		}
		p.byView[view] = t
	}
	return p, nil
}

// Render writes a page.
func (p *Pages) Render(page Page) ([]byte, error) {
	t, ok := p.byView[page.View]
	if !ok {
		return nil, fmt.Errorf("show page: there is no view %q", page.View)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout", page); err != nil {
		return nil, fmt.Errorf("show page %s: %w", page.View, err)
	}
	return b.Bytes(), nil
}

// Static returns a file of the pages, its type, and what tells its content apart.
func Static(name string) (content []byte, media, tag string, ok bool) {
	media, known := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
		".svg": "image/svg+xml",
	}[path.Ext(name)]
	content, err := staticFiles.ReadFile("static/" + name)
	if err != nil || !known {
		return nil, "", "", false
	}
	sum := sha256.Sum256(content)
	return content, media, hex.EncodeToString(sum[:8]), true
}

// at is where a percentage stands on a line from 2 to 102.
func at(percent float64) string { return strconv.FormatFloat(2+min(max(percent, 0), 100), 'f', 1, 64) }

// number shows a number of an explanation.
func number(v float64) string { return strconv.FormatFloat(v, 'f', 4, 64) }

// Size shows a number of bytes.
func Size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
