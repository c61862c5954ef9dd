package eval

import (
	"context"
	"fmt"
	"slices"

	"evident/eval/photos"
	"evident/internal/mask"
)

// RegionSeer makes vectors of regions of photos, by one or several methods, that compare with those of texts by their
// product.
type RegionSeer interface {
	// Methods names the methods. The first is judged, the others are its baselines.
	Methods() []string
	// Regions returns a vector for each mask of a picture, given as the bytes of its file: [len(methods)][len(masks)].
	Regions(ctx context.Context, picture []byte, masks []*mask.Mask) ([][][]float32, error)
	// Texts returns the vectors of texts; Names those of class names, each in the model's own prompt.
	Texts(ctx context.Context, texts []string) ([][]float32, error)
	Names(ctx context.Context, names []string) ([][]float32, error)
}

// chance is the name of the baseline that guesses.
const chance = "chance"

// instances returns the photo's things that cover enough of it, each by itself.
func instances(p *photos.Photo, areaMin float64) ([]mask.Region, error) {
	if areaMin == 0 {
		areaMin = 0.01
	}
	all, err := p.Instances()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(r mask.Region) bool {
		area := r.Area()
		return area == 0 || float64(area) < areaMin*float64(r.Width*r.Height)
	}), nil
}

// vectorsOf reads a photo and makes vectors of regions of it.
func vectorsOf(
	ctx context.Context, set *photos.Set, p *photos.Photo, regions []mask.Region, seer RegionSeer,
) ([][][]float32, error) {
	data, err := set.Read(p)
	if err != nil {
		return nil, err
	}
	masks := make([]*mask.Mask, len(regions))
	for i, r := range regions {
		masks[i] = r.Mask
	}
	vectors, err := seer.Regions(ctx, data, masks)
	if err != nil {
		return nil, fmt.Errorf("photo %s: %w", p.Image, err)
	}
	return vectors, nil
}

// hits collects whether items were found among the first one and five, by method.
type hits struct {
	numbers map[string]map[string][]float64 // by method and metric, one an item
	groups  []int                           // the photo of each item
}

// add notes the rank of an item, from 0, and what guessing among so many has.
func (h *hits) add(method string, rank, among int) {
	if h.numbers[method] == nil {
		h.numbers[method] = map[string][]float64{}
	}
	for metric, k := range map[string]int{"top1": 1, "top5": 5} {
		found := 0.0
		if rank < k {
			found = 1
		}
		if method == chance {
			found = min(1, float64(k)/float64(among))
		}
		h.numbers[method][metric] = append(h.numbers[method][metric], found)
	}
}

// placeOf returns how many others fit a vector better than the right one does. A tie counts against the right one.
func placeOf(vector []float32, others [][]float32, right int) int {
	own, rank := product(vector, others[right]), 0
	for i, other := range others {
		if i != right && product(vector, other) >= own {
			rank++
		}
	}
	return rank
}

// RunRegionRetrieval names each thing of each photo by its outline, among the classes of all things of the set:
// top1 and top5, over things that cover at least AreaMin of the photo.
func RunRegionRetrieval(ctx context.Context, set *photos.Set, seer RegionSeer, opts PhotoOptions) (*Report, error) {
	start := opts.now()
	if err := checkMethods(seer.Methods(), chance); err != nil {
		return nil, err
	}
	chosen, err := set.Select(opts.part(), opts.Limit, opts.Seed)
	if err != nil {
		return nil, err
	}
	classes := set.Things()
	names := make([]string, len(classes))
	for i, c := range classes {
		names[i] = photos.Spoken(c)
	}
	texts, err := seer.Names(ctx, names)
	if err != nil {
		return nil, err
	}
	all := &hits{numbers: map[string]map[string][]float64{}}
	seen := 0
	for i, p := range chosen {
		regions, err := instances(p, opts.AreaMin)
		if err != nil {
			return nil, err
		}
		if len(regions) > 0 {
			vectors, err := vectorsOf(ctx, set, p, regions, seer)
			if err != nil {
				return nil, err
			}
			all.name(regions, vectors, seer.Methods(), classes, texts, seen)
			seen++
		}
		opts.progress(i+1, len(chosen))
	}
	if seen == 0 {
		return nil, fmt.Errorf("no photo of %s has a thing with an outline that covers enough of it", set.Name)
	}
	report := newPhotoReport("region-retrieval", len(all.groups), "things with an outline", &opts)
	report.Settings["photos"], report.Settings["classes"] = fmt.Sprint(seen), fmt.Sprint(len(classes))
	report.compare(seer.Methods()[0], all.numbers, all.groups, opts.Seed)
	report.Seconds = opts.now().Sub(start).Seconds()
	return report, nil
}

// name notes where the right class ranks for each region of a photo.
func (h *hits) name(
	regions []mask.Region, vectors [][][]float32, methods, classes []string, texts [][]float32, photo int,
) {
	for i, r := range regions {
		right := slices.Index(classes, r.Name)
		for m, method := range methods {
			h.add(method, placeOf(vectors[m][i], texts, right), len(classes))
		}
		h.add(chance, 0, len(classes))
		h.groups = append(h.groups, photo)
	}
}
