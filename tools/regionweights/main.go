// Command regionweights chooses how the vectors that methods make of a region are added up so that regions are named
// best, and what cosines are multiplied by to become logits: on photos that may choose, never on those that
// figures are reported on. It prints the member "regions" of a model's config.json.
//
//	go run ./tools/regionweights -coco coco-seg.tar -voc voc2007-boxes.tar
//
// COCO's things have outlines, VOC's boxes; each set counts by half. What is maximised is the mean log-likelihood
// of the right name among the set's, for it tells more on few things than the share named rightly.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"maps"
	"math"
	"os"
	"slices"

	"evident"
	"evident/eval/photos"
	"evident/internal/mask"
	"evident/internal/picture"
	"evident/internal/region"
	"evident/model/vision"
)

func main() {
	log.SetFlags(0)
	coco := flag.String("coco", "", "photos with outlines")
	voc := flag.String("voc", "", "photos with boxes")
	part := flag.String("part", string(photos.Choose), "which photos choose")
	flag.Parse()
	if err := run(context.Background(), []string{*coco, *voc}, *part); err != nil {
		log.Fatalf("regionweights: %v", err)
	}
}

// things are the regions of a set: what methods make of each, and which name is right.
type things struct {
	vectors map[region.Method][][]float32
	names   [][]float32
	right   []int
}

func run(ctx context.Context, paths []string, part string) error {
	v, err := evident.OpenVision(ctx, evident.VisionOptions{})
	if err != nil {
		return err
	}
	var sets []*things
	for _, path := range paths {
		if path == "" {
			continue
		}
		t, err := look(ctx, v.Model(), path, photos.Part(part))
		if err != nil {
			return err
		}
		sets = append(sets, t)
	}
	if len(sets) == 0 {
		return fmt.Errorf("name a set with -coco or -voc")
	}
	scales := map[string]float64{}
	for _, m := range region.Methods() {
		if m == region.Combined {
			continue
		}
		scales[string(m)] = report(sets, m, map[region.Method]float64{m: 1})
	}
	weights := choose(sets)
	scales[string(region.Combined)] = report(sets, region.Combined, weights)
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	return encoder.Encode(map[string]any{"regions": map[string]any{"weights": weights, "scales": scales}})
}

// report says how well a combination names things, and returns its scale, rounded.
func report(sets []*things, name region.Method, weights map[region.Method]float64) float64 {
	scale, likelihood := fit(sets, weights)
	fmt.Fprintf(os.Stderr, "%-15s scale %5.1f  log-likelihood %.4f  named rightly %s\n",
		name, scale, likelihood, accuracy(sets, weights))
	return math.Round(scale*10) / 10
}

// look makes the vectors of all things of a set that cover 1 % of their photo.
func look(ctx context.Context, model *vision.Model, path string, part photos.Part) (*things, error) {
	set, err := photos.Open(path)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	chosen, err := set.Select(part, 0, 1)
	if err != nil {
		return nil, err
	}
	seer, err := region.New(ctx, model, region.Options{})
	if err != nil {
		return nil, err
	}
	classes := set.Things()
	if len(classes) == 0 {
		classes = boxed(set)
	}
	t := &things{vectors: map[region.Method][][]float32{}}
	for _, class := range classes {
		texts, err := model.EncodeTexts(ctx, []string{prompt(model, photos.Spoken(class))})
		if err != nil {
			return nil, err
		}
		t.names = append(t.names, texts[0].Embedding)
	}
	for _, p := range chosen {
		if err := t.add(ctx, set, p, seer, classes); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Image, err)
		}
	}
	fmt.Fprintf(os.Stderr, "%s: %d things in %d photos, %d names\n", set.Name, len(t.right), len(chosen), len(classes))
	return t, nil
}

func prompt(model *vision.Model, name string) string {
	return string(bytes.ReplaceAll([]byte(model.Prompt), []byte("{}"), []byte(name)))
}

func boxed(set *photos.Set) []string {
	names := map[string]bool{}
	for _, p := range set.Photos {
		for _, b := range p.Boxes {
			names[b.Class] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func (t *things) add(ctx context.Context, set *photos.Set, p *photos.Photo, seer *region.Seer, classes []string) error {
	data, err := set.Read(p)
	if err != nil {
		return err
	}
	im, err := picture.Decode(bytes.NewReader(data), picture.Options{})
	if err != nil {
		return err
	}
	regions, err := p.Instances()
	if err != nil {
		return err
	}
	if len(p.Masks) == 0 {
		for _, b := range p.Boxes {
			m, err := mask.Box(im.Width, im.Height, b.Box[0], b.Box[1], b.Box[2], b.Box[3])
			if err != nil {
				return err
			}
			regions = append(regions, mask.Region{Name: b.Class, Mask: m})
		}
	}
	var masks []*mask.Mask
	for _, r := range regions {
		if 100*r.Area() < r.Width*r.Height {
			continue
		}
		fitted, err := r.Fit(im.Width, im.Height)
		if err != nil {
			return err
		}
		masks = append(masks, fitted)
		t.right = append(t.right, slices.Index(classes, r.Name))
	}
	if len(masks) == 0 {
		return nil
	}
	looked, err := seer.Look(im, masks)
	if err != nil {
		return err
	}
	for _, m := range region.Methods() {
		if m == region.Combined {
			continue
		}
		vectors, err := looked.Vectors(ctx, m)
		if err != nil {
			return err
		}
		t.vectors[m] = append(t.vectors[m], vectors...)
	}
	return nil
}
