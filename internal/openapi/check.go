package openapi

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"evident/api"
)

// Check compares a JSON value, decoded with numbers kept as [json.Number], with a shape and returns
// every fault, each with the JSON pointer of its place.
func Check(shape *Shape, value any) []api.ProblemField {
	c := &checker{}
	c.value("", Field{Shape: shape}, value)
	return c.faults
}

type checker struct{ faults []api.ProblemField }

func (c *checker) fault(where, format string, args ...any) {
	if where == "" {
		where = "/"
	}
	c.faults = append(c.faults, api.ProblemField{Where: where, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) value(where string, f Field, value any) {
	if list, ok := value.([]any); f.Shape.Loose && !ok {
		_ = list
		value = []any{value}
	}
	switch v := value.(type) {
	case map[string]any:
		c.object(where, f, v)
	case []any:
		c.array(where, f, v)
	case string:
		c.text(where, f, v)
	case json.Number:
		c.number(where, f, v)
	case bool:
		if f.Shape.Kind != Boolean {
			c.mismatch(where, f)
		}
	default:
		c.mismatch(where, f)
	}
}

var articles = map[Kind]string{
	Object: "an object", Array: "a list", String: "a text",
	Integer: "a whole number", Number: "a number", Boolean: "true or false",
}

func (c *checker) mismatch(where string, f Field) {
	c.fault(where, "must be %s", articles[f.Shape.Kind])
}

func (c *checker) object(where string, f Field, v map[string]any) {
	if f.Shape.Kind != Object {
		c.mismatch(where, f)
		return
	}
	if f.Shape.Items != nil {
		for name, item := range v {
			c.value(where+"/"+pointer(name), Field{Shape: f.Shape.Items}, item)
		}
		return
	}
	for name := range v {
		if !slices.ContainsFunc(f.Shape.Fields, func(k Field) bool { return k.Name == name }) {
			c.fault(where+"/"+pointer(name), "unknown field%s", nearest(f.Shape, name))
		}
	}
	for _, field := range f.Shape.Fields {
		item, ok := v[field.Name]
		switch {
		case ok:
			c.value(where+"/"+pointer(field.Name), field, item)
		case field.Required:
			c.fault(where+"/"+pointer(field.Name), "is missing")
		}
	}
	slices.SortFunc(c.faults, func(a, b api.ProblemField) int { return strings.Compare(a.Where, b.Where) })
}

// nearest names the known field that an unknown one was meant to be, perhaps.
func nearest(shape *Shape, name string) string {
	for _, f := range shape.Fields {
		a, b := strings.ToLower(f.Name), strings.ToLower(name)
		if len(b) >= 2 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a) || swapped(a, b)) {
			return fmt.Sprintf("; did you mean %q?", f.Name)
		}
	}
	return ""
}

// swapped says whether two words have the same letters but for one.
func swapped(a, b string) bool {
	rest := []byte(a)
	different := 0
	for i := range len(b) {
		if at := slices.Index(rest, b[i]); at >= 0 {
			rest = slices.Delete(rest, at, at+1)
		} else {
			different++
		}
	}
	return max(different, len(rest)) <= 1 && len(a) >= 3
}

func pointer(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

func (c *checker) array(where string, f Field, v []any) {
	if f.Shape.Kind != Array {
		c.mismatch(where, f)
		return
	}
	if n := f.Shape.Fixed; n > 0 && len(v) != n {
		c.fault(where, "must have %d elements, not %d", n, len(v))
	}
	c.size(where, f, len(v), "element")
	inner := Field{Shape: f.Shape.Items, Limits: Limits{Min: f.EachMin, Max: f.EachMax}}
	for i, item := range v {
		c.value(where+"/"+strconv.Itoa(i), inner, item)
	}
}

func (c *checker) text(where string, f Field, v string) {
	if f.Shape.Kind != String {
		c.mismatch(where, f)
		return
	}
	c.size(where, f, utf8.RuneCountInString(v), "character")
	if len(f.Enum) > 0 && !slices.Contains(f.Enum, v) {
		c.fault(where, "must be one of %s", strings.Join(f.Enum, ", "))
	}
}

// size checks a length.
func (c *checker) size(where string, f Field, n int, unit string) {
	if f.Min != nil && float64(n) < *f.Min {
		c.fault(where, "must have at least %g %s, not %d", *f.Min, plural(*f.Min, unit), n)
	}
	if f.Max != nil && float64(n) > *f.Max {
		c.fault(where, "may have at most %g %s, not %d", *f.Max, plural(*f.Max, unit), n)
	}
}

func plural(n float64, unit string) string {
	if n == 1 {
		return unit
	}
	return unit + "s"
}

func (c *checker) number(where string, f Field, n json.Number) {
	v, err := n.Float64()
	if err != nil || math.IsInf(v, 0) || f.Shape.Kind != Number && f.Shape.Kind != Integer {
		c.mismatch(where, f)
		return
	}
	if f.Shape.Kind == Integer && (v != math.Trunc(v) || math.Abs(v) > 1<<53) {
		c.mismatch(where, f)
		return
	}
	if f.Min != nil && v < *f.Min {
		c.fault(where, "must be at least %g", *f.Min)
	}
	if f.Max != nil && v > *f.Max {
		c.fault(where, "may be at most %g", *f.Max)
	}
}
