package eval

import (
	"context"
	"fmt"
	"slices"

	"evident/eval/photos"
	"evident/internal/mask"
)

// RegionSearcher makes vectors of regions and of whole pictures that compare by their product.
type RegionSearcher interface {
	RegionSeer
	// Picture returns the vector of a picture, given as the bytes of its file.
	Picture(ctx context.Context, picture []byte) ([]float32, error)
}

// RunRegionSearch looks for each thing of each photo, by its outline, in the other photos judged: top1, the share of
// things of which the first photo found shows one of the class, and map, the mean average precision. Things of a
// class that no other photo shows are left out. The baseline "chance" is the share of photos that show the class.
func RunRegionSearch(ctx context.Context, set *photos.Set, seer RegionSearcher, opts PhotoOptions) (*Report, error) {
	start := opts.now()
	if err := checkMethods(seer.Methods(), chance); err != nil {
		return nil, err
	}
	chosen, err := set.Select(opts.part(), opts.Limit, opts.Seed)
	if err != nil {
		return nil, err
	}
	pictures, err := pictureVectors(ctx, set, chosen, seer, &PhotoOptions{}) // quick: progress is of what follows
	if err != nil {
		return nil, err
	}
	numbers, groups := map[string]map[string][]float64{chance: {}}, []int(nil)
	for _, method := range seer.Methods() {
		numbers[method] = map[string][]float64{}
	}
	for i, p := range chosen {
		regions, err := instances(p, opts.AreaMin)
		if err != nil {
			return nil, err
		}
		regions = slices.DeleteFunc(regions, func(r mask.Region) bool {
			return !slices.Contains(shows(chosen, i, r.Name), true)
		})
		if len(regions) > 0 {
			vectors, err := vectorsOf(ctx, set, p, regions, seer)
			if err != nil {
				return nil, err
			}
			others := slices.Delete(slices.Clone(pictures), i, i+1)
			for at, r := range regions {
				right := shows(chosen, i, r.Name)
				for m, method := range seer.Methods() {
					first, precision := searched(vectors[m][at], others, right)
					numbers[method]["top1"] = append(numbers[method]["top1"], first)
					numbers[method]["map"] = append(numbers[method]["map"], precision)
				}
				share := portion(right)
				numbers[chance]["top1"] = append(numbers[chance]["top1"], share)
				numbers[chance]["map"] = append(numbers[chance]["map"], share)
				groups = append(groups, i)
			}
		}
		opts.progress(i+1, len(chosen))
	}
	if len(groups) == 0 {
		return nil, fmt.Errorf("no thing of %s is shown by two photos", set.Name)
	}
	report := newPhotoReport("region-search", len(groups), "things with an outline", &opts)
	report.Settings["photos"] = fmt.Sprint(len(chosen))
	report.compare(seer.Methods()[0], numbers, groups, opts.Seed)
	report.Seconds = opts.now().Sub(start).Seconds()
	return report, nil
}

// shows says of each photo but one whether it has a thing of the class, of any size.
func shows(chosen []*photos.Photo, but int, class string) []bool {
	var right []bool
	for i, p := range chosen {
		if i != but {
			right = append(right, slices.ContainsFunc(p.Masks, func(o photos.Object) bool { return o.Class == class }))
		}
	}
	return right
}

// searched ranks photos by a vector: whether the first is right, and the average precision.
func searched(vector []float32, others [][]float32, right []bool) (first, precision float64) {
	scores := make([]float64, len(others))
	for i, o := range others {
		scores[i] = product(vector, o)
	}
	if right[slices.Index(scores, slices.Max(scores))] {
		first = 1
	}
	return first, AveragePrecision(scores, right)
}

// portion is the share of what is true.
func portion(of []bool) float64 {
	n := 0
	for _, is := range of {
		if is {
			n++
		}
	}
	return float64(n) / float64(len(of))
}
