package tokenize

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// jsonText is a normalizer or a pre-tokenizer of a tokenizer.json, as far as SentencePiece models
// need them.
type jsonText struct {
	Type          string       `json:"type"`
	Normalizers   []jsonText   `json:"normalizers"`
	PreTokenizers []jsonText   `json:"pretokenizers"`
	Charsmap      *string      `json:"precompiled_charsmap"`
	Pattern       *jsonPattern `json:"pattern"`
	Content       string       `json:"content"`
	StripLeft     bool         `json:"strip_left"`
	StripRight    bool         `json:"strip_right"`
	Prepend       string       `json:"prepend"`
	Behavior      string       `json:"behavior"`
	Invert        bool         `json:"invert"`
	Replacement   string       `json:"replacement"`
	PrependScheme *string      `json:"prepend_scheme"`
	AddPrefix     *bool        `json:"add_prefix_space"`
	Split         *bool        `json:"split"`
}

type jsonPattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

// textStep changes a text, and says whether what it began with is gone.
type textStep func(text string) (changed string, beheaded bool)

// kept is the step that changes a text and takes nothing from its beginning.
func kept(change func(string) string) textStep {
	return func(text string) (string, bool) { return change(text), false }
}

// normaliser changes text before it is cut, one step after the other.
type normaliser struct {
	steps  []textStep
	growth int // a text becomes at most so many times as long, but for what is prepended
}

// A hostile file could make a few characters fill the memory: these bound what its steps may do.
const (
	growthMax = 4096
	stepsMax  = 256
)

func (n *normaliser) apply(text string) (changed string, beheaded bool) {
	for _, step := range n.steps {
		gone := false
		text, gone = step(text)
		beheaded = beheaded || gone
	}
	return text, beheaded
}

// add appends the steps that j describes.
func (n *normaliser) add(j *jsonText) error {
	if j == nil {
		return nil
	}
	factor, step := 1, textStep(nil)
	switch j.Type {
	case "Sequence":
		for i := range j.Normalizers {
			if err := n.add(&j.Normalizers[i]); err != nil {
				return err
			}
		}
		return nil
	case "Precompiled":
		m, err := readCharsmap(j.Charsmap)
		if err != nil {
			return err
		}
		factor, step = m.most, kept(m.normalise)
	case "Replace":
		var err error
		if factor, step, err = replacing(j); err != nil {
			return err
		}
	case "Lowercase":
		factor, step = 2, kept(lowerEach)
	case "Strip":
		step = stripping(j.StripLeft, j.StripRight)
	case "Prepend":
		step = kept(func(text string) string {
			if text == "" {
				return text
			}
			return j.Prepend + text
		})
		factor = 1 + len(j.Prepend)
	default:
		return fmt.Errorf("normalizer %q is not supported", j.Type)
	}
	n.growth = max(n.growth, 1) * max(factor, 1)
	n.steps = append(n.steps, step)
	if n.growth > growthMax || len(n.steps) > stepsMax {
		return fmt.Errorf("normalizers may make a text %d times as long in %d steps: allowed are %d and %d",
			n.growth, len(n.steps), growthMax, stepsMax)
	}
	return nil
}

func readCharsmap(encoded *string) (*charsmap, error) {
	if encoded == nil {
		return nil, errors.New("normalizer Precompiled has no precompiled_charsmap")
	}
	blob, err := base64.StdEncoding.DecodeString(*encoded)
	if err != nil {
		return nil, fmt.Errorf("precompiled_charsmap: %w", err)
	}
	return newCharsmap(blob)
}

// replacing returns the step that replaces a string or an expression, and by how much it may lengthen.
func replacing(j *jsonText) (int, textStep, error) {
	switch {
	case j.Pattern == nil:
	case j.Pattern.String != nil && *j.Pattern.String != "":
		old, with := *j.Pattern.String, j.Content
		return (len(with) + len(old) - 1) / len(old), func(text string) (string, bool) {
			return strings.ReplaceAll(text, old, with), with == "" && strings.HasPrefix(text, old)
		}, nil
	case j.Pattern.Regex != nil:
		r, err := expression(*j.Pattern.Regex)
		if err != nil {
			return 0, nil, err
		}
		return len(j.Content), func(text string) (string, bool) {
			at := r.FindStringIndex(text)
			return r.ReplaceAllLiteralString(text, j.Content), j.Content == "" && at != nil && at[0] == 0
		}, nil
	}
	return 0, nil, errors.New("normalizer Replace has no pattern")
}

// expression compiles an expression of the kind that conversions of SentencePiece models write: literals,
// sets, \s and repetitions, which mean the same to Go and to the reference's engine (Oniguruma). It
// refuses others, and those that match nothing at all.
func expression(source string) (*regexp.Regexp, error) {
	refuse := func() (*regexp.Regexp, error) {
		return nil, fmt.Errorf("expression %q is not supported: want literals, sets, \\s and repetitions", source)
	}
	var b strings.Builder
	for i, set := 0, false; i < len(source); i++ {
		c := source[i]
		switch {
		case c == '\\' && i+1 == len(source), strings.IndexByte("()^$.|", c) >= 0 && !set, c == '[' && set,
			c == '&' && set && strings.HasPrefix(source[i+1:], "&"), strings.HasPrefix(source[i:], "[]"),
			strings.HasPrefix(source[i:], "{,") && !set:
			return refuse()
		case c == '\\':
			i++
			switch {
			case strings.IndexByte(punctuationASCII, source[i]) >= 0:
				b.WriteByte(c)
				b.WriteByte(source[i])
			case source[i] == 's' && set:
				b.WriteString(blanks)
			case source[i] == 's':
				b.WriteString("[" + blanks + "]")
			default:
				return refuse()
			}
			continue
		case c == '[':
			set = true
		case c == ']':
			set = false
		}
		b.WriteByte(c)
	}
	r, err := regexp.Compile(b.String())
	if err != nil {
		return nil, err
	}
	if r.MatchString("") {
		return refuse()
	}
	return r, nil
}

// blanks is what \s matches in the reference's expressions; Go's own knows only those of ASCII.
const blanks = `\x{9}-\x{d} \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}`

// punctuationASCII is Python's string.punctuation.
const punctuationASCII = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

func stripping(left, right bool) textStep {
	return func(text string) (string, bool) {
		changed := text
		if left {
			changed = strings.TrimLeftFunc(changed, unicode.IsSpace)
		}
		beheaded := len(changed) < len(text)
		if right {
			changed = strings.TrimRightFunc(changed, unicode.IsSpace)
		}
		return changed, beheaded
	}
}
