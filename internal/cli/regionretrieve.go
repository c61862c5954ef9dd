package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"evident"
)

// retrieveOptions are the flags of region retrieve.
type retrieveOptions struct {
	regionOptions
	in        string
	top       int
	proposals int
	out       string
}

func (a *app) regionRetrieveCommand() *cobra.Command {
	var o retrieveOptions
	cmd := &cobra.Command{
		Use:   "retrieve IMAGE",
		Short: "Find a region's thing in other pictures",
		Long: `Find the pictures of an index that show the same thing as a region of this picture, and where in each:
the point where LeGrad's map of the region's vector is strongest, and the box around where it is at
least half as strong. --out writes these maps.

With --regions, pictures are looked through for regions that could be things, and ranked by the one
that is most alike.`,
		Example: `  evident region retrieve photo.jpg --mask dog.png --in ~/photos
  evident region retrieve photo.jpg --box 120,40,310,290 --regions -k 5 --out maps/
  evident region retrieve photo.jpg --propose=3 --json -d idx | jq -r '.regions[].hits[].path'`,
		Annotations: exitCodes("0 found · 1 nothing found · 2 error · 10 no index · 12 model missing"),
		Args:        onePicture("retrieve"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runRegionRetrieve(cmd.Context(), args[0], o)
		},
	}
	o.addFlags(cmd, "mask-inversion; patches with --regions")
	f := cmd.Flags()
	f.StringVar(&o.in, "in", "", "file or folder; index what is new or changed in it first")
	f.IntVarP(&o.top, "top", "k", 5, "pictures to show for each region")
	f.IntVar(&o.proposals, "regions", 0, "compare with regions of the pictures, at most so many in each; --regions alone is 20")
	f.Lookup("regions").NoOptDefVal = "20"
	f.StringVarP(&o.out, "out", "o", "", "folder for a map of each picture that is found")
	return cmd
}

func (a *app) runRegionRetrieve(ctx context.Context, path string, o retrieveOptions) error {
	if err := o.check("retrieve"); err != nil {
		return err
	}
	if o.top < 1 || o.proposals < 0 {
		return usageError("--top is at least 1, and --regions not negative")
	}
	in, err := a.regionInput(ctx, path, &o.regionOptions)
	if err != nil {
		return err
	}
	index, err := a.open(ctx, &source{in: o.in, vision: o.model})
	if err != nil {
		return err
	}
	defer index.Close()
	steps := a.steps(&o.regionOptions)
	r, err := index.RetrieveRegions(ctx, in.photo, in.masks, evident.RetrieveOptions{
		RegionOptions: o.RegionOptions, Top: o.top, Proposals: o.proposals,
	})
	steps.done()
	if err != nil {
		return err
	}
	if err := a.writeRegions(r, in.masks, &o.regionOptions); err != nil {
		return err
	}
	if o.out != "" {
		if err := a.drawRegionHits(r, o.out); err != nil {
			return err
		}
	}
	found := false
	for i := range r.Regions {
		found = found || len(r.Regions[i].Hits) > 0
	}
	err = a.showRegions(r, a.showHits)
	if err == nil && !found {
		return &statusError{exitNothing}
	}
	return err
}

// showHits writes the pictures that were found for a region.
func (a *app) showHits(r *evident.Region) {
	a.describe(r)
	for i := range r.Hits {
		h := &r.Hits[i]
		fmt.Fprintf(a.out.Out, "    %.2f  %s  %s\n", h.Score, a.out.bold(oneLine(h.Path)),
			a.out.faint(fmt.Sprintf("%d × %d", h.Image.Width, h.Image.Height)))
		where := fmt.Sprintf("%s (peak at %d, %d; box %d,%d,%d,%d)", h.Words, h.Peak[0], h.Peak[1],
			h.Box[0], h.Box[1], h.Box[2], h.Box[3])
		if b := h.Region; b != nil {
			where = fmt.Sprintf("region %d,%d,%d,%d", b.Box[0], b.Box[1], b.Box[2], b.Box[3])
		}
		fmt.Fprintf(a.out.Out, "          %s\n", where)
		if h.Map != "" {
			fmt.Fprintf(a.out.Out, "          map: %s\n", oneLine(h.Map))
		}
	}
}

// drawRegionHits writes a map of each picture that was found.
func (a *app) drawRegionHits(r *evident.Regions, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write maps: %w", err)
	}
	names := map[string]bool{}
	for i := range r.Regions {
		region := &r.Regions[i]
		for j := range region.Hits {
			h := &region.Hits[j]
			drawn, err := h.Explanation(region.Mask).Draw(evident.DrawOptions{})
			if err != nil {
				return err
			}
			h.Map = filepath.Join(dir, uniqueName(names, h.Path)+".png")
			if err := a.writeFile(h.Map, func(w io.Writer) error { return encodePNG(w, drawn) }); err != nil {
				return fmt.Errorf("write %s: %w", h.Map, err)
			}
		}
	}
	return nil
}
