package extract

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// parseJSONL reads JSON, one record a line or a whole file of one value; the elements of an array
// at the top are records. A record with a field of running text ("text", "content", "body") is that
// text, under its title as a heading. Any other is one block, "name: value; name: value".
func parseJSONL(ctx context.Context, source string, limits Limits) (*Content, error) {
	source = strings.TrimPrefix(source, "\uFEFF")
	b := newBuilder(limits)
	j := &jsonReader{ctx: ctx, b: b, depthMax: limits.DepthMax}
	if !isJSONLines(source) {
		if err := j.line(source); err != nil {
			return nil, damaged("JSON", err)
		}
		return b.content("jsonl", "")
	}
	lines, bad := 0, 0
	for at := 0; at < len(source); {
		end := strings.IndexByte(source[at:], '\n')
		if end < 0 {
			end = len(source) - at
		}
		text := strings.TrimSpace(source[at : at+end])
		at += end + 1
		if text == "" {
			continue
		}
		if err := every(ctx, lines); err != nil {
			return nil, err
		}
		lines++
		if err := j.line(text); err != nil {
			if ctx.Err() != nil || b.err != nil {
				return nil, err
			}
			bad++
		}
	}
	if bad*2 > lines {
		return nil, refuse("damaged JSON lines: %d of %d are no JSON", bad, lines)
	}
	return b.content("jsonl", "")
}

// damaged turns an error of a decoder into a refusal, unless it is one, or a deadline, already.
func damaged(format string, err error) error {
	var refusal *Refusal
	if errors.As(err, &refusal) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) {
		return err
	}
	return refuse("damaged %s: %v", format, err)
}

// isJSONLines tells whether text is JSON, one object or array a line: the first line is, and the
// second where there is one.
func isJSONLines(text string) bool {
	for i := range 2 {
		line, rest, _ := strings.Cut(strings.TrimLeft(text, " \t\r\n"), "\n")
		line = strings.TrimSpace(line)
		if line == "" {
			return i > 0
		}
		if line[0] != '{' && line[0] != '[' || !json.Valid([]byte(line)) {
			return false
		}
		text = rest
	}
	return true
}

// jsonReader reads records token by token, so that the order of fields is kept.
type jsonReader struct {
	ctx      context.Context
	b        *builder
	depthMax int
	count    int
}

// field is a scalar of a record and the path of names that leads to it.
type field struct{ name, value string }

// jsonFieldsMax is the most values one record may have.
const jsonFieldsMax = 1 << 18

// line reads the records of one JSON value.
func (j *jsonReader) line(text string) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	if token == json.Delim('[') {
		for decoder.More() {
			if err := j.record(decoder, nil); err != nil {
				return err
			}
		}
		_, err = decoder.Token()
		return err
	}
	if err := j.record(decoder, token); err != nil {
		return err
	}
	if _, err = decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// record reads one value and writes it. token is its first token, when that was read already.
func (j *jsonReader) record(decoder *json.Decoder, token json.Token) error {
	if token == nil {
		var err error
		if token, err = decoder.Token(); err != nil {
			return err
		}
	}
	fields, err := j.value(decoder, token, "", 1, nil)
	if err != nil {
		return err
	}
	j.write(fields)
	return j.b.err
}

// value appends the scalars below token, the first of a value.
func (j *jsonReader) value(
	decoder *json.Decoder, token json.Token, name string, depth int, fields []field,
) ([]field, error) {
	j.count++
	if err := every(j.ctx, j.count); err != nil {
		return nil, err
	}
	if len(fields) > jsonFieldsMax {
		return nil, refuse("JSON record of more than %d values", jsonFieldsMax)
	}
	if depth > j.depthMax {
		return nil, refuse("JSON nested deeper than %d levels", j.depthMax)
	}
	switch token := token.(type) {
	case string:
		return append(fields, field{name, token}), nil
	case json.Number:
		return append(fields, field{name, token.String()}), nil
	case bool:
		if token {
			return append(fields, field{name, "true"}), nil
		}
		return append(fields, field{name, "false"}), nil
	case json.Delim:
		return j.children(decoder, token, name, depth, fields)
	}
	return fields, nil // null
}

func (j *jsonReader) children(
	decoder *json.Decoder, open json.Delim, name string, depth int, fields []field,
) ([]field, error) {
	for decoder.More() {
		below := name
		token, err := decoder.Token()
		if err == nil && open == '{' {
			key, _ := token.(string)
			below = joinName(name, key)
			token, err = decoder.Token()
		}
		if err != nil {
			return nil, err
		}
		if fields, err = j.value(decoder, token, below, depth+1, fields); err != nil {
			return nil, err
		}
	}
	_, err := decoder.Token()
	return fields, err
}

// nameBytesMax bounds a path of names, which nesting would make grow with the square of its depth.
const nameBytesMax = 128

func joinName(above, key string) string {
	if above == "" {
		return clip(key, nameBytesMax)
	}
	return clip(above+"."+key, nameBytesMax)
}

// write puts one record into the text.
func (j *jsonReader) write(fields []field) {
	text := find(fields, "text", "content", "body", "passage", "paragraph", "context", "abstract")
	if text < 0 {
		for _, f := range fields {
			if strings.TrimSpace(f.value) == "" {
				continue
			}
			if j.b.start >= 0 {
				j.b.write("; ")
			}
			if f.name != "" {
				j.b.write(f.name)
				j.b.write(": ")
			}
			j.b.write(f.value)
		}
		j.b.end(1)
		return
	}
	if title := find(fields, "title", "headline", "heading", "subject"); title >= 0 {
		j.b.heading(1)
		j.b.write(fields[title].value)
		j.b.headingEnd()
	}
	j.b.verbatim(fields[text].value)
}

// find returns the index of the first field with one of the names, by the order of the names.
func find(fields []field, names ...string) int {
	for _, name := range names {
		for i, f := range fields {
			if strings.EqualFold(f.name, name) && strings.TrimSpace(f.value) != "" {
				return i
			}
		}
	}
	return -1
}
