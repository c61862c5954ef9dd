package eval

import (
	"context"
	"errors"
	"fmt"

	"evident/eval/photos"
)

// Seer draws where class names are seen, by one or several methods: a model before photos.
type Seer interface {
	// Methods names the methods. The first is judged, the others are its baselines.
	Methods() []string
	// Maps returns where each class is seen in a picture, given as the bytes of its file:
	// [len(methods)][len(classes)].
	Maps(ctx context.Context, picture []byte, classes []string) ([][]Heatmap, error)
}

// PhotoOptions tunes the tasks on photos. The zero value judges every photo of the set's test part.
type PhotoOptions struct {
	Options // Limit counts photos

	Part     photos.Part       // which photos are judged; "" means those for tests
	Choose   *photos.Set       // whose choosing part fixes thresholds; nil: see [RunSegmentation]
	AreaMin  float64           // least share of the photo that a class covers to be asked for; 0 means 1 %
	Settings map[string]string // what the report repeats: model, method, size
}

func (o *PhotoOptions) part() photos.Part {
	if o.Part == "" {
		return photos.Test
	}
	return o.Part
}

// outline is the pixels of a class in a photo, at MapSide x MapSide.
type outline struct {
	class  string
	inside []bool
}

// outlines returns the photo's classes that cover enough of it.
func outlines(p *photos.Photo, areaMin float64) ([]outline, error) {
	if areaMin == 0 {
		areaMin = 0.01
	}
	regions, err := p.Regions()
	if err != nil {
		return nil, err
	}
	var all []outline
	for _, r := range regions {
		small, err := r.Resize(MapSide, MapSide)
		if err != nil {
			return nil, fmt.Errorf("photo %s: %w", p.Image, err)
		}
		if float64(small.Area()) >= areaMin*MapSide*MapSide {
			all = append(all, outline{r.Name, small.Bits})
		}
	}
	return all, nil
}

// localised is what several methods make of the same pairs of photo and class.
type localised struct {
	photos int
	pairs  map[string][]pair // by method
}

// centre is the name of the prior that every report has.
const centre = "centre"

// localise judges the maps of every class in every photo.
func localise(
	ctx context.Context, set *photos.Set, chosen []*photos.Photo, seer Seer, opts *PhotoOptions,
) (*localised, error) {
	all := &localised{pairs: map[string][]pair{}}
	prior := centrePrior(MapSide, MapSide).enlarge()
	for i, p := range chosen {
		found, err := outlines(p, opts.AreaMin)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			if err := all.judge(ctx, set, p, found, seer); err != nil {
				return nil, fmt.Errorf("photo %s: %w", p.Image, err)
			}
			for _, o := range found {
				all.pairs[centre] = append(all.pairs[centre], judge(all.photos, prior, o.inside))
			}
			all.photos++
		}
		opts.progress(i+1, len(chosen))
	}
	if len(all.pairs[centre]) == 0 {
		return nil, fmt.Errorf("no photo of %s has a class that covers enough of it", set.Name)
	}
	return all, nil
}

func (l *localised) judge(
	ctx context.Context, set *photos.Set, p *photos.Photo, found []outline, seer Seer,
) error {
	data, err := set.Read(p)
	if err != nil {
		return err
	}
	classes := make([]string, len(found))
	for i, o := range found {
		classes[i] = photos.Spoken(o.class)
	}
	maps, err := seer.Maps(ctx, data, classes)
	if err != nil {
		return err
	}
	for i, method := range seer.Methods() {
		for j, m := range maps[i] {
			l.pairs[method] = append(l.pairs[method], judge(l.photos, m.enlarge(), found[j].inside))
		}
	}
	return nil
}

// checkMethods says whether methods, and the baselines that a task adds, can be told apart.
func checkMethods(methods []string, baselines ...string) error {
	if len(methods) == 0 {
		return errors.New("no method is to be judged")
	}
	seen := map[string]bool{}
	for _, name := range append(baselines, methods...) {
		if seen[name] {
			return fmt.Errorf("two methods are named %q", name)
		}
		seen[name] = true
	}
	return nil
}

// RunPointing asks where each class of each photo is and looks whether the map's peak lies inside the class's
// outline: accuracy, over pairs of a photo and a class that covers at least AreaMin of it.
func RunPointing(ctx context.Context, set *photos.Set, seer Seer, opts PhotoOptions) (*Report, error) {
	start := opts.now()
	if err := checkMethods(seer.Methods(), centre); err != nil {
		return nil, err
	}
	chosen, err := set.Select(opts.part(), opts.Limit, opts.Seed)
	if err != nil {
		return nil, err
	}
	all, err := localise(ctx, set, chosen, seer, &opts)
	if err != nil {
		return nil, err
	}
	report := all.report("pointing", seer.Methods()[0], &opts, func(_ string, pairs []pair) map[string][]float64 {
		return map[string][]float64{"accuracy": column(pairs, func(p *pair) float64 { return p.pointing })}
	})
	report.Seconds = opts.now().Sub(start).Seconds()
	return report, nil
}

