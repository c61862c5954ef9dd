package openapi

import (
	"maps"
	"strings"
)

// Schemas collects the schemas of named types, which refer to each other.
type Schemas struct {
	Prefix  string         // of references: "#/components/schemas/" or "#/$defs/"
	Defined map[string]any // by name
}

// NewSchemas returns an empty collection.
func NewSchemas(prefix string) *Schemas {
	return &Schemas{Prefix: prefix, Defined: map[string]any{}}
}

// Ref returns the schema of a shape: a reference where it has a name.
func (s *Schemas) Ref(shape *Shape) map[string]any {
	if shape.Name == "" {
		return s.inline(shape)
	}
	if _, ok := s.Defined[shape.Name]; !ok {
		s.Defined[shape.Name] = true // it may hold itself
		s.Defined[shape.Name] = s.inline(shape)
	}
	return map[string]any{"$ref": s.Prefix + shape.Name}
}

func (s *Schemas) inline(shape *Shape) map[string]any {
	switch {
	case shape.Kind == Array:
		schema := map[string]any{"type": "array", "items": s.Ref(shape.Items)}
		if shape.Fixed > 0 {
			schema["minItems"], schema["maxItems"] = shape.Fixed, shape.Fixed
		}
		return schema
	case shape.Kind == Object && shape.Items != nil:
		return map[string]any{"type": "object", "additionalProperties": s.Ref(shape.Items)}
	case shape.Kind == Object:
		return s.object(shape)
	}
	return map[string]any{"type": string(shape.Kind)}
}

func (s *Schemas) object(shape *Shape) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, f := range shape.Fields {
		properties[f.Name] = s.Field(f)
		if f.Required {
			required = append(required, f.Name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties}
	if isRequest(shape.Name) {
		schema["additionalProperties"] = false // a word that is not known is a mistake
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

// isRequest says whether a type is sent to the server, by itself or within a request. Answers may get
// more fields.
func isRequest(name string) bool {
	return strings.HasSuffix(name, "Request") || strings.HasSuffix(name, "Query") ||
		name == "RegionMask" || name == "RLE"
}

// Field returns the schema of a field, with its limits.
func (s *Schemas) Field(f Field) map[string]any {
	schema := maps.Clone(s.Ref(f.Shape))
	if f.Doc != "" {
		schema["description"] = f.Doc
	}
	if len(f.Enum) > 0 {
		schema["enum"] = f.Enum
	}
	low, high := limitWords(f.Shape.Kind)
	if f.Min != nil {
		schema[low] = *f.Min
	}
	if f.Max != nil {
		schema[high] = *f.Max
	}
	if f.EachMin != nil {
		items := maps.Clone(schema["items"].(map[string]any))
		low, high := limitWords(f.Shape.Items.Kind)
		items[low], items[high] = *f.EachMin, *f.EachMax
		schema["items"] = items
	}
	if f.Shape.Loose {
		single := maps.Clone(schema["items"].(map[string]any))
		list := maps.Clone(schema)
		delete(list, "description")
		return map[string]any{"description": f.Doc, "anyOf": []any{single, list}}
	}
	return schema
}

// limitWords returns the words for the least and the most of a kind.
func limitWords(kind Kind) (low, high string) {
	switch kind {
	case String:
		return "minLength", "maxLength"
	case Array:
		return "minItems", "maxItems"
	}
	return "minimum", "maximum"
}

// Schema returns the schema of a shape that stands alone: what it refers to is in its $defs.
func Schema(shape *Shape) map[string]any {
	s := NewSchemas("#/$defs/")
	schema := s.inline(shape)
	defined := maps.Clone(s.Defined)
	if len(defined) > 0 {
		schema["$defs"] = defined
	}
	return schema
}
