package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"evident"
	"evident/internal/weights"
)

// onePicture accepts one argument, the picture.
func onePicture(command string) cobra.PositionalArgs {
	return oneArgument("IMAGE", fmt.Sprintf("evident region %s photo.jpg --mask dog.png", command))
}

func (a *app) regionEmbedCommand() *cobra.Command {
	var o regionOptions
	var out string
	cmd := &cobra.Command{
		Use:   "embed IMAGE",
		Short: "Make a vector of each region",
		Long: `Make a vector of each region of a picture, by MaskInversion: the vector whose LeGrad map fits the
mask. It compares by cosine with the model's vectors of texts and pictures, and has length 1.`,
		Example: `  evident region embed photo.jpg --mask dog.png -o dog.npy
  evident region embed photo.jpg --mask masks.json -o regions.safetensors --map seen.png
  evident region embed photo.jpg --mask '{"circle": [120, 80, 40]}' --json`,
		Annotations: exitCodes(regionExitCodes),
		Args:        onePicture("embed"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runRegionEmbed(cmd.Context(), args[0], o, out)
		},
	}
	o.addFlags(cmd, evident.RegionInversion)
	cmd.Flags().StringVarP(&out, "out", "o", "",
		"file for the vectors: .npy, .safetensors or .json; - is JSON on stdout")
	return cmd
}

func (a *app) runRegionEmbed(ctx context.Context, path string, o regionOptions, out string) error {
	if err := o.check("embed"); err != nil {
		return err
	}
	write, err := vectorWriter(out)
	if err != nil {
		return err
	}
	in, err := a.regionInput(ctx, path, &o)
	if err != nil {
		return err
	}
	steps := a.steps(&o)
	r, err := in.vision.Regions(ctx, in.photo, in.masks, o.RegionOptions)
	steps.done()
	if err != nil {
		return err
	}
	if err := a.writeRegions(r, in.masks, &o); err != nil {
		return err
	}
	if out == "-" {
		return a.out.printJSON(r)
	}
	if out != "" {
		if err := a.writeFile(out, func(w io.Writer) error { return write(w, r) }); err != nil {
			return fmt.Errorf("write %s: %w", out, err)
		}
	}
	return a.showRegions(r, func(region *evident.Region) {
		a.describe(region)
		if out == "" {
			fmt.Fprintf(a.out.Out, "    %s\n", shortVector(region.Embedding))
		}
	})
}

// shortVector writes the first values of a vector, and how many there are.
func shortVector(v []float32) string {
	const shown = 6
	var b strings.Builder
	for _, x := range v[:min(shown, len(v))] {
		fmt.Fprintf(&b, "%+.4f ", x)
	}
	return fmt.Sprintf("%s… (%d values; -o FILE keeps them)", b.String(), len(v))
}

// vectorWriter returns how vectors are written to a file of this name.
func vectorWriter(path string) (func(io.Writer, *evident.Regions) error, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".npy":
		return writeNPY, nil
	case ".safetensors":
		return writeSafetensors, nil
	case ".json":
		return func(w io.Writer, r *evident.Regions) error {
			return (&output{Streams: Streams{Out: w}}).printJSON(r)
		}, nil
	}
	if path == "" || path == "-" {
		return nil, nil
	}
	return nil, usageError("--out %s: the name ends in .npy, .safetensors or .json", path)
}

// writeNPY writes float32 [regions, values].
func writeNPY(w io.Writer, r *evident.Regions) error {
	array, err := weights.NewNPYWriter(w, len(r.Regions), len(r.Regions[0].Embedding))
	if err != nil {
		return err
	}
	for i := range r.Regions {
		if err := array.Write(r.Regions[i].Embedding); err != nil {
			return err
		}
	}
	return array.Close()
}

// writeSafetensors writes float32 "embeddings" [regions, values] and "dice" [regions]; the metadata names model,
// method and, in order, the regions.
func writeSafetensors(w io.Writer, r *evident.Regions) error {
	var vectors, dice []float32
	metadata := map[string]string{"model": r.Model, "method": r.Method, "picture": r.Path}
	for i, region := range r.Regions {
		vectors, dice = append(vectors, region.Embedding...), append(dice, float32(region.Dice))
		metadata["region."+strconv.Itoa(i)] = region.Mask
	}
	return weights.Write(w, map[string]weights.Tensor{
		"embeddings": weights.FromFloat32(vectors, len(r.Regions), len(vectors)/len(r.Regions)),
		"dice":       weights.FromFloat32(dice, len(dice)),
	}, metadata)
}

func (a *app) regionClassifyCommand() *cobra.Command {
	var o regionOptions
	var labels []string
	var top int
	cmd := &cobra.Command{
		Use:   "classify IMAGE",
		Short: "Rank labels for each region",
		Long: `Rank labels for each region: which of them it most likely is, and with which probability it is that
one and none of the others. Of a single label, how surely it is seen in the region at all.

Vectors are made by the method that names regions best with the model: of the built-in one a
combination of MaskInversion with others, chosen on photos that figures are not reported on.
--method mask-inversion is the pure method.`,
		Example: `  evident region classify photo.jpg --mask dog.png --labels dog,horse,cat
  evident region classify photo.jpg --mask masks.json --labels @names.txt --json
  evident region classify photo.jpg --box 10,20,200,180 --labels "brown dog,white dog" --prompt "a {} outdoors"`,
		Annotations: exitCodes(regionExitCodes),
		Args:        onePicture("classify"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runRegionClassify(cmd.Context(), args[0], o, labels, top)
		},
	}
	o.addFlags(cmd, "what names regions best with the model")
	cmd.Flags().StringSliceVar(&labels, "labels", nil, "labels to choose from, or @FILE with one a line")
	cmd.Flags().StringArrayVar(&o.Prompt, "prompt", nil,
		`template that labels are asked in, e.g. "a photo of a {}"; several are averaged (default: the model's)`)
	cmd.Flags().IntVarP(&top, "top", "k", 5, "labels to show of a region; JSON has all")
	return cmd
}

