package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// headerMax is the longest header the format allows.
const headerMax = 100_000_000

// parse checks a whole file: 8 bytes with the header's length, the header, and the tensors'
// bytes, which must fill the rest without hole, overlap or remainder.
func parse(data []byte) (map[string]Tensor, map[string]string, error) {
	if len(data) < 8 {
		return nil, nil, &FormatError{Reason: fmt.Sprintf("%d bytes, shorter than 8", len(data))}
	}
	length, body := binary.LittleEndian.Uint64(data), data[8:]
	if length > headerMax {
		return nil, nil, &FormatError{Reason: fmt.Sprintf(
			"the header says it is %d bytes long, allowed are %d", length, headerMax)}
	}
	if length > uint64(len(body)) {
		return nil, nil, &FormatError{Reason: fmt.Sprintf(
			"the header says it is %d bytes long, the file has %d", length, len(body))}
	}
	header, body := body[:length], body[length:]
	if !utf8.Valid(header) {
		return nil, nil, &FormatError{Reason: "the header is not UTF-8"}
	}
	entries, metadata, err := parseHeader(header)
	if err != nil {
		return nil, nil, err
	}
	tensors, err := place(entries, body)
	return tensors, metadata, err
}

// entry is what the header says of one tensor.
type entry struct {
	name       string
	dtype      DType
	shape      []int
	start, end int
}

// parseHeader reads the header's members one by one, because decoding into a map would hide
// names that occur twice.
func parseHeader(header []byte) ([]entry, map[string]string, error) {
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, &FormatError{Reason: `the header does not begin with "{"`}
	}
	var entries []entry
	var metadata map[string]string
	d := json.NewDecoder(bytes.NewReader(header))
	err := members(d, func(name string) error {
		if name == "__metadata__" {
			if err := d.Decode(&metadata); err != nil {
				return &FormatError{Reason: "__metadata__ is not a map of strings: " + err.Error()}
			}
			return nil
		}
		e, err := parseEntry(d, name)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if rest := bytes.Trim(header[d.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, nil, &FormatError{Reason: fmt.Sprintf(
			"%d bytes after the end of the header's JSON", len(rest))}
	}
	return entries, metadata, nil
}

// members visits the members of the object that follows in d; visit must read the value.
func members(d *json.Decoder, visit func(name string) error) error {
	broken := func(err error) error {
		return &FormatError{Reason: "the header is not JSON: " + err.Error()}
	}
	open, err := d.Token()
	if err != nil {
		return broken(err)
	}
	if open != json.Delim('{') {
		return &FormatError{Reason: fmt.Sprintf("%v where an object is expected", open)}
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return broken(err)
		}
		name := key.(string) // the decoder refuses other keys
		if seen[name] {
			return &FormatError{name, "the name occurs twice in the header"}
		}
		seen[name] = true
		if err := visit(name); err != nil {
			return err
		}
	}
	if _, err = d.Token(); err != nil {
		return broken(err)
	}
	return nil
}

func parseEntry(d *json.Decoder, name string) (entry, error) {
	var fields struct {
		DType   *DType   `json:"dtype"`
		Shape   []uint64 `json:"shape"`
		Offsets []uint64 `json:"data_offsets"`
	}
	if err := d.Decode(&fields); err != nil {
		return entry{}, &FormatError{name, "its header entry is broken: " + err.Error()}
	}
	switch {
	case fields.DType == nil:
		return entry{}, &FormatError{name, "it has no dtype"}
	case fields.Shape == nil:
		return entry{}, &FormatError{name, "it has no shape"}
	case len(fields.Offsets) != 2:
		return entry{}, &FormatError{name, fmt.Sprintf(
			"data_offsets are %v, not two numbers", fields.Offsets)}
	case fields.DType.Size() == 0:
		return entry{}, &FormatError{name, fmt.Sprintf("dtype %q is not known", *fields.DType)}
	}
	e := entry{name: name, dtype: *fields.DType, shape: make([]int, len(fields.Shape))}
	product := uint64(e.dtype.Size())
	for i, n := range fields.Shape {
		if n > math.MaxInt || n > 0 && product > math.MaxInt/n {
			return entry{}, &FormatError{name, fmt.Sprintf(
				"the product of its shape %v overflows", fields.Shape)}
		}
		product *= n
		e.shape[i] = int(n)
	}
	start, end := fields.Offsets[0], fields.Offsets[1]
	if start > end || end > math.MaxInt {
		return entry{}, &FormatError{name, fmt.Sprintf("data_offsets are [%d %d]", start, end)}
	}
	if end-start != product {
		return entry{}, &FormatError{name, fmt.Sprintf(
			"%s %v takes %d bytes, data_offsets [%d %d] hold %d",
			e.dtype, fields.Shape, product, start, end, end-start)}
	}
	e.start, e.end = int(start), int(end)
	return e, nil
}

// place gives the tensors their bytes, which must follow each other without hole or overlap and
// end where the file ends.
func place(entries []entry, body []byte) (map[string]Tensor, error) {
	slices.SortFunc(entries, func(a, b entry) int {
		if a.start != b.start {
			return compare(a.start, b.start)
		}
		if a.end != b.end {
			return compare(a.end, b.end)
		}
		return strings.Compare(a.name, b.name)
	})
	tensors := make(map[string]Tensor, len(entries))
	at := 0
	for _, e := range entries {
		switch {
		case e.end > len(body):
			return nil, &FormatError{e.name, fmt.Sprintf(
				"data_offsets [%d %d] lie beyond the %d bytes of data", e.start, e.end, len(body))}
		case e.start < at:
			return nil, &FormatError{e.name, fmt.Sprintf(
				"data_offsets [%d %d] overlap a tensor that ends at %d", e.start, e.end, at)}
		case e.start > at:
			return nil, &FormatError{e.name, fmt.Sprintf(
				"data_offsets [%d %d] leave a hole after %d", e.start, e.end, at)}
		}
		tensors[e.name] = Tensor{e.dtype, e.shape, body[e.start:e.end:e.end]}
		at = e.end
	}
	if at < len(body) {
		return nil, &FormatError{Reason: fmt.Sprintf(
			"%d bytes after the last tensor", len(body)-at)}
	}
	return tensors, nil
}

func compare(a, b int) int {
	if a < b {
		return -1
	}
	return 1
}
