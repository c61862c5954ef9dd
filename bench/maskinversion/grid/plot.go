//go:build unix

package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

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

// colours of the forms, told apart without their hue too.
var colours = map[maskinversion.Form]string{
	maskinversion.Direct: "#1b6ca8", maskinversion.Factor: "#c8553d", maskinversion.Tensor: "#3a7d44",
}

const (
	plotWidth, plotHeight, margin = 360, 300, 52
)

// plot writes an SVG: for each size a field with the seconds of so many steps over the number of masks, both
// logarithmic.
func plot(path string, all []series, steps int) error {
	var sizes []int
	least, most := math.Inf(1), 0.0
	for _, s := range all {
		sizes = append(sizes, s.size)
		least, most = min(least, slices.Min(s.totals)), max(most, slices.Max(s.totals))
	}
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	low, high := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	var b strings.Builder
	width := len(sizes) * plotWidth
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n",
		width, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, plotHeight)
	for i, size := range sizes {
		fmt.Fprintf(&b, `<g transform="translate(%d 0)">`+"\n", i*plotWidth)
		axes(&b, fmt.Sprintf("%d pixels, %d steps: seconds by masks", size, steps), low, high)
		row := 0
		for _, s := range all {
			if s.size == size {
				line(&b, s, low, high, row)
				row++
			}
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// across and down place a number of masks, 1 to 100, and a time.
func across(masks float64) float64 { return margin + (plotWidth-margin-16)*math.Log10(masks)/2 }

func down(seconds, low, high float64) float64 {
	return plotHeight - margin - (plotHeight-2*margin)*(math.Log10(seconds)-low)/(high-low)
}

func axes(b *strings.Builder, title string, low, high float64) {
	fmt.Fprintf(b, `<text x="%d" y="18" font-weight="bold">%s</text>`+"\n", margin, title)
	for _, masks := range []float64{1, 10, 100} {
		x := across(masks)
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#ddd"/>`, x, x, margin, plotHeight-margin)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n", x, plotHeight-margin+16, masks)
	}
	for power := low; power <= high; power++ {
		y := down(math.Pow(10, power), low, high)
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>`, margin, plotWidth-16, y, y)
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%g s</text>`+"\n", margin-6, y+4, math.Pow(10, power))
	}
}

func line(b *strings.Builder, s series, low, high float64, row int) {
	var points []string
	for i, masks := range s.masks {
		points = append(points, fmt.Sprintf("%.1f,%.1f", across(float64(masks)), down(s.totals[i], low, high)))
	}
	dash := []string{"", "6 3", "2 3"}[row%3]
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`+"\n",
		strings.Join(points, " "), colours[s.form], dash)
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%s, %d MiB</text>`+"\n", margin+8, margin+6+14*row, colours[s.form],
		s.form, s.bytes>>20)
}
