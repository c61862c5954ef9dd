package eval

import (
	"context"
	"fmt"
	"slices"

	"evident/eval/photos"
)

// Captioner says in words what vectors of pictures and regions mean.
type Captioner interface {
	RegionSeer
	// Picture returns the vector of a picture, given as the bytes of its file.
	Picture(ctx context.Context, picture []byte) ([]float32, error)
	// Ways names the ways of making captions. The first is judged, the others are its baselines.
	Ways() []string
	// Captions returns a caption by each way for each vector, [len(ways)][len(vectors)]; whole says that they are of
	// whole pictures.
	Captions(ctx context.Context, vectors [][]float32, whole bool) ([][]string, error)
}

// others is the name of the baseline that gives each photo what was said of another one.
const others = "of another photo"

// said collects captions, by method and way.
type said struct {
	captions map[string][]string // [items]
	groups   []int               // the photo of each item
}

// name is how a way of captioning the vectors of a method is called in the report.
func (s *said) add(ways []string, method string, captions [][]string) {
	for i, way := range ways {
		name := method
		if i > 0 {
			name += ", " + way
		}
		s.captions[name] = append(s.captions[name], captions[i]...)
	}
}

// swap adds the baseline that gives each item the caption of the first one behind it that is of another photo.
func (s *said) swap(judged string) {
	n := len(s.groups)
	for i := range n {
		j := (i + 1) % n
		for s.groups[j] == s.groups[i] && j != i {
			j = (j + 1) % n
		}
		s.captions[others] = append(s.captions[others], s.captions[judged][j])
	}
}

// RunCaptioning judges captions. Of a set with captions by people, those of whole pictures: bleu_1 to bleu_4 and cider
// (both times 100), and similarity, of the caption with the picture. Else of regions by their outlines, over things that cover
// at least AreaMin of the photo: named, the share of captions that name the thing's class, and similarity, of the
// caption and the class's name. Similarity is 100 times the cosine of vectors by the model itself.
func RunCaptioning(ctx context.Context, set *photos.Set, captioner Captioner, opts PhotoOptions) (*Report, error) {
	start := opts.now()
	if err := checkMethods(captioner.Methods(), others); err != nil {
		return nil, err
	}
	chosen, err := set.Select(opts.part(), opts.Limit, opts.Seed)
	if err != nil {
		return nil, err
	}
	var report *Report
	if slices.ContainsFunc(chosen, func(p *photos.Photo) bool { return len(p.Captions) > 0 }) {
		report, err = captionPictures(ctx, set, chosen, captioner, &opts)
	} else {
		report, err = captionRegions(ctx, set, chosen, captioner, &opts)
	}
	if err != nil {
		return nil, err
	}
	report.Seconds = opts.now().Sub(start).Seconds()
	return report, nil
}

// captionPictures compares captions of whole pictures with those by people.
func captionPictures(
	ctx context.Context, set *photos.Set, chosen []*photos.Photo, captioner Captioner, opts *PhotoOptions,
) (*Report, error) {
	chosen = slices.DeleteFunc(slices.Clone(chosen), func(p *photos.Photo) bool { return len(p.Captions) == 0 })
	vectors, err := pictureVectors(ctx, set, chosen, captioner, opts)
	if err != nil {
		return nil, err
	}
	captions, err := captioner.Captions(ctx, vectors, true)
	if err != nil {
		return nil, err
	}
	all := &said{captions: map[string][]string{}}
	references := make([][][]string, len(chosen))
	for i, p := range chosen {
		all.groups = append(all.groups, i)
		for _, c := range p.Captions {
			references[i] = append(references[i], captionWords(c))
		}
	}
	const judged = "whole"
	all.add(captioner.Ways(), judged, captions)
	all.swap(judged)
	report := newPhotoReport("captioning", len(chosen), "photos", opts)
	numbers := map[string]map[string][]float64{}
	bleu := map[string][]bleuCounts{}
	scorer := newCIDEr(references)
	for name, captions := range all.captions {
		texts, err := captioner.Texts(ctx, captions)
		if err != nil {
			return nil, err
		}
		numbers[name] = map[string][]float64{}
		for i, c := range captions {
			words := captionWords(c)
			bleu[name] = append(bleu[name], countBLEU(words, references[i]))
			numbers[name]["cider"] = append(numbers[name]["cider"], scorer.score(words, references[i]))
			numbers[name]["similarity"] = append(numbers[name]["similarity"], product(texts[i], vectors[i]))
		}
	}
	report.compare(judged, numbers, all.groups, opts.Seed)
	report.compareBLEU(judged, bleu, opts.Seed)
	return report, nil
}

