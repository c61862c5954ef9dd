// Command captionsettings chooses how the decoder of captions reads vectors: on which texts of its memory they are
// projected and how sharply, and how captions are searched for; on photos that may choose, never on those that figures
// are reported on. It writes the member "reading" of the decoder's config.json.
//
//	go run ./tools/captionsettings -flickr flickr8k.tar -coco coco-seg.tar -voc voc2007-boxes.tar models/vision-192
//
// Pictures choose by CIDEr; first the projection, then the search. Regions, by the method that names them best, choose by the
// share of captions that name the class, each set by an equal share, at the search that pictures chose.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"evident"
	"evident/eval"
	"evident/eval/photos"
	"evident/eval/viewer"
	"evident/internal/mask"
	"evident/internal/region"
	"evident/model/caption"
)

func main() {
	log.SetFlags(0)
	flickr := flag.String("flickr", "", "photos with captions")
	coco := flag.String("coco", "", "photos with outlines")
	voc := flag.String("voc", "", "photos with boxes")
	limit := flag.Int("limit", 400, "photos with captions at most")
	flag.Parse()
	if flag.NArg() != 1 || *flickr == "" || *coco == "" || *voc == "" {
		log.Fatal("captionsettings: name three sets and the folder of the vision-language model")
	}
	c := &chooser{folder: flag.Arg(0), limit: *limit}
	if err := c.run(context.Background(), *flickr, []string{*coco, *voc}); err != nil {
		log.Fatalf("captionsettings: %v", err)
	}
}

// chooser knows the model.
type chooser struct {
	folder  string
	limit   int
	viewer  *viewer.Viewer
	decoder *caption.Decoder
}

func (c *chooser) run(ctx context.Context, captioned string, outlined []string) error {
	v, err := evident.OpenVision(ctx, evident.VisionOptions{Model: os.DirFS(c.folder), Name: c.folder})
	if err != nil {
		return err
	}
	if c.decoder, err = v.CaptionDecoder(); err != nil {
		return err
	}
	if c.viewer, err = viewer.New(v.Model(), viewer.Options{}); err != nil {
		return err
	}
	pictures := func(readings []caption.Reading) ([]float64, error) {
		return c.measure(ctx, captioned, "cider", readings)
	}
	regions := func(readings []caption.Reading) ([]float64, error) {
		means := make([]float64, len(readings))
		for _, path := range outlined {
			named, err := c.measure(ctx, path, "named", readings)
			if err != nil {
				return nil, err
			}
			for i, share := range named {
				means[i] += share / float64(len(outlined))
			}
		}
		return means, nil
	}
	reading := caption.Reading{Beams: 3, LengthPower: 0.7}
	for kind := range reading.Projections {
		reading.Projections[kind] = caption.Projection{Memory: []string{"captions"}, Temperature: 0.02}
	}
	of := [][]string{{"captions"}, {"captions", "phrases"}}
	if reading, err = best("cider", projections(reading, caption.Picture, of), pictures); err != nil {
		return err
	}
	if reading, err = best("cider", searches(reading), pictures); err != nil {
		return err
	}
	of = [][]string{{"names"}, {"phrases"}, {"names", "phrases"}, {"captions", "names", "phrases"}}
	if reading, err = best("named", projections(reading, caption.Region, of), regions); err != nil {
		return err
	}
	return c.write(reading)
}

// projections are readings that differ in how vectors of a kind are projected.
func projections(from caption.Reading, kind caption.Kind, memories [][]string) []caption.Reading {
	var all []caption.Reading
	for _, memory := range memories {
		for _, temperature := range []float64{0.005, 0.01, 0.015, 0.02, 0.03, 0.05} {
			r := from
			r.Projections[kind] = caption.Projection{Memory: memory, Temperature: temperature}
			all = append(all, r)
		}
	}
	return all
}

// searches are readings that differ in how captions are searched for.
func searches(from caption.Reading) []caption.Reading {
	var all []caption.Reading
	for _, beams := range []int{1, 2, 3, 5} {
		for _, power := range []float64{0, 0.7, 1, 1.3} {
			r := from
			r.Beams, r.LengthPower = beams, power
			if beams > 1 || power == 0 { // one beam has nothing to compare
				all = append(all, r)
			}
		}
	}
	return all
}

