package maskinversion

import (
	"fmt"

	"evident/internal/mask"
)

// Mask is a region: how much each pixel belongs to it. It may have any size, and any aspect ratio: it lies over
// the whole image.
type Mask struct {
	Width, Height int
	Values        []float32 // [Height, Width] in 0…1
}

// Binary returns a mask of pixels that are inside or not.
func Binary(m *mask.Mask) Mask {
	values := make([]float32, len(m.Bits))
	for i, in := range m.Bits {
		if in {
			values[i] = 1
		}
	}
	return Mask{m.Width, m.Height, values}
}

// ErrEmpty says that a mask has no pixel inside. It comes wrapped in a [*MaskError].
var ErrEmpty = mask.ErrEmpty

// MaskError says which of several masks cannot be inverted, and why. A mask of the whole image can: its vector
// is one whose map is as even as it gets.
type MaskError struct {
	Index int // of the mask, from 0
	Err   error
}

// Error names the mask by its place, counted from 1.
func (e *MaskError) Error() string { return fmt.Sprintf("mask %d: %v", e.Index+1, e.Err) }

// Unwrap returns the reason.
func (e *MaskError) Unwrap() error { return e.Err }
