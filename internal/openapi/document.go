package openapi

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"evident/api"
)

// Access is which key a route asks for, where keys are asked for at all.
type Access int

// The kinds of access.
const (
	Open  Access = iota // no key
	Read                // a key of any kind
	Admin               // an admin key
)

// Route is what a description says of a route.
type Route struct {
	Method, Path string // the path as net/http.ServeMux takes it: "/api/v1/jobs/{id}"
	Tag          string
	Summary      string // one line
	Doc          string // more; may be empty
	Access       Access
	Query        any  // pointer to the struct of its parameters; nil for none
	Body         any  // pointer to the struct of its JSON body; nil for none
	Upload       bool // the body may also be a form with a file "image"
	Results      []Result
	Problems     []string          // codes beside those of every route
	Paths        map[string]Param  // of its path
	Headers      map[string]string // of the request: name to what it means
	Example      any               // of the body
}

// Param is a parameter of a path.
type Param struct {
	Doc     string
	Integer bool
	Pattern string // a regular expression of all of it; "" for any
}

// Result is a way a route succeeds.
type Result struct {
	Status  int
	Media   string            // "" for a result without a body
	Type    any               // pointer to its type in JSON; nil for other media
	Partial any               // of events: pointer to the type that those called "partial" carry; nil where there are none
	Doc     string            // "" for the usual words
	Headers map[string]string // name to what it means
	Links   map[string]Link   // what the answer is good for
}

// Link leads from a result to an operation that takes something of it.
type Link struct {
	Operation  string            // its id
	Parameters map[string]string // name to a runtime expression such as $response.body#/id
}

// Info is what a description says of the whole.
type Info struct{ Title, Version, Description string }

