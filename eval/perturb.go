package eval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"evident/eval/photos"
)

// Classifier names the class of photos of which patches are removed, and says where a class is seen.
type Classifier interface {
	// SetClasses names the classes there are.
	SetClasses(ctx context.Context, names []string) error
	// Look prepares a picture, given as the bytes of its file.
	Look(ctx context.Context, picture []byte) (Subject, error)
}

// Subject is a picture before a [Classifier].
type Subject interface {
	// Grid is the height and width of the picture in patches.
	Grid() (height, width int)
	// Relevance is how much each patch speaks for a class, by the method of that name, [height, width].
	Relevance(ctx context.Context, method string, class int) ([]float32, error)
	// Class returns the likeliest class without the patches that are removed.
	Class(ctx context.Context, removed []bool) (int, error)
}

// removals are the shares of patches removed, as Chefer, Gur and Wolf measure (arXiv:2012.09838).
var removals = []float64{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}

// PerturbationOptions tunes [RunPerturbation].
type PerturbationOptions struct {
	PhotoOptions
	Methods   []string // the first is judged, the others are baselines beside the centre prior and a random order
	Predicted bool     // explain and count the class that the model sees, not the one of the label
}

// RunPerturbation removes patches in the order of their relevance for the photo's class and watches the model
// name it. positive_auc: the most relevant first, where a good map makes the model lose the class at once, so
// low is good. negative_auc: the least relevant first, high is good. Both are the mean share of photos still
// named rightly over 0 to 90 % of patches removed; accuracy is that share with nothing removed. Classes are the
// first labels of the whole set.
func RunPerturbation(
	ctx context.Context, set *photos.Set, model Classifier, opts PerturbationOptions,
) (*Report, error) {
	start := opts.now()
	if len(opts.Methods) == 0 {
		return nil, errors.New("no method is to be judged")
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
	orders := append(slices.Clone(opts.Methods), centre, random)
	numbers := map[string]map[string][]float64{}
	for _, name := range orders {
		if numbers[name] != nil {
			return nil, fmt.Errorf("two orders are named %q", name)
		}
		numbers[name] = map[string][]float64{}
	}
	rng := rand.New(rand.NewPCG(opts.Seed, uint64(len(chosen))))
	for i, p := range chosen {
		data, err := set.Read(p)
		if err != nil {
			return nil, err
		}
		r := &perturbed{class: index[p.Labels[0]], predicted: opts.Predicted, rng: rng}
		if err := r.measure(ctx, model, data, orders, numbers); err != nil {
			return nil, fmt.Errorf("photo %s: %w", p.Image, err)
		}
		opts.progress(i+1, len(chosen))
	}
	report := newPhotoReport("perturbation", len(chosen), "photos", &opts.PhotoOptions)
	report.Settings["classes"] = fmt.Sprint(len(classes))
	report.Settings["explained"] = map[bool]string{true: "the class seen", false: "the class of the label"}[opts.Predicted]
	groups := make([]int, len(chosen))
	for i := range groups {
		groups[i] = i
	}
	report.compare(opts.Methods[0], numbers, groups, opts.Seed)
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

// perturbed is one photo from which patches are removed.
type perturbed struct {
	class     int
	predicted bool
	rng       *rand.Rand
	subject   Subject
}

// measure adds one number an order and metric.
func (p *perturbed) measure(
	ctx context.Context, model Classifier, data []byte, orders []string, numbers map[string]map[string][]float64,
) error {
	var err error
	if p.subject, err = model.Look(ctx, data); err != nil {
		return err
	}
	height, width := p.subject.Grid()
	seen, err := p.subject.Class(ctx, make([]bool, height*width))
	if err != nil {
		return err
	}
	if p.predicted {
		p.class = seen
	}
	whole := 0.0
	if seen == p.class {
		whole = 1
	}
	for _, name := range orders {
		relevance, err := p.relevance(ctx, name, height, width)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		least := leastFirst(relevance)
		most := slices.Clone(least)
		slices.Reverse(most)
		add := func(metric string, value float64) { numbers[name][metric] = append(numbers[name][metric], value) }
		for metric, order := range map[string][]int{"positive_auc": most, "negative_auc": least} {
			area, err := p.area(ctx, order, whole)
			if err != nil {
				return err
			}
			add(metric, area)
		}
		add("accuracy", whole)
	}
	return nil
}

func (p *perturbed) relevance(ctx context.Context, name string, height, width int) ([]float32, error) {
	switch name {
	case centre:
		return centrePrior(height, width).Values, nil
	case random:
		values := make([]float32, height*width)
		for i, v := range p.rng.Perm(len(values)) {
			values[i] = float32(v)
		}
		return values, nil
	}
	return p.subject.Relevance(ctx, name, p.class)
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

// area is the mean over shares removed of whether the class is still named, by the trapezoid rule; whole is
// whether it is with nothing removed.
func (p *perturbed) area(ctx context.Context, order []int, whole float64) (float64, error) {
	removed := make([]bool, len(order))
	done, last, sum := 0, whole, 0.0
	for _, share := range removals[1:] {
		for upTo := int(math.Round(share * float64(len(order)))); done < upTo; done++ {
			removed[order[done]] = true
		}
		class, err := p.subject.Class(ctx, removed)
		if err != nil {
			return 0, err
		}
		right := 0.0
		if class == p.class {
			right = 1
		}
		sum += (last + right) / 2
		last = right
	}
	return sum / float64(len(removals)-1), nil
}
