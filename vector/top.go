package vector

import (
	"math"
	"slices"
)

// found is a vector that may be among the best.
type found struct {
	segment int
	row     uint32
	high    float32 // its score is at most this
}

// collector keeps what may be among the k best, given bounds of scores.
type collector struct {
	k    int
	lows []float32 // min-heap of the k largest lower bounds
	all  []found
	next int // length of all at which it is tidied
}

// tidyAt is the number of candidates at which those that have fallen behind are dropped.
const tidyAt = 4096

// floor is the k-th largest lower bound: what cannot exceed it is not among the best.
func (c *collector) floor() float32 {
	if len(c.lows) < c.k {
		return float32(math.Inf(-1))
	}
	return c.lows[0]
}

// offer adds a vector whose score lies between low and high.
func (c *collector) offer(segment int, row uint32, low, high float32) {
	if high < c.floor() {
		return
	}
	c.all = append(c.all, found{segment, row, high})
	switch {
	case len(c.lows) < c.k:
		c.lows = append(c.lows, low)
		c.up(len(c.lows) - 1)
	case low > c.lows[0]:
		c.lows[0] = low
		c.down(0)
	}
	if len(c.all) >= max(c.next, tidyAt) {
		floor := c.floor()
		c.all = slices.DeleteFunc(c.all, func(f found) bool { return f.high < floor })
		c.next = 2 * len(c.all)
	}
}

func (c *collector) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if c.lows[parent] <= c.lows[i] {
			return
		}
		c.lows[parent], c.lows[i] = c.lows[i], c.lows[parent]
		i = parent
	}
}

func (c *collector) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(c.lows) {
			return
		}
		if child+1 < len(c.lows) && c.lows[child+1] < c.lows[child] {
			child++
		}
		if c.lows[i] <= c.lows[child] {
			return
		}
		c.lows[i], c.lows[child] = c.lows[child], c.lows[i]
		i = child
	}
}
