package mask

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// RLE is a mask as COCO stores it: lengths of runs down the columns, outside and inside by turns, beginning
// with outside. In JSON it is {"size": [height, width], "counts": …} with the counts as a list or in COCO's
// compressed form, a string.
type RLE struct {
	Height, Width int
	Counts        []int
}

// UnmarshalJSON reads either form. Runs that do not fill the mask exactly are an error.
func (r *RLE) UnmarshalJSON(data []byte) error {
	var raw struct {
		Size   []int           `json:"size"`
		Counts json.RawMessage `json:"counts"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return fmt.Errorf("read run lengths: %w", err)
	}
	if len(raw.Size) != 2 {
		return errors.New(`read run lengths: "size" is not [height, width]`)
	}
	read := RLE{Height: raw.Size[0], Width: raw.Size[1]}
	if err := checkSize(read.Width, read.Height); err != nil {
		return fmt.Errorf("read run lengths: %w", err)
	}
	var text string
	if err := json.Unmarshal(raw.Counts, &text); err == nil {
		if read.Counts, err = inflate(text, read.Width*read.Height); err != nil {
			return fmt.Errorf("read run lengths: %w", err)
		}
	} else if err := json.Unmarshal(raw.Counts, &read.Counts); err != nil || read.Counts == nil {
		return errors.New(`read run lengths: "counts" is neither a list nor a string`)
	}
	if err := read.check(); err != nil {
		return fmt.Errorf("read run lengths: %w", err)
	}
	*r = read
	return nil
}

// MarshalJSON writes the compressed form.
func (r RLE) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"size": [2]int{r.Height, r.Width}, "counts": r.Compressed()})
}

// check says whether the runs fill the mask exactly.
func (r *RLE) check() error {
	if err := checkSize(r.Width, r.Height); err != nil {
		return err
	}
	sum, pixels := 0, r.Width*r.Height
	for i, n := range r.Counts {
		if n < 0 || n > pixels-sum {
			return fmt.Errorf("run %d of %d does not fit into %d x %d pixels", i, n, r.Width, r.Height)
		}
		sum += n
	}
	if sum != pixels {
		return fmt.Errorf("the runs have %d pixels, %d x %d are %d", sum, r.Width, r.Height, pixels)
	}
	return nil
}

// Mask expands the runs.
func (r *RLE) Mask() (*Mask, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("expand run lengths: %w", err)
	}
	m, err := New(r.Width, r.Height)
	if err != nil {
		return nil, err
	}
	at := 0
	for i, n := range r.Counts {
		if i%2 == 1 {
			for p := at; p < at+n; p++ {
				m.Bits[p%r.Height*r.Width+p/r.Height] = true
			}
		}
		at += n
	}
	return m, nil
}

// Area is the number of pixels inside.
func (r *RLE) Area() int {
	area := 0
	for i := 1; i < len(r.Counts); i += 2 {
		area += r.Counts[i]
	}
	return area
}

// RLE returns the mask as run lengths.
func (m *Mask) RLE() *RLE {
	r := &RLE{Height: m.Height, Width: m.Width}
	run, inside := 0, false
	for x := range m.Width {
		for y := range m.Height {
			if m.Bits[y*m.Width+x] != inside {
				r.Counts = append(r.Counts, run)
				run, inside = 0, !inside
			}
			run++
		}
	}
	r.Counts = append(r.Counts, run)
	return r
}

// The compressed form writes a number in digits of base 32, lowest first, each as the character 48 + digit,
// with 32 added to all but the last; the last digit's fifth bit is the sign. From the fourth run on it
// is the difference to the run two before.
const (
	digitZero  = 48
	digitBits  = 5
	digitMore  = 1 << digitBits
	digitSign  = 1 << (digitBits - 1)
	digitsMax  = 10 // 50 bits: more than any run has
	firstDelta = 3
)

// Compressed returns the counts in COCO's compressed form.
func (r *RLE) Compressed() string {
	var b strings.Builder
	for i, n := range r.Counts {
		if i >= firstDelta {
			n -= r.Counts[i-2]
		}
		for more := true; more; {
			digit := n & (digitMore - 1)
			n >>= digitBits
			// What is left is all sign, and the digit shows that sign.
			more = !(n == 0 && digit&digitSign == 0 || n == -1 && digit&digitSign != 0)
			if more {
				digit |= digitMore
			}
			b.WriteByte(byte(digit + digitZero))
		}
	}
	return b.String()
}

// inflate reads COCO's compressed form of runs that fill so many pixels.
func inflate(text string, pixels int) ([]int, error) {
	var counts []int
	sum := 0
	for at := 0; at < len(text); {
		value, digits := 0, 0
		for more := true; more; digits++ {
			if at == len(text) {
				return nil, errors.New("the compressed counts end inside a number")
			}
			c := int(text[at]) - digitZero
			if c < 0 || c >= 2*digitMore || digits == digitsMax {
				return nil, fmt.Errorf("character %d of the compressed counts, %q, is no digit", at, text[at])
			}
			value |= c & (digitMore - 1) << (digitBits * digits)
			more = c&digitMore != 0
			if !more && c&digitSign != 0 {
				value -= 1 << (digitBits * (digits + 1))
			}
			at++
		}
		if n := len(counts); n >= firstDelta {
			value += counts[n-2]
		}
		if value < 0 || value > pixels-sum {
			return nil, fmt.Errorf("run %d of %d does not fit into %d pixels", len(counts), value, pixels)
		}
		sum += value
		counts = append(counts, value)
	}
	return counts, nil
}
