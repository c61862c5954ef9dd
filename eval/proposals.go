package eval

import (
	"context"
	"fmt"

	"evident/eval/photos"
	"evident/internal/mask"
)

// Proposer finds regions that could be things.
type Proposer interface {
	// Propose returns at most count masks for a picture, given as the bytes of its file.
	Propose(ctx context.Context, picture []byte, count int) ([]*mask.Mask, error)
}

// ProposalOptions tunes [RunProposals].
type ProposalOptions struct {
	PhotoOptions
	Count int // proposals for each photo; 0 means 20
}

// RunProposals compares proposed regions with the outlines of things: recall_50 is the share of things that some
// proposal overlaps by an IoU of half or more, best_iou the mean IoU of things and their best proposals. The
// baseline "boxes" proposes as many boxes of three sizes, evenly spread.
func RunProposals(ctx context.Context, set *photos.Set, p Proposer, opts ProposalOptions) (*Report, error) {
	start := opts.now()
	if opts.Count == 0 {
		opts.Count = 20
	}
	chosen, err := set.Select(opts.part(), opts.Limit, opts.Seed)
	if err != nil {
		return nil, err
	}
	const judged, boxes = "proposed", "boxes"
	numbers := map[string]map[string][]float64{judged: {}, boxes: {}}
	var groups []int
	count := 0
	for i, photo := range chosen {
		things, err := instances(photo, opts.AreaMin)
		if err != nil {
			return nil, err
		}
		opts.progress(i+1, len(chosen))
		if len(things) == 0 {
			continue
		}
		data, err := set.Read(photo)
		if err != nil {
			return nil, err
		}
		proposed, err := p.Propose(ctx, data, opts.Count)
		if err != nil {
			return nil, fmt.Errorf("photo %s: %w", photo.Image, err)
		}
		count += len(proposed)
		width, height := things[0].Width, things[0].Height
		for method, masks := range map[string][]*mask.Mask{judged: proposed, boxes: spread(width, height, opts.Count)} {
			for _, thing := range things {
				best, err := bestOverlap(thing.Mask, masks)
				if err != nil {
					return nil, fmt.Errorf("photo %s: %w", photo.Image, err)
				}
				found := 0.0
				if best >= 0.5 {
					found = 1
				}
				numbers[method]["recall_50"] = append(numbers[method]["recall_50"], found)
				numbers[method]["best_iou"] = append(numbers[method]["best_iou"], best)
			}
		}
		for range things {
			groups = append(groups, i)
		}
	}
	if len(groups) == 0 {
		return nil, fmt.Errorf("no photo of %s has a thing with an outline that covers enough of it", set.Name)
	}
	report := newPhotoReport("proposals", len(groups), "things with an outline", &opts.PhotoOptions)
	report.Settings["proposals"], report.Settings["proposed"] = fmt.Sprint(opts.Count), fmt.Sprint(count)
	report.compare(judged, numbers, groups, opts.Seed)
	report.Seconds = opts.now().Sub(start).Seconds()
	return report, nil
}

// bestOverlap is the largest IoU of a thing and the masks, which are fitted to its size.
func bestOverlap(thing *mask.Mask, masks []*mask.Mask) (best float64, err error) {
	for _, m := range masks {
		if m, err = m.Fit(thing.Width, thing.Height); err != nil {
			return 0, err
		}
		overlap, err := mask.IoU(thing, m)
		if err != nil {
			return 0, err
		}
		best = max(best, overlap)
	}
	return best, nil
}

// spread returns at most count boxes: of three quarters of the sides, four of them, of halves, nine, and of thirds,
// twenty-five, each size evenly spread.
func spread(width, height, count int) (boxes []*mask.Mask) {
	for _, s := range []struct {
		share float64
		n     int
	}{{0.75, 2}, {0.5, 3}, {1.0 / 3, 5}} {
		w, h := s.share*float64(width), s.share*float64(height)
		for i := range s.n * s.n {
			if len(boxes) == count {
				return boxes
			}
			x := float64(i%s.n) / float64(s.n-1) * (float64(width) - w)
			y := float64(i/s.n) / float64(s.n-1) * (float64(height) - h)
			if m, err := mask.Box(width, height, x, y, x+w, y+h); err == nil { // a picture of a few pixels has few boxes
				boxes = append(boxes, m)
			}
		}
	}
	return boxes
}
