package weights

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// NPYWriter writes one float32 array in NumPy's file format, version 1.0 (NEP 1): a header with the
// shape, then the values in C order, little-endian. Values come in any number of pieces.
type NPYWriter struct {
	w    io.Writer
	left int // values still to come
}

// NewNPYWriter writes the header of an array of the shape.
func NewNPYWriter(w io.Writer, shape ...int) (*NPYWriter, error) {
	count, sizes := 1, make([]string, len(shape))
	for i, n := range shape {
		count *= n
		sizes[i] = fmt.Sprintf("%d,", n)
	}
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", strings.Join(sizes, " "))
	const lead = 10 // magic, version, length of the header
	pad := 63 - (lead+len(header))%64
	header += strings.Repeat(" ", pad) + "\n"
	start := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	if _, err := w.Write(append(start, header...)); err != nil {
		return nil, err
	}
	return &NPYWriter{w, count}, nil
}

// Write appends values. More than the shape holds are an error.
func (n *NPYWriter) Write(values []float32) error {
	if len(values) > n.left {
		return fmt.Errorf("%d values are more than the %d that the shape has left", len(values), n.left)
	}
	n.left -= len(values)
	buffer := make([]byte, 0, 1<<16)
	for len(values) > 0 {
		piece := values[:min(len(values), cap(buffer)/4)]
		values = values[len(piece):]
		buffer = buffer[:0]
		for _, v := range piece {
			buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
		}
		if _, err := n.w.Write(buffer); err != nil {
			return err
		}
	}
	return nil
}

// Close says whether all values came.
func (n *NPYWriter) Close() error {
	if n.left != 0 {
		return fmt.Errorf("%d values of the array are missing", n.left)
	}
	return nil
}