// errNoThreshold says why a set cannot be cut at a threshold of its own.
var errNoThreshold = errors.New("a single photo cannot be judged at a threshold chosen on others")

// RunSegmentation cuts each map at one threshold into object and background: miou is the mean IoU of the two,
// pixel_accuracy the share of pixels on the right side, map the mean average precision of pixels ranked by the
// map, which needs no threshold, and pointing as [RunPointing] has it.
//
// The threshold is fixed, for each method on its own, on photos that are not reported on: the choosing part of
// opts.Choose, or else of the set. Where there is none each half of the photos is judged at the threshold that
// is best on the other half, and the report says so.
func RunSegmentation(ctx context.Context, set *photos.Set, seer Seer, opts PhotoOptions) (*Report, error) {
	start := opts.now()
	if err := checkMethods(seer.Methods(), centre); err != nil {
		return nil, err
	}
	chosen, err := set.Select(opts.part(), opts.Limit, opts.Seed)
	if err != nil {
		return nil, err
	}
	cuts, err := chooseThresholds(ctx, set, seer, &opts)
	if err != nil {
		return nil, err
	}
	all, err := localise(ctx, set, chosen, seer, &opts)
	if err != nil {
		return nil, err
	}
	if cuts == nil && all.photos < 2 {
		return nil, errNoThreshold
	}
	numbers := func(name string, pairs []pair) map[string][]float64 {
		cut := func(p *pair) int { return cuts[name] }
		if cuts == nil {
			cut = crossed(pairs)
		}
		return map[string][]float64{
			"miou":           column(pairs, func(p *pair) float64 { return p.iou[cut(p)] }),
			"pixel_accuracy": column(pairs, func(p *pair) float64 { return p.accuracy[cut(p)] }),
			"map":            column(pairs, func(p *pair) float64 { return p.precision }),
			"pointing":       column(pairs, func(p *pair) float64 { return p.pointing }),
		}
	}
	report := all.report("segmentation", seer.Methods()[0], &opts, numbers)
	if cuts != nil {
		report.Settings["threshold"] = fmt.Sprintf("%.2f", thresholdAt(cuts[seer.Methods()[0]]))
	} else {
		report.Settings["threshold"] = "of each half of the photos the best of the other"
	}
	report.Seconds = opts.now().Sub(start).Seconds()
	return report, nil
}

// chooseThresholds returns the threshold of each method, nil where there are no photos to choose on that are not
// reported on as well.
func chooseThresholds(
	ctx context.Context, set *photos.Set, seer Seer, opts *PhotoOptions,
) (map[string]int, error) {
	from := opts.Choose
	if from == nil {
		from = set
	}
	if part := opts.part(); from.Name == set.Name && part != photos.Test && part != photos.Train {
		return nil, nil // the photos that choose would be reported on
	}
	chosen, err := from.Select(photos.Choose, 0, opts.Seed)
	if err != nil {
		if opts.Choose != nil {
			return nil, fmt.Errorf("choose a threshold: %w", err)
		}
		return nil, nil //nolint:nilerr // a set without such photos is judged crosswise
	}
	all, err := localise(ctx, from, chosen, seer, opts)
	if err != nil {
		return nil, fmt.Errorf("choose a threshold: %w", err)
	}
	cuts := map[string]int{}
	for name, pairs := range all.pairs {
		cuts[name] = bestThreshold(pairs)
	}
	return cuts, nil
}

// crossed gives each half of the photos the best threshold of the other half.
func crossed(pairs []pair) func(*pair) int {
	var halves [2][]pair
	for _, p := range pairs {
		halves[p.photo%2] = append(halves[p.photo%2], p)
	}
	best := [2]int{bestThreshold(halves[1]), bestThreshold(halves[0])}
	return func(p *pair) int { return best[p.photo%2] }
}

// report makes means and intervals of every method's numbers, one a pair by metric.
func (l *localised) report(
	task, judged string, opts *PhotoOptions, numbers func(method string, pairs []pair) map[string][]float64,
) *Report {
	r := newPhotoReport(task, len(l.pairs[judged]), "pairs of photo and class", opts)
	r.Settings["photos"] = fmt.Sprint(l.photos)
	all := map[string]map[string][]float64{}
	for name, pairs := range l.pairs {
		all[name] = numbers(name, pairs)
	}
	groups := make([]int, len(l.pairs[judged]))
	for i, p := range l.pairs[judged] {
		groups[i] = p.photo
	}
	r.compare(judged, all, groups, opts.Seed)
	return r
}
