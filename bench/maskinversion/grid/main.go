//go:build unix

// Command grid times the forms of MaskInversion's gradient over masks, steps and sizes of the image, and says how far
// the form that the cost model takes is from the fastest.
//
//	grid [-model FOLDER] [-precision fp32|bf16] [-sizes 112,224,448] [-masks 1,10,30,100] [-steps 1,10,50]
//	     [-memory MIB] [-runs 3] [-svg FILE]
//
// For each size a form is set up once, and for each number of masks its steps are timed: the time of an inversion is
// the sum. Times are processor time of one thread, the least of several runs, taking turns.
package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"evident/maskinversion"
	"evident/model/vision"
	"evident/models"
	"evident/nn"
)

var forms = []maskinversion.Form{maskinversion.Direct, maskinversion.Factor, maskinversion.Tensor}

func main() {
	log.SetFlags(0)
	log.SetPrefix("grid: ")
	folder := flag.String("model", "", "a model's folder; the built-in one without it")
	precision := flag.String("precision", "bf16", "of the products: fp32 or bf16")
	sizes := flag.String("sizes", "112,224,448", "pixels a side")
	masks := flag.String("masks", "1,10,30,100", "numbers of masks")
	steps := flag.String("steps", "1,10,50", "numbers of steps")
	memory := flag.Int64("memory", 1024, "MiB that a form may take")
	runs := flag.Int("runs", 3, "of which the least counts")
	svg := flag.String("svg", "", "file for a plot of time over the number of masks, of the middle number of steps")
	flag.Parse()
	g := &grid{
		precision: map[string]nn.Precision{"fp32": nn.FP32, "bf16": nn.BF16}[*precision],
		memory:    *memory << 20, runs: *runs, steps: numbers(*steps),
	}
	runtime.GOMAXPROCS(1)
	if err := g.run(*folder, numbers(*sizes), numbers(*masks)); err != nil {
		log.Fatal(err)
	}
	if *svg != "" {
		if err := plot(*svg, g.series, g.steps[len(g.steps)/2]); err != nil {
			log.Fatal(err)
		}
	}
}

