package nn

import "evident/internal/kernel"

// Apply replaces each x by its activation.
func (a Activation) Apply(x []float32) {
	eachColumns(x, func(x []float32, rows int) {
		kernel.Active().Activate(kernel.Activation(a), x, rows, kernel.Columns)
	})
}

// Slope replaces each x by the derivative of the activation there.
func (a Activation) Slope(x []float32) {
	eachColumns(x, func(x []float32, rows int) {
		kernel.Active().Slope(kernel.Activation(a), x, rows, kernel.Columns)
	})
}

// eachColumns runs f on x as rows of 32 columns; what does not fill a row is run in one of its own.
func eachColumns(x []float32, f func(x []float32, rows int)) {
	whole := len(x) / kernel.Columns * kernel.Columns
	f(x[:whole], whole/kernel.Columns)
	if rest := x[whole:]; len(rest) > 0 {
		var row [kernel.Columns]float32
		copy(row[:], rest)
		f(row[:], 1)
		copy(rest, row[:])
	}
}
