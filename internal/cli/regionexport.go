package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"evident"
)

// exportOptions are the flags of region export.
type exportOptions struct {
	regionOptions
	form      string
	out       string
	dtype     string
	side      int
	unchecked bool
}

func (a *app) regionExportCommand() *cobra.Command {
	var o exportOptions
	var forms strings.Builder
	for _, f := range evident.ExportForms() {
		encoder := "any model"
		if f.Encoder != "" {
			encoder = "vectors of " + f.Encoder
		}
		fmt.Fprintf(&forms, "\n  %-20s %s; %s", f.Name, f.For, encoder)
	}
	cmd := &cobra.Command{
		Use:   "export IMAGE",
		Short: "Write a region's vector as image generators take it",
		Long: `Write the vectors of regions in the form that image generators take which are conditioned on an
image's vector, with where in the picture each is seen as a spatial mask beside it, as safetensors.

A generator understands the vectors of the one encoder that it was trained with, and of no other:
those of the built-in model fit none. docs/generation.md has recipes. The forms:` + forms.String(),
		Example: `  evident region export photo.jpg --mask dog.png --form unclip -m openai/clip-vit-large-patch14 -o dog.safetensors
  evident region export photo.jpg --mask masks.json -o regions.safetensors --dtype float16`,
		Annotations: exitCodes(regionExitCodes),
		Args:        onePicture("export"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runRegionExport(cmd.Context(), args[0], o)
		},
	}
	o.addFlags(cmd, evident.RegionInversion)
	f := cmd.Flags()
	f.StringVar(&o.form, "form", "plain", "which generators take it, see above")
	f.StringVarP(&o.out, "out", "o", "", "safetensors file to write; - is stdout")
	f.StringVar(&o.dtype, "dtype", "float32", "float32 or float16")
	f.IntVar(&o.side, "side", 512, "longest side of the maps beside the vectors, in pixels")
	f.BoolVar(&o.unchecked, "unchecked", false, "write it also where the model is not the generators' encoder")
	return cmd
}

func (a *app) runRegionExport(ctx context.Context, path string, o exportOptions) error {
	if err := o.check("export"); err != nil {
		return err
	}
	switch {
	case o.out == "":
		return &hintError{
			usageError("there is no file to write to"),
			"for example: evident region export photo.jpg --mask dog.png -o dog.safetensors",
		}
	case o.dtype != "float32" && o.dtype != "float16":
		return usageError("--dtype %s: float32 or float16", o.dtype)
	case o.out == "-" && a.out.json:
		return usageError("stdout takes the file or JSON, not both")
	}
	in, err := a.regionInput(ctx, path, &o.regionOptions)
	if err != nil {
		return err
	}
	steps := a.steps(&o.regionOptions)
	e, err := in.vision.ExportRegions(ctx, in.photo, in.masks, evident.ExportOptions{
		RegionOptions: o.RegionOptions, Form: o.form, Half: o.dtype == "float16", Side: o.side, Unchecked: o.unchecked,
	})
	steps.done()
	var misfit *evident.ExportError
	if errors.As(err, &misfit) {
		return &hintError{err, fmt.Sprintf("fetch it with %q and name it with --model; docs/generation.md has recipes",
			"evident model pull "+misfit.Form.Pull)}
	}
	if err != nil {
		return err
	}
	if err := a.writeRegions(e.Regions, in.masks, &o.regionOptions); err != nil {
		return err
	}
	if err := a.writeFile(o.out, func(w io.Writer) error { return e.Write(w) }); err != nil {
		return fmt.Errorf("write %s: %w", o.out, err)
	}
	if o.out == "-" {
		return nil
	}
	if a.out.json {
		return a.out.printJSON(e)
	}
	err = a.showRegions(e.Regions, a.describe)
	fmt.Fprintf(a.out.Out, "%s: %s\n", a.out.bold(oneLine(o.out)), e.Describe())
	return err
}
