package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"evident"
)

// captionOptions are the flags of region caption.
type captionOptions struct {
	regionOptions
	top      int
	captions string // --captions
}

func (a *app) regionCaptionCommand() *cobra.Command {
	var o captionOptions
	cmd := &cobra.Command{
		Use:   "caption IMAGE",
		Short: "Say in words what each region shows",
		Long: `Say in words what each region shows, or without a mask what the whole picture does. A small decoder,
trained on texts alone, reads the region's vector (DeCap, arXiv:2303.03032). --captions chooses the
nearest caption of a file instead, which works with every model that reads texts.

Beside each caption stands how surely the region shows this at all, and how well the caption's own map
fits the mask; --map draws it: where in the picture the caption's text is seen. A caption is a guess in
the words of the photos' captions that were learned, of people and dogs outdoors mostly.`,
		Example: `  evident region caption photo.jpg --mask dog.png
  evident region caption photo.jpg --propose=5 --map said.png --json
  evident region caption photo.jpg
  evident region caption photo.jpg --mask dog.png --captions sentences.txt -k 3`,
		Annotations: exitCodes(regionExitCodes),
		Args:        onePicture("caption"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runRegionCaption(cmd.Context(), args[0], o)
		},
	}
	o.addFlags(cmd, "what names regions best with the model; whole without a mask")
	cmd.Flags().IntVarP(&o.top, "top", "k", 1, "captions of each region")
	cmd.Flags().StringVar(&o.captions, "captions", "", "file with a caption a line: choose the nearest, write none")
	return cmd
}

func (a *app) runRegionCaption(ctx context.Context, path string, o captionOptions) error {
	if err := o.checkValues(); err != nil {
		return err
	}
	if o.top < 1 || o.top > evident.CaptionsMax {
		return usageError("--top %d: 1 to %d", o.top, evident.CaptionsMax)
	}
	opts := evident.CaptionOptions{Count: o.top}
	if o.captions != "" {
		choices, err := linesOf(o.captions)
		if err != nil {
			return fmt.Errorf("read captions: %w", err)
		}
		if len(choices) == 0 {
			return usageError("--captions %s: the file has no lines", o.captions)
		}
		opts.Choices = choices
	}
	in, err := a.regionInput(ctx, path, &o.regionOptions)
	if err != nil {
		return err
	}
	steps := a.steps(&o.regionOptions)
	opts.RegionOptions = o.RegionOptions
	r, err := in.vision.CaptionRegions(ctx, in.photo, in.masks, opts)
	steps.done()
	if err != nil {
		return err
	}
	if err := a.writeRegions(r, in.masks, &o.regionOptions); err != nil {
		return err
	}
	return a.showRegions(r, func(region *evident.Region) {
		a.describe(region)
		for i := range region.Captions {
			c := &region.Captions[i]
			fmt.Fprintf(a.out.Out, "    %.2f  %s  %s\n", c.Score, a.out.bold(oneLine(c.Text)),
				a.out.faint(fmt.Sprintf("its own map fits by %.2f", c.Dice)))
		}
	})
}
