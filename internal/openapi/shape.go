// Package openapi turns Go types into JSON schemas, checks JSON against them, and describes a table
// of routes as OpenAPI 3.1. The tags of package api (doc, min, max, each, enum) are its only source,
// so that what is documented is what is checked.
package openapi

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"evident/api"
)

// Kind is what a JSON value is.
type Kind string

// The kinds of JSON values, as JSON Schema names them.
const (
	Object  Kind = "object"
	Array   Kind = "array"
	String  Kind = "string"
	Integer Kind = "integer"
	Number  Kind = "number"
	Boolean Kind = "boolean"
)

// Shape is what a Go type looks like in JSON.
type Shape struct {
	Name   string // of a named struct; "" of others
	Kind   Kind
	Fields []Field // of an object with fixed fields
	Items  *Shape  // of an array, or of an object with free keys
	Fixed  int     // length of an array of fixed length; 0 for any
	Loose  bool    // an array that may be written as its single element
}

// Field is a member of an object.
type Field struct {
	Name     string
	Doc      string
	Required bool // a field without omitempty
	Shape    *Shape
	Limits
}

// Limits bound a value: a number, the length of a text in characters, the length of a list.
type Limits struct {
	Min, Max         *float64
	EachMin, EachMax *float64 // of the texts or numbers in a list
	Enum             []string
}

// Of returns the shape of a type. It panics on a type that JSON cannot hold: that is a mistake in the
// table of routes.
func Of(t reflect.Type) *Shape { return (&shapes{known: map[reflect.Type]*Shape{}}).of(t) }

// shapes remembers structs, which may hold themselves.
type shapes struct{ known map[reflect.Type]*Shape }

func (s *shapes) of(t reflect.Type) *Shape {
	if t == reflect.TypeFor[api.Texts]() {
		return &Shape{Kind: Array, Items: &Shape{Kind: String}, Loose: true}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return &Shape{Kind: Boolean}
	case reflect.String:
		return &Shape{Kind: String}
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint32:
		return &Shape{Kind: Integer}
	case reflect.Float64, reflect.Float32:
		return &Shape{Kind: Number}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return &Shape{Kind: String} // in base64, as encoding/json writes bytes
		}
		return &Shape{Kind: Array, Items: s.of(t.Elem())}
	case reflect.Array:
		return &Shape{Kind: Array, Items: s.of(t.Elem()), Fixed: t.Len()}
	case reflect.Map:
		return &Shape{Kind: Object, Items: s.of(t.Elem())}
	case reflect.Struct:
		return s.structure(t)
	}
	panic(fmt.Sprintf("openapi: %s has no shape in JSON", t))
}

func (s *shapes) structure(t reflect.Type) *Shape {
	if known, ok := s.known[t]; ok {
		return known
	}
	shape := &Shape{Name: t.Name(), Kind: Object, Fields: []Field{}}
	s.known[t] = shape
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			panic(fmt.Sprintf("openapi: %s.%s has no JSON name", t, f.Name))
		}
		shape.Fields = append(shape.Fields, Field{
			Name: name, Doc: f.Tag.Get("doc"), Shape: s.of(f.Type),
			Required: !strings.Contains(options, "omitempty"), Limits: limits(t, f),
		})
	}
	return shape
}

// limits reads the tags of a field.
func limits(t reflect.Type, f reflect.StructField) Limits {
	number := func(text string) *float64 {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			panic(fmt.Sprintf("openapi: %s.%s: limit %q is no number", t, f.Name, text))
		}
		return &v
	}
	var l Limits
	if text, ok := f.Tag.Lookup("min"); ok {
		l.Min = number(text)
	}
	if text, ok := f.Tag.Lookup("max"); ok {
		l.Max = number(text)
	}
	if text, ok := f.Tag.Lookup("each"); ok {
		low, high, _ := strings.Cut(text, ",")
		l.EachMin, l.EachMax = number(low), number(high)
	}
	if text, ok := f.Tag.Lookup("enum"); ok {
		l.Enum = strings.Split(text, ",")
	}
	return l
}
