package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"evident/internal/service"
)

// Bounds of TestContract: cases of each operation, and how long it may take.
const (
	contractCases = 24
	contractTime  = 90 * time.Second
)

// TestContract sends every operation of /openapi.json requests that fit their schema and requests that do not, and
// compares each answer with the description: its status, its type, its body. tools/contract lets schemathesis do the same
// for longer, with cleverer requests.
func TestContract(t *testing.T) {
	set := filepath.Join(t.TempDir(), "questions.json")
	write(t, set, []byte(questions))
	s := start(t, func(o *service.Options, _ *Options) { o.Sets = []string{set} })
	c := newContract(s)
	begun, sent, statuses := time.Now(), 0, map[int]int{}
	for range contractCases {
		for _, op := range c.operations {
			if time.Since(begun) > contractTime {
				t.Logf("stopped after %s", contractTime)
				break
			}
			a := c.send(op)
			c.judge(op, a)
			sent++
			statuses[a.StatusCode]++
		}
	}
	t.Logf("%d cases of %d operations in %s: %v", sent, len(c.operations), time.Since(begun).Round(time.Second), statuses)
	if sent < 3*len(c.operations) || statuses[200] < sent/10 || statuses[400] < sent/20 {
		t.Errorf("too little was tried: %d cases, %v", sent, statuses)
	}
}

// TestSchemathesis runs schemathesis where EVIDENT_SCHEMATHESIS names it or it is on the path: half a minute of fuzzing, all checks.
func TestSchemathesis(t *testing.T) {
	program := os.Getenv("EVIDENT_SCHEMATHESIS")
	if program == "" {
		found, err := exec.LookPath("schemathesis")
		if err != nil {
			t.Skip("NOT TESTED: schemathesis is not installed (pip install schemathesis, or EVIDENT_SCHEMATHESIS=FILE); make contract brings its own")
		}
		program = found
	}
	s := start(t, nil)
	config, err := filepath.Abs(filepath.Join("..", "..", "tools", "contract", "schemathesis.toml"))
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), program, "--config-file", config, "run", s.URL+"/openapi.json", "--checks", "all", "--mode", "all",
		"--phases", "examples,fuzzing", "--max-examples", "5", "--max-time", "30", "--continue-on-failure", "--seed", "20261125", "--no-color")
	run.Dir = t.TempDir()
	if said, err := run.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

// contract is a description, and what requests are made of.
type contract struct {
	*testServer
	random     *rand.Rand
	operations []*operation
	document   map[string]any
	known      map[string]string // values of parameters and fields that lead somewhere
	schemas    map[string]*jsonschema.Resolved
}

// operation is an operation of the description.
type operation struct {
	method, path string
	described    map[string]any
}

