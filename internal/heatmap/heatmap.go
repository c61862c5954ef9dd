// Package heatmap shows where in a picture something is seen: it spreads a map of patches over the
// pixels, colours it, draws it over the picture, and says it in words for those who do not see it.
package heatmap

import (
	"fmt"
	"math"
	"slices"

	"evident/internal/cells"
)

// Field is a map of patches, as a method computes it.
type Field struct {
	Rows, Columns int
	Values        []float32 // [Rows, Columns]
}

// At spreads the field over width × height pixels [height, width].
func (f Field) At(width, height int) []float32 {
	return cells.Spread(f.Values, f.Rows, f.Columns, height, width)
}

// Summary is what a map comes to.
type Summary struct {
	Peak     [2]int  // x and y of the largest value
	Min, Max float32 // of the values
	Place    string  // where the weight's centre lies: "upper left", "centre", …
	Half     float64 // smallest share of the area that holds half of the weight; 0 for a map of zeros
}

// Summarise reads a map [height, width] without negative values.
func Summarise(values []float32, width int) Summary {
	s := Summary{Min: slices.Min(values), Max: slices.Max(values)}
	at := slices.Index(values, s.Max)
	s.Peak = [2]int{at % width, at / width}
	s.Half = half(values, s.Max)
	s.Place = place(s.Peak, width, len(values)/width)
	return s
}

// place names the ninth of the picture that a point lies in.
func place(at [2]int, width, height int) string {
	names := [3][3]string{
		{"upper left", "top", "upper right"},
		{"left", "centre", "right"},
		{"lower left", "bottom", "lower right"},
	}
	return names[at[1]*3/height][at[0]*3/width]
}

// half returns the smallest share of the area that holds half of the weight. It sorts values into
// levels: a picture has millions of pixels, and a thousandth of the largest value is near enough.
func half(values []float32, largest float32) float64 {
	if largest <= 0 {
		return 0
	}
	const levels = 1000
	var count [levels + 1]int
	var weight [levels + 1]float64
	total := 0.0
	for _, v := range values {
		level := int(levels * v / largest)
		count[level]++
		weight[level] += float64(v)
		total += float64(v)
	}
	area, sum := 0.0, 0.0
	for level := levels; level >= 0; level-- {
		if sum+weight[level] >= total/2 {
			area += float64(count[level]) * (total/2 - sum) / weight[level]
			break
		}
		area += float64(count[level])
		sum += weight[level]
	}
	return area / float64(len(values))
}

// Words says a map in a sentence. presence is how surely the thing is in the picture at all, 0…1;
// negative where that is not known.
func (s Summary) Words(presence float64) string {
	if s.Max <= 0 {
		return "nowhere in the picture"
	}
	in := "in the " + s.Place
	switch s.Place {
	case "top", "bottom", "centre":
		in = "at the " + s.Place
	case "left", "right":
		in = "on the " + s.Place
	}
	words := fmt.Sprintf("strongest %s; half of the weight lies in %s of the picture", in, percent(s.Half))
	switch {
	case presence < 0:
		return words
	case presence < 0.1:
		return "hardly in the picture at all; if anywhere, " + words
	case presence < 0.4:
		return "doubtful; if it is in the picture, " + words
	}
	return words
}

// percent writes a share, with one digit below ten percent.
func percent(share float64) string {
	p := 100 * share
	if p >= 9.95 {
		return fmt.Sprintf("%.0f %%", p)
	}
	return fmt.Sprintf("%.1f %%", p)
}

// Presence is how surely a text is seen in a picture at all: its logit against those of everyday
// names, most of which no picture shows. At the level that one of ten names exceeds it is a half.
//
//	σ(scale · (similarity - level))
func Presence(similarity, scale float64, everyday []float64) float64 {
	sorted := slices.Clone(everyday)
	slices.Sort(sorted)
	level := sorted[min(len(sorted)-1, len(sorted)*9/10)]
	return 1 / (1 + math.Exp(-scale*(similarity-level)))
}

// Scale brings maps of several texts to one scale of 0…1: that of the strongest map, each weighed
// by its presence. A text that the picture does not show stays cold, also when it is alone.
func Scale(maps [][]float32, presence []float64) {
	largest := float32(0)
	for _, m := range maps {
		largest = max(largest, slices.Max(m))
	}
	for i, m := range maps {
		rescale(m, largest, presence[i])
	}
}

func rescale(m []float32, largest float32, weight float64) {
	factor := float32(0)
	if largest > 0 {
		factor = float32(weight) / largest
	}
	for j := range m {
		m[j] = min(m[j]*factor, 1)
	}
}