func numbers(list string) (all []int) {
	for _, text := range strings.Split(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			log.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

type grid struct {
	precision nn.Precision
	memory    int64
	runs      int
	steps     []int
	worst     float64
	series    []series
}

func (g *grid) run(name string, sizes, masks []int) error {
	folder, err := models.Open(models.Vision)
	if name != "" {
		folder, err = fs.FS(os.DirFS(name)), nil
	}
	if err != nil {
		return err
	}
	model, err := vision.LoadWith(folder, vision.Options{Precision: g.precision})
	if err != nil {
		return err
	}
	inverter, err := maskinversion.New(context.Background(), model, maskinversion.Setup{Precision: g.precision})
	if err != nil {
		return err
	}
	fmt.Println("| pixels | masks | steps | direct s | factor s | tensor s | model: direct | factor | tensor " +
		"| taken | taken/fastest |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|")
	for _, size := range sizes {
		if err := g.size(inverter, size, masks); err != nil {
			return err
		}
	}
	fmt.Printf("\nworst taken/fastest %.2f\n", g.worst)
	return nil
}

// timed returns the processor time of one call, the mean of as many as make up what clocks resolve.
func timed(do func() error) (float64, error) {
	const least = 0.05 // seconds
	before := processTime()
	for calls := 1; ; calls++ {
		if err := do(); err != nil {
			return 0, err
		}
		if took := processTime() - before; took >= least {
			return took / float64(calls), nil
		}
	}
}

func processTime() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for other arguments only
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// size times the forms on an image of one size.
func (g *grid) size(inverter *maskinversion.Inverter, size int, masks []int) error {
	ctx, r := context.Background(), rand.New(rand.NewPCG(1, 1))
	pixels := make([]float32, 3*size*size)
	for i := range pixels {
		pixels[i] = float32(r.NormFloat64())
	}
	images, setUp := map[maskinversion.Form]*maskinversion.Image{}, map[maskinversion.Form]float64{}
	for _, form := range forms {
		im, err := inverter.Prepare(ctx, pixels, size, size)
		if err != nil {
			return err
		}
		plan, err := im.Plan(1, maskinversion.Options{})
		if err != nil {
			return err
		}
		if plan.Costs[form].Memory > g.memory {
			continue
		}
		if form != maskinversion.Direct {
			if im, setUp[form], err = g.setUp(inverter, pixels, size, form); err != nil {
				return err
			}
		}
		images[form] = im
	}
	for _, count := range masks {
		if err := g.masks(images, setUp, size, count); err != nil {
			return err
		}
	}
	return nil
}

// setUp returns an image that is ready for a form, and the time that this took, the least of several images.
func (g *grid) setUp(
	inverter *maskinversion.Inverter, pixels []float32, size int, form maskinversion.Form,
) (im *maskinversion.Image, least float64, err error) {
	ctx := context.Background()
	step := func() error {
		_, err := im.Invert(ctx, shapes(1), maskinversion.Options{Steps: 1, Form: form, MemoryMax: g.memory})
		return err
	}
	least = math.Inf(1)
	for range g.runs {
		if im, err = inverter.Prepare(ctx, pixels, size, size); err != nil {
			return nil, 0, err
		}
		before := processTime()
		if err := step(); err != nil {
			return nil, 0, err
		}
		both := processTime() - before // the first call sets up and takes a step, those after it take a step
		alone, err := timed(step)
		if err != nil {
			return nil, 0, err
		}
		least = min(least, max(0, both-alone))
	}
	return im, least, nil
}

// masks times the steps of so many masks: the first, whose start all share, and those after it.
func (g *grid) masks(
	images map[maskinversion.Form]*maskinversion.Image, setUp map[maskinversion.Form]float64, size, count int,
) error {
	least := map[int]map[maskinversion.Form]float64{1: {}, 5: {}} // by steps
	for range g.runs {
		for form, im := range images {
			for steps := range least {
				took, err := timed(func() error {
					_, err := im.Invert(context.Background(), shapes(count),
						maskinversion.Options{Steps: steps, Form: form, MemoryMax: g.memory})
					return err
				})
				if err != nil {
					return err
				}
				if old, ok := least[steps][form]; !ok || took < old {
					least[steps][form] = took
				}
			}
		}
	}
	first, next := least[1], map[maskinversion.Form]float64{}
	for form, took := range least[5] {
		next[form] = (took - first[form]) / 4
	}
	for _, steps := range g.steps {
		total, fastest := map[maskinversion.Form]float64{}, math.Inf(1)
		for form := range images {
			total[form] = setUp[form] + first[form] + float64(steps-1)*next[form]
			fastest = min(fastest, total[form])
		}
		plan, err := images[maskinversion.Direct].Plan(count, maskinversion.Options{
			Steps: steps, Form: maskinversion.Fastest, MemoryMax: g.memory,
		})
		if err != nil {
			return err
		}
		cells := []string{}
		for _, form := range forms {
			cells = append(cells, seconds(total[form]))
		}
		for _, form := range forms {
			cells = append(cells, seconds(plan.Costs[form].Seconds(steps)))
		}
		if steps == g.steps[len(g.steps)/2] {
			g.note(total, plan, size, count)
		}
		ratio := total[plan.Form] / fastest
		g.worst = max(g.worst, ratio)
		fmt.Printf("| %d | %d | %d | %s | %s | %.2f |\n", size, count, steps, strings.Join(cells, " | "), plan.Form, ratio)
	}
	for _, form := range forms {
		if images[form] != nil {
			fmt.Fprintf(os.Stderr, "%d px, %d masks, %s: set up %.3g s, first step %.3g ms, step %.3g ms\n",
				size, count, form, setUp[form], 1e3*first[form], 1e3*next[form])
		}
	}
	return nil
}

// note keeps totals for the plot.
func (g *grid) note(total map[maskinversion.Form]float64, plan maskinversion.Plan, size, count int) {
	for _, form := range forms {
		if total[form] == 0 {
			continue
		}
		i := slices.IndexFunc(g.series, func(s series) bool { return s.form == form && s.size == size })
		if i < 0 {
			i = len(g.series)
			g.series = append(g.series, series{form: form, size: size, bytes: plan.Costs[form].Memory})
		}
		g.series[i].masks, g.series[i].totals = append(g.series[i].masks, count), append(g.series[i].totals, total[form])
	}
}

func seconds(v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3g", v)
}

// shapes returns so many masks, each another box.
func shapes(count int) []maskinversion.Mask {
	const side = 64
	r := rand.New(rand.NewPCG(2, 2))
	var all []maskinversion.Mask
	for range count {
		m := maskinversion.Mask{Width: side, Height: side, Values: make([]float32, side*side)}
		x, y := r.IntN(side-8), r.IntN(side-8)
		for row := y; row < min(side, y+8+r.IntN(side/2)); row++ {
			line := m.Values[row*side:][:side]
			copy(line[x:min(side, x+24)], slices.Repeat([]float32{1}, side))
		}
		all = append(all, m)
	}
	return all
}
