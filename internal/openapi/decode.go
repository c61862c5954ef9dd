package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"evident/api"
)

// Decode reads one JSON value into the struct that into points to, after comparing it with the
// struct's shape. Everything that is wrong with it is in one "invalid-request" problem.
func Decode(body []byte, into any) error {
	value, err := parse(body)
	if err != nil {
		return invalid("the body is no JSON", api.ProblemField{Where: "body /", Message: err.Error()})
	}
	return fill(value, into, "body ")
}

// parse reads exactly one JSON value.
func parse(body []byte) (any, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, fmt.Errorf("it is empty")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF { //nolint:errorlint // Token returns it bare
		return nil, fmt.Errorf("more follows after the first value")
	}
	return value, nil
}

// DecodeQuery reads the parameters of an address, or the fields of a form, into a struct.
func DecodeQuery(values url.Values, into any) error {
	shape := Of(reflect.TypeOf(into))
	object := map[string]any{}
	var repeated []api.ProblemField
	for _, name := range slices.Sorted(maps.Keys(values)) {
		given := values[name]
		at := slices.IndexFunc(shape.Fields, func(f Field) bool { return f.Name == name })
		switch {
		case at < 0: // the check names it
			object[name] = given[0]
		case shape.Fields[at].Shape.Kind == Array && shape.Fields[at].Shape.Items.Kind == Object:
			object[name] = embedded(given[0]) // a form writes a list of objects as JSON
		case shape.Fields[at].Shape.Kind == Array:
			object[name] = listOf(given)
		case len(given) > 1:
			repeated = append(repeated, api.ProblemField{Where: "query " + name, Message: "is given more than once"})
		default:
			object[name] = scalar(shape.Fields[at].Shape.Kind, given[0])
		}
	}
	if len(repeated) > 0 {
		return invalid("a parameter is given more than once", repeated...)
	}
	return fill(object, into, "query ")
}

// embedded reads JSON in a field of a form; what is none stays a text.
func embedded(text string) any {
	value, err := parse([]byte(text))
	if err != nil {
		return text
	}
	return value
}

func listOf(texts []string) []any {
	list := make([]any, len(texts))
	for i, t := range texts {
		list[i] = t
	}
	return list
}

// scalar reads a text as the kind that is asked for; a text that is none stays one.
func scalar(kind Kind, text string) any {
	switch kind {
	case Boolean:
		switch text {
		case "true":
			return true
		case "false":
			return false
		}
	case Integer, Number:
		if _, err := strconv.ParseFloat(text, 64); err == nil && json.Valid([]byte(text)) {
			return json.Number(text)
		}
	}
	return text
}

// fill checks a value and puts it into a struct.
func fill(value, into any, where string) error {
	shape := Of(reflect.TypeOf(into))
	if faults := Check(shape, value); len(faults) > 0 {
		for i := range faults {
			name := faults[i].Where
			if where == "query " {
				name = strings.TrimPrefix(name, "/")
			}
			faults[i].Where = where + name
		}
		return invalid(faults[0].Where+" "+faults[0].Message, faults...)
	}
	tidied, err := json.Marshal(tidy(shape, value))
	if err == nil {
		err = json.Unmarshal(tidied, into)
	}
	if err != nil { // the shape allows what the type does not: our mistake
		return fmt.Errorf("put a checked value into %T: %w", into, err)
	}
	return nil
}

// tidy writes values as Go reads them: whole numbers without fraction or exponent, and a single
// element as a list where a list is meant.
func tidy(shape *Shape, value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, item := range v {
			inner := shape.Items
			for _, f := range shape.Fields {
				if f.Name == name {
					inner = f.Shape
				}
			}
			v[name] = tidy(inner, item)
		}
	case []any:
		for i, item := range v {
			v[i] = tidy(shape.Items, item)
		}
	case json.Number:
		if number, err := v.Float64(); err == nil && shape.Kind == Integer {
			return int64(number)
		}
	default:
		if shape.Loose {
			return []any{v}
		}
	}
	return value
}

func invalid(detail string, faults ...api.ProblemField) error {
	p := api.NewProblem("invalid-request", detail)
	p.Errors = faults
	return p
}
