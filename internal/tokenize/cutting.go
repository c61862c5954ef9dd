package tokenize

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// stretch is a part of a text on its way to the model.
type stretch struct {
	text  string
	first bool // nothing of the text lies before it
	id    int32
	added bool // it is the added token id, and is cut no further
}

// cutter is a pre-tokenizer: it appends the parts of a stretch.
type cutter func(dst []stretch, s stretch) []stretch

// newCutter makes the cutter that j describes; none leaves stretches whole.
func newCutter(j *jsonText) (cutter, error) {
	switch {
	case j == nil:
		return func(dst []stretch, s stretch) []stretch { return append(dst, s) }, nil
	case j.Type == "Sequence":
		return cutInTurn(j.PreTokenizers)
	case j.Type == "Metaspace":
		return newMetaspace(j)
	case j.Type == "WhitespaceSplit":
		return cutAtBlanks, nil
	case j.Type == "Split":
		return newSplit(j)
	}
	return nil, fmt.Errorf("pre_tokenizer %q is not supported", j.Type)
}

func cutInTurn(list []jsonText) (cutter, error) {
	if len(list) > stepsMax {
		return nil, fmt.Errorf("pre_tokenizer has %d steps", len(list))
	}
	var all []cutter
	for i := range list {
		if i > 0 && list[i].PrependScheme != nil && *list[i].PrependScheme == "first" {
			return nil, errors.New("pre_tokenizer Metaspace with prepend_scheme first is not supported after another")
		}
		c, err := newCutter(&list[i])
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return func(dst []stretch, s stretch) []stretch {
		parts := []stretch{s}
		for _, cut := range all {
			var next []stretch
			for _, part := range parts {
				next = cut(next, part)
			}
			parts = next
		}
		return append(dst, parts...)
	}, nil
}

// newMetaspace writes blanks as "▁", puts one before the text, and cuts before each.
func newMetaspace(j *jsonText) (cutter, error) {
	mark, scheme := j.Replacement, "always"
	if utf8.RuneCountInString(mark) != 1 {
		return nil, fmt.Errorf("pre_tokenizer Metaspace: the replacement %q is not one character", mark)
	}
	if j.PrependScheme != nil {
		scheme = *j.PrependScheme
	}
	if !or(j.AddPrefix, true) {
		if scheme == "first" {
			return nil, errors.New("pre_tokenizer Metaspace: add_prefix_space and prepend_scheme differ")
		}
		scheme = "never"
	}
	switch scheme {
	case "always", "first", "never":
	default:
		return nil, fmt.Errorf("pre_tokenizer Metaspace: prepend_scheme %q is not known", scheme)
	}
	split := or(j.Split, true)
	return func(dst []stretch, s stretch) []stretch {
		s.text = strings.ReplaceAll(s.text, " ", mark)
		if scheme == "always" || scheme == "first" && s.first {
			if !strings.HasPrefix(s.text, mark) {
				s.text = mark + s.text
			}
		}
		if !split {
			return append(dst, s)
		}
		for s.text != "" {
			end := len(s.text)
			_, size := utf8.DecodeRuneInString(s.text)
			if i := strings.Index(s.text[size:], mark); i >= 0 {
				end = size + i
			}
			dst = append(dst, stretch{text: s.text[:end], first: s.first})
			s.text, s.first = s.text[end:], false
		}
		return dst
	}, nil
}

func cutAtBlanks(dst []stretch, s stretch) []stretch {
	for at := 0; at < len(s.text); {
		rest := s.text[at:]
		from := strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsSpace(r) })
		if from < 0 {
			break
		}
		size := strings.IndexFunc(rest[from:], unicode.IsSpace)
		if size < 0 {
			size = len(rest) - from
		}
		dst = append(dst, stretch{text: rest[from : from+size], first: s.first && at+from == 0})
		at += from + size
	}
	return dst
}

// newSplit cuts at a string.
func newSplit(j *jsonText) (cutter, error) {
	if j.Pattern == nil || j.Pattern.String == nil || *j.Pattern.String == "" || j.Invert {
		return nil, errors.New("pre_tokenizer Split is not supported without a string, or inverted")
	}
	at := *j.Pattern.String
	switch j.Behavior {
	case "MergedWithPrevious", "MergedWithNext", "Isolated", "Removed":
	default:
		return nil, fmt.Errorf("pre_tokenizer Split: behavior %q is not supported", j.Behavior)
	}
	return func(dst []stretch, s stretch) []stretch {
		begin := 0 // of what is not yet passed on
		pass := func(to int) {
			if to > begin {
				dst = append(dst, stretch{text: s.text[begin:to], first: s.first && begin == 0})
			}
			begin = to
		}
		for from := 0; ; {
			i := strings.Index(s.text[from:], at)
			if i < 0 {
				break
			}
			i += from
			from = i + len(at)
			switch j.Behavior {
			case "MergedWithPrevious":
				pass(from)
			case "MergedWithNext":
				pass(i)
			case "Isolated":
				pass(i)
				pass(from)
			case "Removed":
				pass(i)
				begin = from
			}
		}
		pass(len(s.text))
		return dst
	}, nil
}
