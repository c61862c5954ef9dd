package extract

import (
	"context"
	"strings"
)

// parseCSV reads comma-, tab-, semicolon- or bar-separated values. Each record is a block: with a
// header row "name: value; name: value", else "value; value". Empty values are left out.
func parseCSV(ctx context.Context, source string, limits Limits) (*Content, error) {
	source = strings.TrimPrefix(source, "\uFEFF")
	b := newBuilder(limits)
	r := &csvReader{s: source, delimiter: delimiter(source)}
	first := r.next(nil)
	header := isHeader(first)
	if !header {
		writeRecord(b, nil, first)
	}
	names := append([]string(nil), first...)
	if !header {
		names = nil
	}
	fields := make([]string, 0, len(first))
	for i := 0; r.at < len(r.s); i++ {
		if err := every(ctx, i); err != nil {
			return nil, err
		}
		fields = r.next(fields[:0])
		writeRecord(b, names, fields)
		if b.err != nil {
			return nil, b.err
		}
	}
	if header && len(b.text) == 0 {
		writeRecord(b, nil, first) // nothing but a header
	}
	return b.content("csv", "")
}

func writeRecord(b *builder, names, fields []string) {
	for i, field := range fields {
		if strings.TrimSpace(field) == "" {
			continue
		}
		if b.start >= 0 {
			b.write("; ")
		}
		if i < len(names) && names[i] != "" {
			b.write(names[i])
			b.write(": ")
		}
		b.write(field)
	}
	b.end(1)
}

// csvReader reads records as RFC 4180 has them, and forgives: a quote that is never closed is a
// character like any other.
type csvReader struct {
	s         string
	at        int
	delimiter byte
	literal   bool // an open quote was met: quotes mean nothing from there on
}

// next appends the fields of the next record to fields.
func (r *csvReader) next(fields []string) []string {
	for {
		field, more := r.field()
		fields = append(fields, field)
		if !more || len(fields) == fieldsMax {
			return fields
		}
	}
}

// fieldsMax is the most fields one record may have; the rest of the line is a record of its own.
const fieldsMax = 1 << 16

// field reads one field and what ends it; more is false at the end of the record.
func (r *csvReader) field() (field string, more bool) {
	start := r.at
	if !r.literal && start < len(r.s) && r.s[start] == '"' {
		if end := closingQuote(r.s, start+1); end >= 0 {
			field = r.s[start+1 : end]
			if strings.Contains(field, `""`) {
				field = strings.ReplaceAll(field, `""`, `"`)
			}
			rest, more := r.plain(end + 1)
			return field + rest, more
		}
		r.literal = true
	}
	return r.plain(start)
}

// plain reads up to the next delimiter or line break.
func (r *csvReader) plain(start int) (field string, more bool) {
	i := start
	for i < len(r.s) && r.s[i] != r.delimiter && r.s[i] != '\n' && r.s[i] != '\r' {
		i++
	}
	field = r.s[start:i]
	switch {
	case i == len(r.s):
		r.at = i
	case r.s[i] == r.delimiter:
		r.at = i + 1
		return field, true
	case r.s[i] == '\r' && i+1 < len(r.s) && r.s[i+1] == '\n':
		r.at = i + 2
	default:
		r.at = i + 1
	}
	return field, false
}

// closingQuote returns where the quote opened before i closes, or -1.
func closingQuote(s string, i int) int {
	for {
		n := strings.IndexByte(s[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		if i+1 >= len(s) || s[i+1] != '"' {
			return i
		}
		i += 2
	}
}

// delimiter returns the byte that parts the fields of text, or 0 when the text is no table: the
// same number of fields, at least two, in at least four of five of the first records.
func delimiter(text string) byte {
	const records = 23
	sample := strings.TrimPrefix(clip(text, 256<<10), "\uFEFF")
	best, bestFields := byte(0), 1
	for _, candidate := range []byte{'\t', ',', ';', '|'} {
		r := &csvReader{s: sample, delimiter: candidate}
		var counts []int
		for len(counts) < records && r.at < len(sample) {
			fields := r.next(nil)
			if len(fields) > 1 || fields[0] != "" {
				counts = append(counts, len(fields))
			}
		}
		if len(sample) < len(text) && len(counts) > 1 {
			counts = counts[:len(counts)-1] // cut off by the sample
		}
		same := 0
		for _, n := range counts {
			if n == counts[0] {
				same++
			}
		}
		if len(counts) > 0 && counts[0] > bestFields && same*5 >= len(counts)*4 {
			best, bestFields = candidate, counts[0]
		}
	}
	return best
}

// isHeader tells whether the first record names the columns: every field is there, short, different
// from the others and no number.
func isHeader(fields []string) bool {
	seen := make(map[string]bool, len(fields))
	for _, field := range fields {
		field = strings.TrimSpace(field)
		if field == "" && len(seen) == 0 {
			continue // the corner of a table with row names
		}
		isNumber := strings.Trim(field, "0123456789.,-+%/: ") == ""
		if len(field) > 64 || seen[field] || isNumber {
			return false
		}
		seen[field] = true
	}
	return len(seen) > 0
}
