package eval

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"evident/eval/photos"
)

// Embedder makes vectors of pictures and texts that compare by their product.
type Embedder interface {
	// Picture returns the vector of a picture, given as the bytes of its file.
	Picture(ctx context.Context, picture []byte) ([]float32, error)
	// Texts returns the vectors of texts; Names those of class names, each in the model's own prompt.
	Texts(ctx context.Context, texts []string) ([][]float32, error)
	Names(ctx context.Context, names []string) ([][]float32, error)
}

// pictureEmbedder is what [pictureVectors] needs of a model.
type pictureEmbedder interface {
	Picture(ctx context.Context, picture []byte) ([]float32, error)
}

// pictureVectors returns a vector for each photo.
func pictureVectors(
	ctx context.Context, set *photos.Set, chosen []*photos.Photo, model pictureEmbedder, opts *PhotoOptions,
) ([][]float32, error) {
	vectors := make([][]float32, len(chosen))
	for i, p := range chosen {
		data, err := set.Read(p)
		if err != nil {
			return nil, err
		}
		if vectors[i], err = model.Picture(ctx, data); err != nil {
			return nil, fmt.Errorf("photo %s: %w", p.Image, err)
		}
		opts.progress(i+1, len(chosen))
	}
	return vectors, nil
}

func product(a, b []float32) float64 {
	sum := 0.0
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

// RunImageRetrieval asks with each caption for its photo among all photos: recall_at_1, _5 and _10. The baseline
// "chance" is what a random order has.
func RunImageRetrieval(ctx context.Context, set *photos.Set, model Embedder, opts PhotoOptions) (*Report, error) {
	start := opts.now()
	chosen, err := set.Select(opts.part(), opts.Limit, opts.Seed)
	if err != nil {
		return nil, err
	}
	var captions []string
	var owner []int
	for i, p := range chosen {
		for _, c := range p.Captions {
			captions, owner = append(captions, c), append(owner, i)
		}
	}
	if len(captions) == 0 {
		return nil, fmt.Errorf("the photos of %s have no captions", set.Name)
	}
	pictures, err := pictureVectors(ctx, set, chosen, model, &opts)
	if err != nil {
		return nil, err
	}
	texts, err := model.Texts(ctx, captions)
	if err != nil {
		return nil, err
	}
	report := newPhotoReport("image-retrieval", len(captions), "captions", &opts)
	report.Settings["photos"] = fmt.Sprint(len(chosen))
	report.Baselines["chance"] = map[string]float64{}
	ranks := make([]int, len(texts))
	for i, text := range texts {
		own := product(text, pictures[owner[i]])
		for _, picture := range pictures {
			if product(text, picture) > own {
				ranks[i]++
			}
		}
	}
	for _, k := range []int{1, 5, 10} {
		found := make([]float64, len(ranks))
		for i, rank := range ranks {
			if rank < k {
				found[i] = 1
			}
		}
		metric := fmt.Sprintf("recall_at_%d", k)
		report.Metrics[metric] = percent(mean(found))
		report.Intervals[metric] = percentInterval(ClusterInterval(found, owner, resamples, opts.Seed))
		report.Baselines["chance"][metric] = percent(min(1, float64(k)/float64(len(chosen))))
	}
	report.Seconds = opts.now().Sub(start).Seconds()
	return report, nil
}

// RunTagging ranks the photos by each class name and compares with the labels: map, the mean of the classes'
// average precisions. Classes are all labels of the set that a photo judged has. The baseline "chance" is
// the share of photos that have a label, which is about what a random order reaches.
func RunTagging(ctx context.Context, set *photos.Set, model Embedder, opts PhotoOptions) (*Report, error) {
	start := opts.now()
	chosen, err := set.Select(opts.part(), opts.Limit, opts.Seed)
	if err != nil {
		return nil, err
	}
	classes, truth := labelled(chosen)
	if len(classes) == 0 {
		return nil, fmt.Errorf("the photos of %s have no labels", set.Name)
	}
	names := make([]string, len(classes))
	for i, c := range classes {
		names[i] = photos.Spoken(c)
	}
	texts, err := model.Names(ctx, names)
	if err != nil {
		return nil, err
	}
	pictures, err := pictureVectors(ctx, set, chosen, model, &opts)
	if err != nil {
		return nil, err
	}
	scores, frequency := make([][]float64, len(classes)), 0.0
	for c := range classes {
		for i, picture := range pictures {
			scores[c] = append(scores[c], product(texts[c], picture))
			if truth[c][i] {
				frequency += 1 / float64(len(classes)*len(chosen))
			}
		}
	}
	every := make([]int, len(chosen))
	for i := range every {
		every[i] = i
	}
	report := newPhotoReport("tagging", len(chosen), "photos", &opts)
	report.Settings["classes"] = fmt.Sprint(len(classes))
	report.Metrics["map"] = percent(meanPrecision(scores, truth, every))
	report.Intervals["map"] = percentInterval(ResampleInterval(len(chosen), resamples, opts.Seed,
		func(drawn []int) float64 { return meanPrecision(scores, truth, drawn) }))
	report.Baselines["chance"] = map[string]float64{"map": percent(frequency)}
	report.Seconds = opts.now().Sub(start).Seconds()
	return report, nil
}

// labelled returns the classes of photos, by name, and which photo has which, [classes][photos]. A class is a
// label or the class of a box.
func labelled(chosen []*photos.Photo) ([]string, [][]bool) {
	has := map[string][]bool{}
	for i, p := range chosen {
		labels := slices.Clone(p.Labels)
		for _, b := range p.Boxes {
			labels = append(labels, b.Class)
		}
		for _, label := range labels {
			if has[label] == nil {
				has[label] = make([]bool, len(chosen))
			}
			has[label][i] = true
		}
	}
	classes := slices.Sorted(maps.Keys(has))
	truth := make([][]bool, len(classes))
	for c, name := range classes {
		truth[c] = has[name]
	}
	return classes, truth
}

// meanPrecision is the mean average precision over the classes that a photo drawn has.
func meanPrecision(scores [][]float64, truth [][]bool, drawn []int) float64 {
	var each []float64
	for c := range scores {
		ranked, positive := make([]float64, len(drawn)), make([]bool, len(drawn))
		for i, photo := range drawn {
			ranked[i], positive[i] = scores[c][photo], truth[c][photo]
		}
		if slices.Contains(positive, true) {
			each = append(each, AveragePrecision(ranked, positive))
		}
	}
	return mean(each)
}
