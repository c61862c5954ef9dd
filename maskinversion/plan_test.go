package maskinversion

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evident/nn"
)

// TestCostModel: on what bench/maskinversion/grid measured, the form that the cost model takes is never slower than
// 1.15 times the fastest of the three. The model's constants were adjusted on these measurements: the test keeps them
// so, and is no proof for another CPU.
func TestCostModel(t *testing.T) {
	vitB16 := layerSize{width: 768, wide: 3072, heads: 12, size: 512}
	vision192 := layerSize{width: 192, wide: 768, heads: 3, size: 192}
	for name, c := range map[string]struct {
		layerSize
		precision nn.Precision
	}{
		"b16-bf16": {vitB16, nn.BF16}, "b16-fp32": {vitB16, nn.FP32}, "192-bf16": {vision192, nn.BF16},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", "costs", name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			cells, worst := 0, 0.0
			for at, measured := range parseCosts(t, string(data)) {
				l := c.layerSize
				l.tokens, l.speed = at[0]/16*(at[0]/16)+1, speeds[c.precision]
				each := map[nn.Precision]int{nn.FP32: 8, nn.BF16: 4}[c.precision]
				l.factor = int64(each * l.tokens * l.width * l.size)
				l.tensor = int64(each * l.heads * l.tokens * ((l.tokens + 31) / 32 * 32) * l.size)
				costs := l.costs(at[1])
				for form, cost := range costs { // what was not measured did not fit into memory
					if _, ok := measured[form]; !ok {
						cost.Memory = math.MaxInt64
						costs[form] = cost
					}
				}
				for _, steps := range []int{1, 2, 5, 10, 20, 50, 100} {
					fastest := math.Inf(1)
					for _, m := range measured {
						fastest = min(fastest, m.total(steps))
					}
					form := cheapest(costs, steps, 1<<40)
					ratio := measured[form].total(steps) / fastest
					worst, cells = max(worst, ratio), cells+1
					if ratio > 1.15 {
						t.Errorf("%d pixels, %d masks, %d steps: %s takes %.2f times the fastest", at[0], at[1], steps, form, ratio)
					}
				}
			}
			t.Logf("%d cells, worst ratio %.2f", cells, worst)
			if cells < 30 {
				t.Errorf("only %d cells were compared", cells)
			}
		})
	}
}

// times is what a form took, in seconds: set up, the first step and each one after it.
type times struct{ setUp, first, next float64 }

func (m times) total(steps int) float64 { return m.setUp + m.first + float64(steps-1)*m.next }

// parseCosts reads lines by pixels and masks.
func parseCosts(t *testing.T, text string) map[[2]int]map[Form]times {
	t.Helper()
	all := map[[2]int]map[Form]times{}
	for line := range strings.Lines(text) {
		var at [2]int
		var form string
		var m times
		line = strings.NewReplacer(",", "", ":", "").Replace(line)
		_, err := fmt.Sscanf(line, "%d px %d masks %s set up %g s first step %g ms step %g ms",
			&at[0], &at[1], &form, &m.setUp, &m.first, &m.next)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		m.first, m.next = m.first/1e3, m.next/1e3
		if all[at] == nil {
			all[at] = map[Form]times{}
		}
		all[at][Form(form)] = m
	}
	return all
}
