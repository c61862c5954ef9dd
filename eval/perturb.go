package eval

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"evident/eval/photos"
)

// Classifier names the class of photos of which patches are removed, and says where a class is seen.
type Classifier interface {
	// Methods names the methods that say where. The first is judged, the others are its baselines.
	Methods() []string
	// SetClasses names the classes there are.
	SetClasses(ctx context.Context, names []string) error
	// Look prepares a picture, given as the bytes of its file.
	Look(ctx context.Context, picture []byte) (Subject, error)
}

// Subject is a picture before a [Classifier].
type Subject interface {
	// Grid is the height and width of the picture in patches.
	Grid() (height, width int)
	// Relevance is by each method how much each patch speaks for a class, [len(methods)][height, width].
	Relevance(ctx context.Context, class int) ([][]float32, error)
	// Class returns the likeliest class without the patches that are removed.
	Class(ctx context.Context, removed []bool) (int, error)
}

// removals are the shares of patches removed, as Chefer, Gur and Wolf measure (arXiv:2012.09838).
var removals = []float64{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}

// PerturbationOptions tunes [RunPerturbation].
type PerturbationOptions struct {
	PhotoOptions
	Labels bool // explain and count the class of the label, not the one that the model sees in the whole photo
}

// RunPerturbation removes patches in the order of their relevance for the class that the model sees in the
// photo, and watches it name that class. positive_auc: the most relevant first, where a good map makes the model
// lose the class at once, so low is good. negative_auc: the least relevant first, high is good. Both are the mean
// share of photos still named so over 0 to 90 % of patches removed. accuracy is the share of whole photos
// whose class seen is that of the label. Classes are the first labels of the whole set; two of one name are one.
// Baselines are the other methods, the centre prior and a random order.
func RunPerturbation(
	ctx context.Context, set *photos.Set, model Classifier, opts PerturbationOptions,
) (*Report, error) {
	start := opts.now()
	if err := checkMethods(model.Methods(), centre, random); err != nil {
		return nil, err
	}
	chosen, err := set.Select(opts.part(), opts.Limit, opts.Seed)
	if err != nil {
		return nil, err
	}
	classes, index, err := classesOf(set)
	if err != nil {
		return nil, err
	}
	if err := model.SetClasses(ctx, classes); err != nil {
		return nil, err
	}
	p := &perturbation{
		model: model, labels: opts.Labels, rng: rand.New(rand.NewPCG(opts.Seed, uint64(len(chosen)))),
		numbers: map[string]map[string][]float64{centre: {}, random: {}},
	}
	for _, name := range model.Methods() {
		p.numbers[name] = map[string][]float64{}
	}
	for i, photo := range chosen {
		data, err := set.Read(photo)
		if err != nil {
			return nil, err
		}
		if err := p.measure(ctx, data, index[photo.Labels[0]]); err != nil {
			return nil, fmt.Errorf("photo %s: %w", photo.Image, err)
		}
		opts.progress(i+1, len(chosen))
	}
	report := newPhotoReport("perturbation", len(chosen), "photos", &opts.PhotoOptions)
	report.Settings["classes"] = fmt.Sprint(len(classes))
	report.Settings["explained"] = "the class seen"
	if opts.Labels {
		report.Settings["explained"] = "the class of the label"
	}
	groups := make([]int, len(chosen))
	for i := range groups {
		groups[i] = i
	}
	report.compare(model.Methods()[0], p.numbers, groups, opts.Seed)
	report.Seconds = opts.now().Sub(start).Seconds()
	return report, nil
}

// random is the name of the baseline that removes patches without looking.
const random = "random"

// classesOf returns the first labels of all photos, by class_index where the set has one, else by name.
func classesOf(set *photos.Set) ([]string, map[string]int, error) {
	place := map[string]int{}
	for i := range set.Photos {
		p := &set.Photos[i]
		if len(p.Labels) == 0 {
			return nil, nil, fmt.Errorf("photo %s has no label: its class is not known", p.Image)
		}
		if _, ok := place[p.Labels[0]]; !ok {
			place[p.Labels[0]] = math.MaxInt
			if p.Class != nil {
				place[p.Labels[0]] = *p.Class
			}
		}
	}
	names := make([]string, 0, len(place))
	for name := range place {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(place[a], place[b]), cmp.Compare(a, b))
	})
	for i, name := range names {
		place[name] = i
	}
	return names, place, nil
}

// perturbation collects one number a photo, by order and metric.
type perturbation struct {
	model   Classifier
	labels  bool
	rng     *rand.Rand
	numbers map[string]map[string][]float64
}

// measure adds a photo whose label's class is given.
func (p *perturbation) measure(ctx context.Context, data []byte, label int) error {
	subject, err := p.model.Look(ctx, data)
	if err != nil {
		return err
	}
	height, width := subject.Grid()
	seen, err := subject.Class(ctx, make([]bool, height*width))
	if err != nil {
		return err
	}
	class := seen
	if p.labels {
		class = label
	}
	relevance, err := subject.Relevance(ctx, class)
	if err != nil {
		return err
	}
	blind := make([]float32, height*width)
	for i, v := range p.rng.Perm(len(blind)) {
		blind[i] = float32(v)
	}
	orders := map[string][]float32{centre: centrePrior(height, width).Values, random: blind}
	for i, name := range p.model.Methods() {
		orders[name] = relevance[i]
	}
	for name, values := range orders {
		least := leastFirst(values)
		most := slices.Clone(least)
		slices.Reverse(most)
		numbers := p.numbers[name]
		for metric, order := range map[string][]int{"positive_auc": most, "negative_auc": least} {
			area, err := areaUnder(ctx, subject, order, class, seen)
			if err != nil {
				return err
			}
			numbers[metric] = append(numbers[metric], area)
		}
		numbers["accuracy"] = append(numbers["accuracy"], same(seen, label))
	}
	return nil
}

func same(a, b int) float64 {
	if a == b {
		return 1
	}
	return 0
}

// leastFirst orders patches by relevance; of two alike the earlier is the less relevant.
func leastFirst(relevance []float32) []int {
	order := make([]int, len(relevance))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(relevance[a], relevance[b]) })
	return order
}

// areaUnder is the mean over shares removed of whether the class is named, by the trapezoid rule; seen is what is
// named with nothing removed.
func areaUnder(ctx context.Context, subject Subject, order []int, class, seen int) (float64, error) {
	removed := make([]bool, len(order))
	done, last, sum := 0, same(seen, class), 0.0
	for _, share := range removals[1:] {
		for upTo := int(math.Round(share * float64(len(order)))); done < upTo; done++ {
			removed[order[done]] = true
		}
		named, err := subject.Class(ctx, removed)
		if err != nil {
			return 0, err
		}
		right := same(named, class)
		sum += (last + right) / 2
		last = right
	}
	return sum / float64(len(removals)-1), nil
}