func (a *app) runRegionClassify(ctx context.Context, path string, o regionOptions, labels []string, top int) error {
	if err := o.check("classify"); err != nil {
		return err
	}
	if top < 1 {
		return usageError("--top %d: at least 1", top)
	}
	if len(labels) == 0 {
		return &hintError{
			usageError("there is no label to choose from"),
			"for example: evident region classify photo.jpg --mask dog.png --labels dog,horse,cat",
		}
	}
	labels, err := listed(labels)
	if err != nil {
		return err
	}
	in, err := a.regionInput(ctx, path, &o)
	if err != nil {
		return err
	}
	steps := a.steps(&o)
	r, err := in.vision.ClassifyRegions(ctx, in.photo, in.masks, labels, o.RegionOptions)
	steps.done()
	if err != nil {
		return err
	}
	if err := a.writeRegions(r, in.masks, &o); err != nil {
		return err
	}
	return a.showRegions(r, func(region *evident.Region) {
		a.describe(region)
		for _, l := range region.Labels[:min(top, len(region.Labels))] {
			fmt.Fprintf(a.out.Out, "    %.2f  %s\n", l.Score, oneLine(l.Text))
		}
	})
}

// listed replaces @FILE by the file's lines.
func listed(labels []string) (all []string, err error) {
	for _, label := range labels {
		name, ok := strings.CutPrefix(label, "@")
		if !ok {
			all = append(all, label)
			continue
		}
		lines, err := linesOf(name)
		if err != nil {
			return nil, fmt.Errorf("read labels: %w", err)
		}
		all = append(all, lines...)
	}
	if len(all) == 0 {
		return nil, usageError("--labels: the files have no lines")
	}
	return all, nil
}

// linesOf returns the lines of a file that are not blank.
func linesOf(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, plainCause(err))
	}
	defer file.Close()
	var all []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" {
			all = append(all, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

func (a *app) regionMatchCommand() *cobra.Command {
	var o regionOptions
	cmd := &cobra.Command{
		Use:   "match IMAGE EXPRESSION…",
		Short: "Say which region an expression means",
		Long: `Say which of the regions each expression means, and which expression fits each region best. An
expression that no region shows means none of them. JSON has both rankings.

The built-in model knows what things are, not where: "the dog on the left" of two dogs is a guess.`,
		Example: `  evident region match photo.jpg "the brown dog" "a child" --mask masks.json
  evident region match photo.jpg "a red car" --mask cars.png#all --json | jq -r '.matches[0].mask'`,
		Annotations: exitCodes("0 found · 1 no region fits any of the expressions · 2 error · 12 model missing · 13 model damaged"),
		Args:        cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runRegionMatch(cmd.Context(), args, o)
		},
	}
	o.addFlags(cmd, "what names regions best with the model")
	cmd.Flags().StringArrayVar(&o.Prompt, "prompt", nil,
		`template that expressions are asked in, e.g. "a photo of {}"; several are averaged (default: as they are)`)
	return cmd
}

func (a *app) runRegionMatch(ctx context.Context, args []string, o regionOptions) error {
	if len(args) < 2 {
		return &hintError{
			usageError("evident region match needs a picture and an expression"),
			`for example: evident region match photo.jpg "the brown dog" --mask masks.json`,
		}
	}
	if err := o.check("match"); err != nil {
		return err
	}
	in, err := a.regionInput(ctx, args[0], &o)
	if err != nil {
		return err
	}
	steps := a.steps(&o)
	r, err := in.vision.MatchRegions(ctx, in.photo, in.masks, args[1:], o.RegionOptions)
	steps.done()
	if err != nil {
		return err
	}
	if err := a.writeRegions(r, in.masks, &o); err != nil {
		return err
	}
	err = a.showRegions(r, func(region *evident.Region) {
		a.describe(region)
		fmt.Fprintf(a.out.Out, "    best fits: %s\n", oneLine(region.Labels[0].Text))
	})
	found := false
	for i := range r.Matches {
		m := &r.Matches[i]
		found = found || m.Mask != ""
		if !a.out.json {
			a.showMatch(m)
		}
	}
	if err == nil && !found {
		return &statusError{exitNothing}
	}
	return err
}

// showMatch writes which region an expression means.
func (a *app) showMatch(m *evident.Match) {
	if m.Mask == "" {
		fmt.Fprintf(a.out.Out, "%s: no region shows it (nearest: %s, seen %.0f %%)\n",
			a.out.bold(oneLine(m.Text)), oneLine(m.Ranking[0].Mask), 100*m.Presence)
		return
	}
	fmt.Fprintf(a.out.Out, "%s: %s  %.2f\n", a.out.bold(oneLine(m.Text)), oneLine(m.Mask), m.Ranking[0].Score)
}

// numbers reads so many numbers, separated by commas.
func numbers(text string, n int) ([]float64, error) {
	parts := strings.Split(text, ",")
	if len(parts) != n {
		return nil, fmt.Errorf("%d numbers, want %d", len(parts), n)
	}
	values := make([]float64, n)
	for i, part := range parts {
		v, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no number", part)
		}
		values[i] = v
	}
	return values, nil
}