// best returns the reading that measures highest, the first of equal ones, and prints all.
func best(
	metric string, readings []caption.Reading, measure func([]caption.Reading) ([]float64, error),
) (caption.Reading, error) {
	values, err := measure(readings)
	if err != nil {
		return caption.Reading{}, err
	}
	for i, r := range readings {
		fmt.Fprintf(os.Stderr, "%s %6.2f  %s\n", metric, values[i], name(r))
	}
	return readings[slices.Index(values, slices.Max(values))], nil
}

// name says what a reading is, and tells it from all others.
func name(r caption.Reading) string {
	var parts []string
	for kind, p := range r.Projections {
		parts = append(parts, fmt.Sprintf("%s on %s at %g", caption.Kind(kind), strings.Join(p.Memory, "+"), p.Temperature))
	}
	return fmt.Sprintf("%s; %d beams, power %g", strings.Join(parts, "; "), r.Beams, r.LengthPower)
}

// measure returns a metric of captions of a set's photos that may choose, for each reading.
func (c *chooser) measure(ctx context.Context, path, metric string, readings []caption.Reading) ([]float64, error) {
	set, err := photos.Open(path)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	if err := outline(set); err != nil {
		return nil, err
	}
	var ways []viewer.Way
	for _, r := range readings {
		decoder, err := c.decoder.With(r)
		if err != nil {
			return nil, err
		}
		ways = append(ways, viewer.Way{Name: name(r), By: decoder})
	}
	method := string(region.Combined)
	captioner, err := c.viewer.Captioner(ctx, region.Options{}, ways, method)
	if err != nil {
		return nil, err
	}
	report, err := eval.RunCaptioning(ctx, set, captioner, eval.PhotoOptions{
		Options: eval.Options{Limit: c.limit, Seed: 1}, Part: photos.Choose,
	})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "%s: %d %s\n", set.Name, report.N, report.Unit)
	values := []float64{report.Metrics[metric]}
	for _, r := range readings[1:] {
		found := false
		for _, of := range []string{"whole", method} { // pictures and regions are called after how their vectors are made
			if numbers, ok := report.Baselines[of+", "+name(r)]; ok {
				values, found = append(values, numbers[metric]), true
			}
		}
		if !found {
			return nil, fmt.Errorf("the report has nothing of %s", name(r))
		}
	}
	return values, nil
}

// outline makes outlines of boxes, where a set has only those.
func outline(set *photos.Set) error {
	for i := range set.Photos {
		p := &set.Photos[i]
		if len(p.Masks) > 0 {
			continue
		}
		for _, b := range p.Boxes {
			m, err := mask.Box(p.Width, p.Height, b.Box[0], b.Box[1], b.Box[2], b.Box[3])
			if err != nil {
				return fmt.Errorf("photo %s: %w", p.Image, err)
			}
			p.Masks = append(p.Masks, photos.Object{Class: b.Class, RLE: *m.RLE()})
		}
	}
	return nil
}

// write replaces the reading in config.json.
func (c *chooser) write(r caption.Reading) error {
	path := filepath.Join(c.folder, "caption", "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	projection := func(kind caption.Kind) map[string]any {
		p := r.Projections[kind]
		return map[string]any{"memory": p.Memory, "temperature": p.Temperature}
	}
	reading, err := json.MarshalIndent(map[string]any{
		"picture": projection(caption.Picture), "region": projection(caption.Region),
		"beams": r.Beams, "length_power": r.LengthPower,
	}, " ", " ")
	if err != nil {
		return err
	}
	at := bytes.LastIndex(data, []byte(`"reading": `))
	if at < 0 {
		return fmt.Errorf("%s has no member reading", path)
	}
	data = append(data[:at], fmt.Sprintf("\"reading\": %s\n}\n", reading)...)
	if !json.Valid(data) {
		return fmt.Errorf("%s: reading is not its last member", path)
	}
	return os.WriteFile(path, data, 0o644)
}
