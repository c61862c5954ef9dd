package mask

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// WriteJSON writes regions as [ReadJSON] reads them: {"masks": [{"name": …, "rle": {"size": [h, w], "counts":
// …}}]}, the run lengths in COCO's compressed form.
func WriteJSON(w io.Writer, regions []Region) error {
	type entry struct {
		Name string `json:"name,omitempty"`
		RLE  *RLE   `json:"rle"`
	}
	file := struct {
		Masks []entry `json:"masks"`
	}{make([]entry, len(regions))}
	for i, r := range regions {
		file.Masks[i] = entry{r.Name, r.RLE()}
	}
	if err := json.NewEncoder(w).Encode(file); err != nil {
		return fmt.Errorf("write masks: %w", err)
	}
	return nil
}

// Parts returns the connected parts of the mask, the largest first, of equals the one that begins higher up.
// Pixels that touch at a side are connected; parts of fewer than least pixels are left out.
func (m *Mask) Parts(least int) []*Mask {
	part := make([]int, len(m.Bits)) // from 1, in the order in which they begin; 0 for none yet
	var areas []int
	var stack []int
	for start, in := range m.Bits {
		if !in || part[start] != 0 {
			continue
		}
		number, area := len(areas)+1, 0
		part[start] = number
		stack = append(stack[:0], start)
		for len(stack) > 0 {
			at := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			area++
			m.neighbours(at, func(next int) {
				if m.Bits[next] && part[next] == 0 {
					part[next] = number
					stack = append(stack, next)
				}
			})
		}
		areas = append(areas, area)
	}
	return m.cutOut(part, areas, least)
}

// cutOut returns the parts of at least so many pixels as masks, the largest first.
func (m *Mask) cutOut(part, areas []int, least int) []*Mask {
	var order []int
	for i, area := range areas {
		if area >= least {
			order = append(order, i+1)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return areas[b-1] - areas[a-1] })
	place, parts := map[int]int{}, make([]*Mask, len(order))
	for i, number := range order {
		place[number] = i
		parts[i] = &Mask{m.Width, m.Height, make([]bool, len(m.Bits))}
	}
	for at, number := range part {
		if i, ok := place[number]; ok {
			parts[i].Bits[at] = true
		}
	}
	return parts
}

// neighbours calls f for the pixels that share a side with one.
func (m *Mask) neighbours(at int, f func(int)) {
	x := at % m.Width
	if x > 0 {
		f(at - 1)
	}
	if x < m.Width-1 {
		f(at + 1)
	}
	if at >= m.Width {
		f(at - m.Width)
	}
	if at+m.Width < len(m.Bits) {
		f(at + m.Width)
	}
}
