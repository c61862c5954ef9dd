//go:build unix

package main

import (
	"fmt"
	"slices"

	"evident/bench/chart"
	"evident/maskinversion"
)

// series is what a form took, by the number of masks.
type series struct {
	form   maskinversion.Form
	size   int // pixels a side
	bytes  int64
	masks  []int
	totals []float64 // seconds
}

// plot writes an SVG: for each size a field with the seconds of so many steps over the number of masks.
func plot(path string, all []series, steps int) error {
	var sizes []int
	for _, s := range all {
		sizes = append(sizes, s.size)
	}
	slices.Sort(sizes)
	var fields []chart.Field
	for _, size := range slices.Compact(sizes) {
		f := chart.Field{Title: fmt.Sprintf("%d pixels, %d steps: seconds by masks", size, steps), Unit: " s"}
		for _, s := range all {
			if s.size != size {
				continue
			}
			line := chart.Line{Name: fmt.Sprintf("%v, %d MiB", s.form, s.bytes>>20), Y: s.totals}
			for _, masks := range s.masks {
				line.X = append(line.X, float64(masks))
			}
			f.Lines = append(f.Lines, line)
		}
		fields = append(fields, f)
	}
	return chart.Write(path, fields)
}