// compareBLEU is [Report.compare] of BLEU, which is no mean of the captions' own scores: counts are added up first.
func (r *Report) compareBLEU(judged string, bleu map[string][]bleuCounts, seed uint64) {
	for n := range bleuOrder {
		metric := fmt.Sprintf("bleu_%d", n+1)
		corpus := func(name string, drawn []int) float64 {
			var total bleuCounts
			for _, i := range drawn {
				total.add(&bleu[name][i])
			}
			return total.scores()[n]
		}
		every := make([]int, len(bleu[judged]))
		for i := range every {
			every[i] = i
		}
		interval := func(statistic func([]int) float64) Interval {
			return percentInterval(ResampleInterval(len(every), resamples, seed, statistic))
		}
		r.Metrics[metric] = percent(corpus(judged, every))
		r.Intervals[metric] = interval(func(drawn []int) float64 { return corpus(judged, drawn) })
		for name := range bleu {
			if name != judged {
				r.Baselines[name][metric] = percent(corpus(name, every))
				r.Differences[name][metric] = interval(func(drawn []int) float64 {
					return corpus(judged, drawn) - corpus(name, drawn)
				})
			}
		}
	}
}

// captionRegions asks whether captions of regions name their classes.
func captionRegions(
	ctx context.Context, set *photos.Set, chosen []*photos.Photo, captioner Captioner, opts *PhotoOptions,
) (*Report, error) {
	all := &said{captions: map[string][]string{}}
	var classes []string
	seen := 0
	for i, p := range chosen {
		regions, err := instances(p, opts.AreaMin)
		if err != nil {
			return nil, err
		}
		if len(regions) > 0 {
			vectors, err := vectorsOf(ctx, set, p, regions, captioner)
			if err != nil {
				return nil, err
			}
			for m, method := range captioner.Methods() {
				captions, err := captioner.Captions(ctx, vectors[m], false)
				if err != nil {
					return nil, err
				}
				all.add(captioner.Ways(), method, captions)
			}
			for _, r := range regions {
				classes, all.groups = append(classes, r.Name), append(all.groups, seen)
			}
			seen++
		}
		opts.progress(i+1, len(chosen))
	}
	if seen == 0 {
		return nil, fmt.Errorf("no photo of %s has captions, or a thing with an outline that covers enough of it", set.Name)
	}
	judged := captioner.Methods()[0]
	all.swap(judged)
	spoken := make([]string, len(classes))
	for i, c := range classes {
		spoken[i] = photos.Spoken(c)
	}
	names, err := captioner.Names(ctx, spoken)
	if err != nil {
		return nil, err
	}
	numbers := map[string]map[string][]float64{}
	for name, captions := range all.captions {
		texts, err := captioner.Texts(ctx, captions)
		if err != nil {
			return nil, err
		}
		numbers[name] = map[string][]float64{}
		for i, c := range captions {
			found := 0.0
			if photos.Names(captionWords(c), classes[i]) {
				found = 1
			}
			numbers[name]["named"] = append(numbers[name]["named"], found)
			numbers[name]["similarity"] = append(numbers[name]["similarity"], product(texts[i], names[i]))
		}
	}
	report := newPhotoReport("captioning", len(classes), "things with an outline", opts)
	report.Settings["photos"] = fmt.Sprint(seen)
	report.compare(judged, numbers, all.groups, opts.Seed)
	return report, nil
}
