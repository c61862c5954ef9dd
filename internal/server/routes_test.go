package server

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"evident/api"
	"evident/internal/hub"
	"evident/internal/hub/hubtest"
	"evident/internal/service"
)

// TestEveryRouteIsDescribed compares the table with the description, both ways, and sees to it that
// nothing answers that is not in the table.
func TestEveryRouteIsDescribed(t *testing.T) {
	s := start(t, nil)
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string         `json:"operationId"`
			Summary     string         `json:"summary"`
			Responses   map[string]any `json:"responses"`
			Parameters  []struct{ Name, In, Description string }
		}
	}
	s.do("GET", "/openapi.json", nil).status(200).json(&document)
	described, ids := 0, map[string]bool{}
	for path, methods := range document.Paths {
		for method, op := range methods {
			described++
			if ids[op.OperationID] {
				t.Errorf("two operations are called %s", op.OperationID)
			}
			ids[op.OperationID] = true
			if op.Summary == "" || len(op.Responses) < 2 {
				t.Errorf("%s %s: no summary, or no responses", method, path)
			}
			for _, name := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(op.Parameters, func(p struct{ Name, In, Description string }) bool {
					return p.Name == name[1] && p.In == "path" && p.Description != ""
				}) {
					t.Errorf("%s %s: the part %s of the path is not described", method, path, name[1])
				}
			}
		}
	}
	for path, methods := range document.Paths {
		for _, op := range methods {
			for _, r := range op.Responses {
				for name := range linksIn(r) {
					if !ids[name] {
						t.Errorf("%s links to %s, which is no operation", path, name)
					}
				}
			}
		}
	}
	inTable := 0
	for _, r := range routes {
		if r.Tag == pagesTag {
			if strings.HasPrefix(r.Path, "/api/") || strings.HasPrefix(r.Path, "/v1/") {
				t.Errorf("%s hides among the pages", r.Path)
			}
			continue
		}
		inTable++
		if _, ok := document.Paths[r.Path][strings.ToLower(r.Method)]; !ok {
			t.Errorf("%s %s is not described", r.Method, r.Path)
		}
		if r.Body != nil && r.Example == nil {
			t.Errorf("%s %s has a body and no example", r.Method, r.Path)
		}
	}
	if described != inTable || inTable < 20 {
		t.Errorf("%d routes described, %d in the table", described, inTable)
	}
	if calls := muxCalls(t); calls != 2 {
		t.Errorf("%d calls of mux.Handle, want one for the table and one for /mcp: put routes into the table", calls)
	}
}

// linksIn returns the operations that a response links to.
func linksIn(response any) map[string]any {
	links, _ := response.(map[string]any)["links"].(map[string]any)
	return links
}

// muxCalls counts the places where this package registers a handler.
func muxCalls(t *testing.T) int {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && (s.Sel.Name == "Handle" || s.Sel.Name == "HandleFunc") {
				calls++
			}
			return true
		})
	}
	return calls
}

// TestReferencesResolve follows every $ref of the description.
func TestReferencesResolve(t *testing.T) {
	s := start(t, nil)
	var document map[string]any
	s.do("GET", "/openapi.json", nil).status(200).json(&document)
	if document["openapi"] != "3.1.0" {
		t.Errorf("openapi %v", document["openapi"])
	}
	schemas := document["components"].(map[string]any)["schemas"].(map[string]any)
	found := 0
	var walk func(value any)
	walk = func(value any) {
		switch v := value.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				found++
				if _, ok := schemas[strings.TrimPrefix(ref, "#/components/schemas/")]; !ok {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(document)
	if found < 50 {
		t.Errorf("only %d references", found)
	}
}

func TestYAMLSaysTheSame(t *testing.T) {
	s := start(t, nil)
	a := s.do("GET", "/openapi.yaml", nil).status(200)
	if a.Header.Get("Content-Type") != "application/yaml" || !strings.Contains(string(a.body), "\"operationId\": \"postAsk\"\n") {
		t.Errorf("%s: %.200s", a.Header.Get("Content-Type"), a.body)
	}
}

// TestErrorPages opens the page of every kind of problem, which each problem's type names.
func TestErrorPages(t *testing.T) {
	s := start(t, nil)
	for _, k := range api.Kinds {
		a := s.do("GET", "/docs/errors/"+k.Code, nil).status(200)
		if !strings.Contains(string(a.body), "<code>"+k.Code+"</code>") {
			t.Errorf("the page of %s does not name it", k.Code)
		}
	}
	s.do("GET", "/docs/errors/nothing", nil).status(404)
	seen := map[string]bool{}
	for _, k := range api.Kinds {
		if seen[k.Code] || k.Hint == "" || k.Title == "" || k.Status < 400 {
			t.Errorf("kind %q is double or not whole", k.Code)
		}
		seen[k.Code] = true
	}
}

// TestExamplesWork sends every example of the description that needs no id.
func TestExamplesWork(t *testing.T) {
	set, remote := filepath.Join(t.TempDir(), "questions.json"), hubtest.New()
	defer remote.Close()
	write(t, set, []byte(questions))
	s := start(t, func(o *service.Options, _ *Options) {
		o.Sets, o.Hub, o.Pull = []string{set}, &hub.Hub{Folder: t.TempDir(), Endpoint: remote.URL}, true
	})
	for _, r := range routes {
		if r.Example == nil || strings.Contains(r.Path, "/explanations") || strings.Contains(r.Path, "/regions") {
			continue
		}
		encoded, err := json.Marshal(r.Example)
		if err != nil {
			t.Fatal(err)
		}
		if a := s.do(r.Method, r.Path, string(encoded)); a.StatusCode >= 300 {
			t.Errorf("%s %s with its example: %d %s", r.Method, r.Path, a.StatusCode, a.body)
		}
	}
}
