// Package chart draws measurements as SVG: fields beside each other, with lines over two logarithmic axes.
package chart

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// Field is one diagram.
type Field struct {
	Title string
	Unit  string // of Y, behind the numbers of its axis
	Lines []Line
}

// Line is points that belong together, in the order of X.
type Line struct {
	Name string
	X, Y []float64 // above 0
}

const width, height, margin = 360, 300, 52

// colours and dashes of lines, told apart by either.
var (
	colours = []string{"#1b6ca8", "#c8553d", "#3a7d44", "#7d5ba6"}
	dashes  = []string{"", "6 3", "2 3", "9 2 2 2"}
)

// axis maps numbers between two powers of ten to pixels.
type axis struct{ low, high, from, to float64 }

func newAxis(from, to float64, values func(yield func(float64))) axis {
	least, most := math.Inf(1), 0.0
	values(func(v float64) { least, most = min(least, v), max(most, v) })
	a := axis{math.Floor(math.Log10(least)), math.Ceil(math.Log10(most)), from, to}
	if a.low == a.high {
		a.high++
	}
	return a
}

func (a axis) at(v float64) float64 {
	return a.from + (a.to-a.from)*(math.Log10(v)-a.low)/(a.high-a.low)
}

// Write draws the fields into the file at path.
func Write(path string, fields []Field) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n",
		len(fields)*width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", len(fields)*width, height)
	for i, f := range fields {
		fmt.Fprintf(&b, `<g transform="translate(%d 0)">`+"\n", i*width)
		f.draw(&b)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

func (f *Field) draw(b *strings.Builder) {
	x := newAxis(margin, width-16, func(yield func(float64)) { f.each(func(l *Line, i int) { yield(l.X[i]) }) })
	y := newAxis(height-margin, margin, func(yield func(float64)) { f.each(func(l *Line, i int) { yield(l.Y[i]) }) })
	fmt.Fprintf(b, `<text x="%d" y="18" font-weight="bold">%s</text>`+"\n", margin, f.Title)
	for power := x.low; power <= x.high; power++ {
		at := x.at(math.Pow(10, power))
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#ddd"/>`, at, at, margin, height-margin)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">10<tspan dy="-4" font-size="8">%g</tspan></text>`+"\n",
			at, height-margin+16, power)
	}
	for power := y.low; power <= y.high; power++ {
		at := y.at(math.Pow(10, power))
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>`, margin, width-16, at, at)
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%g%s</text>`+"\n", margin-6, at+4, math.Pow(10, power), f.Unit)
	}
	for row := range f.Lines {
		f.Lines[row].draw(b, x, y, row)
	}
}

func (f *Field) each(yield func(l *Line, i int)) {
	for n := range f.Lines {
		for i := range f.Lines[n].X {
			yield(&f.Lines[n], i)
		}
	}
}

func (l *Line) draw(b *strings.Builder, x, y axis, row int) {
	var points []string
	for i := range l.X {
		points = append(points, fmt.Sprintf("%.1f,%.1f", x.at(l.X[i]), y.at(l.Y[i])))
	}
	colour := colours[row%len(colours)]
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`+"\n",
		strings.Join(points, " "), colour, dashes[row%len(dashes)])
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", margin+8, margin+6+14*row, colour, l.Name)
}
