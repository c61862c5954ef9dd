package openapi

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"evident/api"
)

type boxRequest struct {
	Name  string    `json:"name" min:"1" max:"5"`
	Size  int       `json:"size,omitempty" min:"2" max:"11"`
	Share float64   `json:"share,omitempty" min:"-1" max:"1"`
	Kind  string    `json:"kind,omitempty" enum:"round,square"`
	Words []string  `json:"words,omitempty" max:"3" each:"1,4"`
	Texts api.Texts `json:"texts,omitempty" max:"2"`
	Span  [2]int    `json:"span,omitempty" each:"0,9"`
	Open  bool      `json:"open,omitempty"`
	Inner *boxInner `json:"inner,omitempty"`
}

type boxInner struct {
	Label string     `json:"label"`
	Parts []boxInner `json:"parts,omitempty"`
}

func TestDecode(t *testing.T) {
	for _, c := range []struct{ name, body, fault string }{
		{"all fields", `{"name":"a","size":3,"share":0.5,"kind":"round","words":["x"],"span":[1,2],"open":true,"inner":{"label":"l","parts":[{"label":"m"}]}}`, ""},
		{"whole number with exponent", `{"name":"a","size":1e1}`, ""},
		{"one text for a list", `{"name":"a","texts":"t"}`, ""},
		{"five letters of five bytes more", `{"name":"äöüßé"}`, ""},
		{"empty", ``, "body / it is empty"},
		{"not JSON", `{`, "body / unexpected EOF"},
		{"two values", `{"name":"a"} {}`, "body / more follows after the first value"},
		{"a list", `[]`, "body / must be an object"},
		{"null", `null`, "body / must be an object"},
		{"missing", `{}`, "body /name is missing"},
		{"unknown", `{"name":"a","colour":1}`, "body /colour unknown field"},
		{"misspelt", `{"name":"a","szie":3}`, `body /szie unknown field; did you mean "size"?`},
		{"too short", `{"name":""}`, "body /name must have at least 1 character, not 0"},
		{"too long", `{"name":"abcdef"}`, "body /name may have at most 5 characters, not 6"},
		{"too small", `{"name":"a","size":1}`, "body /size must be at least 2"},
		{"too large", `{"name":"a","size":12}`, "body /size may be at most 11"},
		{"fraction", `{"name":"a","size":2.5}`, "body /size must be a whole number"},
		{"text for a number", `{"name":"a","size":"3"}`, "body /size must be a whole number"},
		{"beyond", `{"name":"a","share":-1.5}`, "body /share must be at least -1"},
		{"not of the list", `{"name":"a","kind":"oval"}`, "body /kind must be one of round, square"},
		{"list too long", `{"name":"a","words":["a","b","c","d"]}`, "body /words may have at most 3 elements, not 4"},
		{"element too long", `{"name":"a","words":["abcde"]}`, "body /words/0 may have at most 4 characters, not 5"},
		{"element too large", `{"name":"a","span":[1,10]}`, "body /span/1 may be at most 9"},
		{"span of three", `{"name":"a","span":[1,2,3]}`, "body /span must have 2 elements, not 3"},
		{"deep", `{"name":"a","inner":{"label":"l","parts":[{"label":7}]}}`, "body /inner/parts/0/label must be a text"},
		{"pointer escapes", `{"name":"a","a/b~c":1}`, "body /a~1b~0c unknown field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r boxRequest
			err := Decode([]byte(c.body), &r)
			if c.fault == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var p *api.Problem
			if !errors.As(err, &p) || p.Code != "invalid-request" || len(p.Errors) == 0 {
				t.Fatalf("got %v", err)
			}
			if got := p.Errors[0].Where + " " + p.Errors[0].Message; got != c.fault {
				t.Errorf("got  %q\nwant %q", got, c.fault)
			}
		})
	}
}

func TestDecodeFills(t *testing.T) {
	var r boxRequest
	if err := Decode([]byte(`{"name":"a","size":1e1,"texts":"t","span":[3.0,5]}`), &r); err != nil {
		t.Fatal(err)
	}
	want := boxRequest{Name: "a", Size: 10, Texts: api.Texts{"t"}, Span: [2]int{3, 5}}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v, want %+v", r, want)
	}
}

func TestDecodeQuery(t *testing.T) {
	var r boxRequest
	values := url.Values{"name": {"7"}, "size": {"3"}, "words": {"a", "b"}, "open": {"true"}, "share": {"-0.5"}}
	if err := DecodeQuery(values, &r); err != nil {
		t.Fatal(err)
	}
	want := boxRequest{Name: "7", Size: 3, Words: []string{"a", "b"}, Open: true, Share: -0.5}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v, want %+v", r, want)
	}
	for query, fault := range map[string]string{
		"name=a&size=x":     "query size must be a whole number",
		"name=a&size=0x3":   "query size must be a whole number",
		"name=a&size=NaN":   "query size must be a whole number",
		"name=a&open=yes":   "query open must be true or false",
		"name=a&name=b":     "query name is given more than once",
		"size=3":            "query name is missing",
		"name=a&sise=3":     `query sise unknown field; did you mean "size"?`,
		"name=a&nothing=+1": "query nothing unknown field",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		var p *api.Problem
		if err := DecodeQuery(values, &boxRequest{}); !errors.As(err, &p) {
			t.Errorf("%s: got %v", query, err)
		} else if got := p.Errors[0].Where + " " + p.Errors[0].Message; got != fault {
			t.Errorf("%s: got %q, want %q", query, got, fault)
		}
	}
}

// FuzzDecode: whatever comes in, it is a value or a problem, never a crash or a fault of ours.
func FuzzDecode(f *testing.F) {
	f.Add(`{"name":"a","size":1e1,"texts":["t"]}`)
	f.Add(`{"name":"a","size":123456789012345678901234567890}`)
	f.Add(`{"name":"a","inner":{"parts":[{"label":"\u0000"}]}}`)
	f.Add("\xff{\"name\":1e999}")
	f.Fuzz(func(t *testing.T, body string) {
		var p *api.Problem
		if err := Decode([]byte(body), &boxRequest{}); err != nil && !errors.As(err, &p) {
			t.Errorf("%q: %v", body, err)
		}
	})
}

func TestSchema(t *testing.T) {
	encoded, err := json.Marshal(Schema(Of(reflect.TypeFor[boxRequest]())))
	if err != nil {
		t.Fatal(err)
	}
	got := string(encoded)
	for _, want := range []string{
		`"additionalProperties":false`, `"required":["name"]`,
		`"name":{"maxLength":5,"minLength":1,"type":"string"}`,
		`"size":{"maximum":11,"minimum":2,"type":"integer"}`,
		`"kind":{"enum":["round","square"],"type":"string"}`,
		`"words":{"items":{"maxLength":4,"minLength":1,"type":"string"},"maxItems":3,"type":"array"}`,
		`"span":{"items":{"maximum":9,"minimum":0,"type":"integer"},"maxItems":2,"minItems":2,"type":"array"}`,
		`"inner":{"$ref":"#/$defs/boxInner"}`,
		`"parts":{"items":{"$ref":"#/$defs/boxInner"},"type":"array"}`,
		`"anyOf":[{"type":"string"},{"items":{"type":"string"},"maxItems":2,"type":"array"}]`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the schema lacks %s:\n%s", want, got)
		}
	}
}

func TestYAML(t *testing.T) {
	got, err := YAML([]byte(`{"b":[1,{"c":"x: y","d":[]},[2]],"a":{"e":{},"f":null}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `"a":
  "e": {}
  "f": null
"b":
  - 1
  - "c": "x: y"
    "d": []
  - - 2
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