func newContract(s *testServer) *contract {
	c := &contract{
		testServer: s, random: rand.New(rand.NewPCG(2026, 9)), schemas: map[string]*jsonschema.Resolved{},
		known: map[string]string{"index": "default", "page": "1", "n": "0", "set": "questions", "code": "no-index", "name": "papers"},
	}
	c.known["id"] = s.id("valley.txt")
	c.known["image"], c.known["like"] = s.id("red.png"), s.id("blue.png")
	s.do("GET", "/openapi.json", nil).status(200).json(&c.document)
	for path, methods := range c.document["paths"].(map[string]any) {
		for method, described := range methods.(map[string]any) {
			c.operations = append(c.operations, &operation{strings.ToUpper(method), path, described.(map[string]any)})
		}
	}
	slices.SortFunc(c.operations, func(a, b *operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return c
}

// send sends a request of an operation: every third does not fit its description.
func (c *contract) send(op *operation) *answer {
	wrong := c.random.IntN(3) == 0
	path, query := op.path, url.Values{}
	parameters, _ := op.described["parameters"].([]any)
	for _, p := range parameters {
		p := p.(map[string]any)
		name := p["name"].(string)
		text := asText(c.value(p["schema"].(map[string]any), name, 0))
		switch {
		case p["in"] == "path" && text == "..": // the mux cleans the path before any route sees it
			path = strings.ReplaceAll(path, "{"+name+"}", "nothing")
		case p["in"] == "path":
			path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(text))
		case p["in"] == "query" && (p["required"] == true || c.random.IntN(2) == 0):
			query.Set(name, text)
		}
	}
	if wrong && c.random.IntN(2) == 0 {
		query.Set("unknown", "x")
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	body, has := op.described["requestBody"].(map[string]any)
	if !has {
		return c.do(op.method, path, nil)
	}
	value := c.value(body["content"].(map[string]any)["application/json"].(map[string]any)["schema"].(map[string]any), "", 0)
	if wrong {
		value = c.spoilt(value)
	}
	if text, ok := value.(string); ok { // no JSON at all
		return c.do(op.method, path, text)
	}
	return c.do(op.method, path, value)
}

// spoilt is a value that fits no more: with a field too many, of another type, out of range, missing; or no JSON.
func (c *contract) spoilt(value any) any {
	object, ok := value.(map[string]any)
	if !ok || c.random.IntN(6) == 0 {
		return `{"question": `
	}
	names := slices.Sorted(maps.Keys(object))
	if len(names) == 0 || c.random.IntN(3) == 0 {
		object["unknown"] = 1
		return object
	}
	name := names[c.random.IntN(len(names))]
	object[name] = []any{map[string]any{"x": 1}, -7, strings.Repeat("é", 50_000), nil, []any{}, true, 1e300}[c.random.IntN(7)]
	return object
}

// value makes a value that fits a schema; where its name has a known one, often that.
func (c *contract) value(schema map[string]any, name string, depth int) any {
	if ref, ok := schema["$ref"].(string); ok {
		schema = c.component(ref)
	}
	if choices, ok := schema["anyOf"].([]any); ok {
		return c.value(choices[c.random.IntN(len(choices))].(map[string]any), name, depth)
	}
	if values, ok := schema["enum"].([]any); ok {
		return values[c.random.IntN(len(values))]
	}
	number := func(key string, otherwise float64) float64 {
		if v, ok := schema[key].(float64); ok {
			return v
		}
		return otherwise
	}
	switch schema["type"] {
	case "boolean":
		return c.random.IntN(2) == 0
	case "integer", "number":
		if known, err := strconv.ParseFloat(c.known[name], 64); err == nil && c.random.IntN(4) > 0 {
			return known
		}
		low := number("minimum", 0)
		high := min(number("maximum", low+300), low+300)
		if schema["type"] == "integer" {
			return low + float64(c.random.IntN(int(high-low)+1))
		}
		return low + c.random.Float64()*(high-low)
	case "array":
		least := int(number("minItems", 0))
		values := []any{}
		for range least + c.random.IntN(max(1, min(3, int(number("maxItems", 3))-least+1))) {
			values = append(values, c.value(schema["items"].(map[string]any), name, depth+1))
		}
		return values
	case "object":
		return c.object(schema, depth)
	}
	if known := c.known[name]; known != "" && c.random.IntN(5) > 0 {
		return known
	}
	texts := []string{"who designed the bridge", "a red wall", "the tower", "..", "\u202e\u00df\u4e2d", "a", "0000000000000000"}
	text := texts[c.random.IntN(len(texts))]
	return string([]rune(text)[:min(len([]rune(text)), int(number("maxLength", 300)))])
}

func (c *contract) object(schema map[string]any, depth int) any {
	required, _ := schema["required"].([]any)
	object := map[string]any{}
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if slices.Contains(required, any(name)) || c.random.IntN(3) == 0 && depth < 4 {
			object[name] = c.value(properties[name].(map[string]any), name, depth+1)
		}
	}
	return object
}

func (c *contract) component(ref string) map[string]any {
	name := strings.TrimPrefix(ref, "#/components/schemas/")
	return c.document["components"].(map[string]any)["schemas"].(map[string]any)[name].(map[string]any)
}

func asText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []any:
		if len(v) == 0 {
			return ""
		}
		return asText(v[0])
	}
	return fmt.Sprint(value)
}

// judge compares an answer with what is described.
func (c *contract) judge(op *operation, a *answer) {
	c.t.Helper()
	what := fmt.Sprintf("%s %s: %d", op.method, a.Request.URL.RequestURI(), a.StatusCode)
	if a.StatusCode >= 500 && a.StatusCode != http.StatusServiceUnavailable {
		c.t.Errorf("%s %s", what, a.body)
	}
	described, ok := op.described["responses"].(map[string]any)[strconv.Itoa(a.StatusCode)].(map[string]any)
	if !ok {
		c.t.Errorf("%s is not described: %.300s", what, a.body)
		return
	}
	content, _ := described["content"].(map[string]any)
	media, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	as, ok := content[media].(map[string]any)
	if !ok {
		c.t.Errorf("%s as %s, which is not described", what, media)
		return
	}
	schema, ok := as["schema"].(map[string]any)
	if !ok || !strings.HasSuffix(media, "json") {
		return
	}
	var value any
	if err := json.Unmarshal(a.body, &value); err != nil {
		c.t.Errorf("%s: %v", what, err)
	} else if err := c.resolved(schema).Validate(value); err != nil {
		c.t.Errorf("%s is off its schema: %v: %.300s", what, err, a.body)
	}
}

// resolved is a schema of the description that can be compared with.
func (c *contract) resolved(schema map[string]any) *jsonschema.Resolved {
	whole := maps.Clone(schema)
	whole["$defs"] = c.document["components"].(map[string]any)["schemas"]
	key := fmt.Sprint(schema)
	if c.schemas[key] != nil {
		return c.schemas[key]
	}
	encoded, err := json.Marshal(whole)
	var read jsonschema.Schema
	if err == nil {
		err = json.Unmarshal([]byte(strings.ReplaceAll(string(encoded), "#/components/schemas/", "#/$defs/")), &read)
	}
	if err == nil {
		c.schemas[key], err = read.Resolve(nil)
	}
	if err != nil {
		c.t.Fatalf("schema %s: %v", key, err)
	}
	return c.schemas[key]
}
