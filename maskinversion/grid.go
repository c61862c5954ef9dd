package maskinversion

// scaling is when a map is scaled to 0…1: a model's authors do it before or after cells become pixels.
type scaling int

const (
	pixelsFirst scaling = iota // cells become pixels, then their least and largest value 0 and 1
	cellsFirst                 // cells are scaled, then become pixels
)

// place is where a sample lies on a line of cells: first·(1-share) + second·share.
type place struct {
	first, second int
	share         float64
}

// line places n samples on a line of cells, bilinearly: constant beyond the outermost centres.
func line(n, cells int) []place {
	places := make([]place, n)
	for i := range places {
		at := max(0, (float64(i)+0.5)*float64(cells)/float64(n)-0.5)
		first := min(int(at), cells-1)
		places[i] = place{first, min(first+1, cells-1), at - float64(first)}
	}
	return places
}

// outermost keeps of the places between two cells the first and the last: what is linear between them is nowhere
// larger or smaller.
func outermost(places []place) []place {
	var kept []place
	for i, p := range places {
		if i == 0 || i == len(places)-1 || places[i-1].first != p.first || places[i+1].first != p.first {
			kept = append(kept, p)
		}
	}
	return kept
}

// grid is a map's cells, and where its least and largest values can lie.
type grid struct {
	rows, columns, patch int
	down, across         []place
}

func newGrid(rows, columns, patch int, scale scaling) *grid {
	g := &grid{rows: rows, columns: columns, patch: patch}
	if scale == cellsFirst {
		patch = 1
	}
	g.down, g.across = outermost(line(rows*patch, rows)), outermost(line(columns*patch, columns))
	return g
}

// extreme is a value of a map of pixels, and where it is.
type extreme struct {
	value        float64
	down, across place
}

// extremes returns the least and the largest pixel of a map of cells.
func (g *grid) extremes(m []float32) (low, high extreme) {
	for i, down := range g.down {
		above, below := m[down.first*g.columns:][:g.columns], m[down.second*g.columns:][:g.columns]
		for j, across := range g.across {
			a := mix(float64(above[across.first]), float64(above[across.second]), across.share)
			b := mix(float64(below[across.first]), float64(below[across.second]), across.share)
			value := mix(a, b, down.share)
			if i == 0 && j == 0 || value < low.value {
				low = extreme{value, down, across}
			}
			if i == 0 && j == 0 || value > high.value {
				high = extreme{value, down, across}
			}
		}
	}
	return low, high
}

func mix(a, b, share float64) float64 { return a + share*(b-a) }

// add adds to the cells that make a pixel their shares of a value.
func (g *grid) add(cells []float64, at extreme, value float64) {
	for _, down := range [2]struct {
		cell  int
		share float64
	}{{at.down.first, 1 - at.down.share}, {at.down.second, at.down.share}} {
		row := cells[down.cell*g.columns:][:g.columns]
		row[at.across.first] += value * down.share * (1 - at.across.share)
		row[at.across.second] += value * down.share * at.across.share
	}
}

// reach is which cells of a line a mask's pixel is made of: weights of cells from first on. They sum to 1.
type reach struct {
	first   int
	weights []float64
}

// reaches follows n pixels of a mask to the cells of a line: a map of patch pixels a cell is resized to the mask,
// never the mask to the map.
func reaches(n, cells, patch int) []reach {
	pixels := line(cells*patch, cells)
	resized := line(n, cells*patch) // of as many it is each itself
	all := make([]reach, n)
	for i, p := range resized {
		a, b := pixels[p.first], pixels[p.second]
		r := reach{first: a.first, weights: make([]float64, b.second-a.first+1)}
		for _, part := range [2]struct {
			place
			share float64
		}{{a, 1 - p.share}, {b, p.share}} {
			r.weights[part.first-r.first] += part.share * (1 - part.place.share)
			r.weights[part.second-r.first] += part.share * part.place.share
		}
		all[i] = r
	}
	return all
}

// gather returns for each cell of the grid what a mask's values weigh there: Wᵀ·Y for the map X = W·cells that is
// compared with the mask Y.
func (g *grid) gather(values []float32, height, width int) []float64 {
	down, across := reaches(height, g.rows, g.patch), reaches(width, g.columns, g.patch)
	cells, row := make([]float64, g.rows*g.columns), make([]float64, g.columns)
	for y, r := range down {
		clear(row)
		for x, v := range values[y*width:][:width] {
			if v == 0 {
				continue
			}
			for i, w := range across[x].weights {
				row[across[x].first+i] += w * float64(v)
			}
		}
		for i, w := range r.weights {
			to := cells[(r.first+i)*g.columns:][:g.columns]
			for x, v := range row {
				to[x] += w * v
			}
		}
	}
	return cells
}

// whole is gather of a mask of ones.
func (g *grid) whole(height, width int) []float64 {
	sums := func(n, cells int) []float64 {
		s := make([]float64, cells)
		for _, r := range reaches(n, cells, g.patch) {
			for i, w := range r.weights {
				s[r.first+i] += w
			}
		}
		return s
	}
	down, across := sums(height, g.rows), sums(width, g.columns)
	cells := make([]float64, 0, g.rows*g.columns)
	for _, d := range down {
		for _, a := range across {
			cells = append(cells, d*a)
		}
	}
	return cells
}