// Document describes routes as OpenAPI 3.1.
func Document(info Info, routes []Route) map[string]any {
	s := NewSchemas("#/components/schemas/")
	problem := s.Ref(Of(reflect.TypeFor[api.Problem]()))
	paths := map[string]any{}
	for _, r := range routes {
		item, _ := paths[r.Path].(map[string]any)
		if item == nil {
			item = map[string]any{}
			paths[r.Path] = item
		}
		item[strings.ToLower(r.Method)] = r.operation(s, problem)
	}
	return map[string]any{
		"openapi":           "3.1.0",
		"jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
		"info": map[string]any{
			"title": info.Title, "version": info.Version, "description": info.Description,
			"license": map[string]any{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []any{map[string]any{"url": "/"}},
		"security": []any{map[string]any{}, map[string]any{"key": []string{}}},
		"tags":     tags(routes),
		"paths":    paths,
		"components": map[string]any{
			"schemas": s.Defined,
			"securitySchemes": map[string]any{"key": map[string]any{
				"type": "http", "scheme": "bearer",
				"description": "needed where the server was started with keys; read or admin",
			}},
		},
	}
}

func tags(routes []Route) []any {
	var names []string
	for _, r := range routes {
		if !slices.Contains(names, r.Tag) {
			names = append(names, r.Tag)
		}
	}
	out := []any{}
	for _, n := range names {
		out = append(out, map[string]any{"name": n})
	}
	return out
}

func (r *Route) operation(s *Schemas, problem map[string]any) map[string]any {
	op := map[string]any{
		"operationId": r.ID(), "tags": []string{r.Tag}, "summary": r.Summary,
		"responses": r.responses(s, problem),
	}
	if r.Doc != "" {
		op["description"] = r.Doc
	}
	if r.Access == Open {
		op["security"] = []any{}
	}
	if p := r.parameters(s); len(p) > 0 {
		op["parameters"] = p
	}
	if r.Body != nil {
		op["requestBody"] = r.body(s)
	}
	return op
}

// ID names the operation: "getJobsById".
func (r *Route) ID() string {
	var b strings.Builder
	b.WriteString(strings.ToLower(r.Method))
	path := strings.TrimPrefix(r.Path, "/api/"+api.Version)
	for _, part := range strings.FieldsFunc(path, func(c rune) bool { return strings.ContainsRune("/.-", c) }) {
		if strings.HasPrefix(part, "{") {
			b.WriteString("By")
		}
		part = strings.Trim(part, "{}")
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

func (r *Route) parameters(s *Schemas) []any {
	var out []any
	for _, name := range slices.Sorted(maps.Keys(r.Paths)) {
		p := r.Paths[name]
		schema := map[string]any{"type": "string"}
		if p.Integer {
			schema = map[string]any{"type": "integer", "minimum": 0}
		} else if p.Pattern != "" {
			schema["pattern"] = p.Pattern
		}
		out = append(out, map[string]any{
			"name": name, "in": "path", "required": true, "description": p.Doc, "schema": schema,
		})
	}
	if r.Query != nil {
		for _, f := range Of(reflect.TypeOf(r.Query)).Fields {
			schema := s.Field(f)
			delete(schema, "description")
			parameter := map[string]any{
				"name": f.Name, "in": "query", "schema": schema, "required": f.Required,
			}
			if f.Doc != "" {
				parameter["description"] = f.Doc
			}
			out = append(out, parameter)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		out = append(out, map[string]any{
			"name": name, "in": "header", "description": r.Headers[name],
			"schema": map[string]any{"type": "string", "maxLength": 200, "pattern": "^[!-~]+$"},
		})
	}
	return out
}

func (r *Route) body(s *Schemas) map[string]any {
	shape := Of(reflect.TypeOf(r.Body))
	media := map[string]any{"schema": s.Ref(shape)}
	if r.Example != nil {
		media["example"] = r.Example
	}
	content := map[string]any{"application/json": media}
	if r.Upload {
		form := s.inline(shape)
		properties := form["properties"].(map[string]any)
		properties["image"] = map[string]any{
			"type": "string", "contentMediaType": "application/octet-stream",
			"description": "file of a picture: JPEG, PNG, GIF, WebP, TIFF or BMP",
		}
		form["required"] = append([]string{"image"}, required(form)...)
		content["multipart/form-data"] = map[string]any{"schema": form}
	}
	return map[string]any{"required": true, "content": content}
}

func required(schema map[string]any) []string {
	names, _ := schema["required"].([]string)
	return names
}

func (r *Route) responses(s *Schemas, problem map[string]any) map[string]any {
	out := map[string]any{}
	for _, result := range r.Results {
		status := strconv.Itoa(result.Status)
		response, _ := out[status].(map[string]any)
		if response == nil {
			response = map[string]any{"description": or(result.Doc, "as asked")}
			out[status] = response
		}
		if len(result.Headers) > 0 {
			response["headers"] = headers(result.Headers)
		}
		if len(result.Links) > 0 {
			response["links"] = linksOf(result.Links)
		}
		if result.Media == "" {
			continue
		}
		content, _ := response["content"].(map[string]any)
		if content == nil {
			content = map[string]any{}
			response["content"] = content
		}
		media := map[string]any{}
		if result.Type != nil {
			media["schema"] = s.Ref(Of(reflect.TypeOf(result.Type)))
		}
		if result.Partial != nil { // of the events' data, which no schema of the body can say
			media["x-partial"] = s.Ref(Of(reflect.TypeOf(result.Partial)))
		}
		content[result.Media] = media
	}
	r.problems(out, problem)
	return out
}

// everywhere are the problems that any route may have, and withKey those of routes that ask for keys.
var (
	everywhere = []string{"invalid-request", "host-not-allowed", "method-not-allowed", "internal", "timeout"}
	withKey    = []string{"key-needed", "forbidden"}
)

func (r *Route) problems(out, problem map[string]any) {
	codes := slices.Concat(everywhere, r.Problems)
	if r.Access != Open {
		codes = append(codes, withKey...)
	}
	if r.Body != nil {
		codes = append(codes, "body-too-large", "unsupported-type")
	}
	byStatus := map[string][]string{}
	for _, code := range codes {
		kind, ok := api.KindOf(code)
		if !ok {
			panic("openapi: " + r.Path + " has the unknown problem " + code)
		}
		status := strconv.Itoa(kind.Status)
		if !slices.Contains(byStatus[status], code) {
			byStatus[status] = append(byStatus[status], code)
		}
	}
	for status, codes := range byStatus {
		slices.Sort(codes)
		response := map[string]any{
			"description": strings.Join(codes, ", "),
			"content":     map[string]any{"application/problem+json": map[string]any{"schema": problem}},
		}
		if status == "503" {
			response["headers"] = headers(map[string]string{"Retry-After": "seconds to wait"})
		}
		out[status] = response
	}
}

func headers(docs map[string]string) map[string]any {
	out := map[string]any{}
	for name, doc := range docs {
		out[name] = map[string]any{"description": doc, "schema": map[string]any{"type": "string"}}
	}
	return out
}

func linksOf(links map[string]Link) map[string]any {
	out := map[string]any{}
	for name, l := range links {
		out[name] = map[string]any{"operationId": l.Operation, "parameters": l.Parameters}
	}
	return out
}

func or(text, other string) string {
	if text != "" {
		return text
	}
	return other
}
