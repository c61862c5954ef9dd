package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// YAML writes a JSON document as YAML: maps and lists in blocks, everything else as JSON, which YAML
// 1.2 reads as it stands.
func YAML(document []byte) ([]byte, error) {
	var value any
	if err := json.Unmarshal(document, &value); err != nil {
		return nil, fmt.Errorf("write as YAML: %w", err)
	}
	var b strings.Builder
	writeYAML(&b, value, 0, false)
	return []byte(b.String()), nil
}

// writeYAML writes a value; inline says that it begins on the line of the dash or the key before it.
func writeYAML(b *strings.Builder, value any, depth int, inline bool) {
	indent := strings.Repeat("  ", depth)
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 {
			b.WriteString("{}\n")
			return
		}
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 || !inline {
				b.WriteString(indent)
			}
			b.WriteString(scalarYAML(key) + ":")
			writeChild(b, v[key], depth)
		}
	case []any:
		if len(v) == 0 {
			b.WriteString("[]\n")
			return
		}
		for i, item := range v {
			if i > 0 || !inline {
				b.WriteString(indent)
			}
			b.WriteString("- ")
			writeYAML(b, item, depth+1, true)
		}
	default:
		b.WriteString(scalarYAML(v) + "\n")
	}
}

// writeChild writes the value of a key: on the next lines where it has several.
func writeChild(b *strings.Builder, value any, depth int) {
	nested := false
	switch v := value.(type) {
	case map[string]any:
		nested = len(v) > 0
	case []any:
		nested = len(v) > 0
	}
	if nested {
		b.WriteString("\n")
		writeYAML(b, value, depth+1, false)
		return
	}
	b.WriteString(" ")
	writeYAML(b, value, depth+1, true)
}

func scalarYAML(value any) string {
	encoded, _ := json.Marshal(value) // it was JSON before
	return string(encoded)
}
