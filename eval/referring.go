package eval

import (
	"context"
	"fmt"
	"strings"

	"evident/eval/photos"
	"evident/internal/mask"
)

// Kinds of referring expressions that are made of outlines.
const (
	byName  = "name"  // "the dog": the only thing of its class
	byPlace = "place" // "the dog on the left": one of two of a class that lie apart
	bySize  = "size"  // "the large dog": one of two of a class of which one has twice the area
)

// expression refers to one of the regions of a photo.
type expression struct {
	text, kind string
	right      int // the region meant
}

// expressions makes what can be said of regions, the photo's instances that are large enough. Everything of the photo
// counts in what is the only one, or one of two: also what is too small, and crowds.
func expressions(p *photos.Photo, regions []mask.Region) []expression {
	count := map[string]int{}
	for i := range p.Masks {
		count[p.Masks[i].Class]++
	}
	of := map[string][]int{}
	var order []string
	for i, r := range regions {
		if of[r.Name] == nil {
			order = append(order, r.Name)
		}
		of[r.Name] = append(of[r.Name], i)
	}
	var all []expression
	for _, class := range order {
		name, at := photos.Spoken(class), of[class]
		switch {
		case count[class] == 1:
			all = append(all, expression{"the " + name, byName, at[0]})
		case count[class] == 2 && len(at) == 2:
			all = append(all, two(name, at, regions)...)
		}
	}
	return all
}

// two tells apart the two things of a class, by what tells them apart clearly.
func two(name string, at []int, regions []mask.Region) (all []expression) {
	const (
		apart  = 0.2 // of the photo's side
		larger = 2
	)
	a, b := regions[at[0]].Mask, regions[at[1]].Mask
	ax, ay := centreOf(a)
	bx, by := centreOf(b)
	pair := func(kind, less, more string, swapped bool) {
		first, second := at[0], at[1]
		if swapped {
			first, second = second, first
		}
		all = append(all,
			expression{strings.ReplaceAll(less, "{}", name), kind, first},
			expression{strings.ReplaceAll(more, "{}", name), kind, second})
	}
	if d := (bx - ax) / float64(a.Width); d >= apart || d <= -apart {
		pair(byPlace, "the {} on the left", "the {} on the right", d < 0)
	}
	if d := (by - ay) / float64(a.Height); d >= apart || d <= -apart {
		pair(byPlace, "the {} at the top", "the {} at the bottom", d < 0)
	}
	if x, y := a.Area(), b.Area(); x >= larger*y || y >= larger*x {
		pair(bySize, "the small {}", "the large {}", x > y)
	}
	return all
}

// centreOf returns the mean x and y of the pixels inside.
func centreOf(m *mask.Mask) (x, y float64) {
	n := 0
	for i, in := range m.Bits {
		if in {
			x, y, n = x+float64(i%m.Width)+0.5, y+float64(i/m.Width)+0.5, n+1
		}
	}
	return x / float64(n), y / float64(n)
}

// RunReferring asks which of the things of a photo an expression means: top1 and top5. There is no set of expressions
// by people: they are made of the outlines, "the NAME" of the only thing of its class ("name_top1"), "the NAME on
// the left" and the like of one of two ("place_top1"), "the large NAME" ("size_top1"). Photos with a single
// thing are left out.
func RunReferring(ctx context.Context, set *photos.Set, seer RegionSeer, opts PhotoOptions) (*Report, error) {
	start := opts.now()
	if err := checkMethods(seer.Methods(), chance); err != nil {
		return nil, err
	}
	chosen, err := set.Select(opts.part(), opts.Limit, opts.Seed)
	if err != nil {
		return nil, err
	}
	all := &referred{hits: hits{numbers: map[string]map[string][]float64{}}}
	for i, p := range chosen {
		regions, err := instances(p, opts.AreaMin)
		if err != nil {
			return nil, err
		}
		if said := expressions(p, regions); len(regions) > 1 && len(said) > 0 {
			if err := all.judge(ctx, set, p, regions, said, seer); err != nil {
				return nil, err
			}
		}
		opts.progress(i+1, len(chosen))
	}
	if all.photos == 0 {
		return nil, fmt.Errorf("no photo of %s has two things of which one can be told apart", set.Name)
	}
	report := newPhotoReport("referring", len(all.groups), "expressions", &opts)
	report.Settings["photos"] = fmt.Sprint(all.photos)
	report.Settings["regions"] = fmt.Sprint(all.regions)
	report.compare(seer.Methods()[0], all.numbers, all.groups, opts.Seed)
	all.byKind(report, seer.Methods()[0])
	report.Seconds = opts.now().Sub(start).Seconds()
	return report, nil
}

// referred is what became of expressions.
type referred struct {
	hits
	kinds           []string // of each expression
	photos, regions int
}

func (r *referred) judge(
	ctx context.Context, set *photos.Set, p *photos.Photo, regions []mask.Region, said []expression, seer RegionSeer,
) error {
	texts := make([]string, len(said))
	for i, e := range said {
		texts[i] = e.text
	}
	encoded, err := seer.Texts(ctx, texts)
	if err != nil {
		return err
	}
	vectors, err := vectorsOf(ctx, set, p, regions, seer)
	if err != nil {
		return err
	}
	for i, e := range said {
		for m, method := range seer.Methods() {
			r.add(method, placeOf(encoded[i], vectors[m], e.right), len(regions))
		}
		r.add(chance, 0, len(regions))
		r.groups, r.kinds = append(r.groups, r.photos), append(r.kinds, e.kind)
	}
	r.photos++
	r.regions += len(regions)
	return nil
}

// byKind adds top1 of each kind of expression, and how many there are.
func (r *referred) byKind(report *Report, judged string) {
	for _, kind := range []string{byName, byPlace, bySize} {
		count := 0
		for method, metrics := range r.numbers {
			var of []float64
			for i, found := range metrics["top1"] {
				if r.kinds[i] == kind {
					of = append(of, found)
				}
			}
			if count = len(of); count == 0 {
				continue
			}
			if method == judged {
				report.Metrics[kind+"_top1"] = percent(mean(of))
			} else {
				report.Baselines[method][kind+"_top1"] = percent(mean(of))
			}
		}
		report.Settings[kind] = fmt.Sprint(count)
	}
}
