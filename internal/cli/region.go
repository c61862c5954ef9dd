package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"evident"
)

// regionOptions are the flags that the commands of region share.
type regionOptions struct {
	evident.RegionOptions
	model     string
	masks     []string // --mask
	boxes     []string // --box
	propose   int      // --propose
	maps      string   // --map
	masksOut  string
	maxPixels int
}

func (a *app) regionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "region",
		Short: "Name, compare or export parts of a picture, told by masks",
		Long: `Make a vector of a part of a picture by MaskInversion (arXiv:2407.20034), and use it: rank labels,
find the part that an expression means, say in words what it shows, find the same thing in other
pictures, keep the vector, hand it to an image generator.

A mask is a PNG, or JSON with COCO's run lengths or polygons, boxes, circles or points; "evident help
masks" shows how they are written. Without one, --propose finds regions that could be things.`,
		Example: `  evident region classify photo.jpg --mask dog.png --labels dog,horse,cat
  evident region match photo.jpg "the brown dog" --mask masks.json
  evident region caption photo.jpg --propose --map said.png
  evident region classify photo.jpg --propose --labels dog,person,car --masks-out found.json
  evident region embed photo.jpg --box 120,40,310,290 -o dog.npy`,
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(
		a.regionEmbedCommand(), a.regionClassifyCommand(), a.regionMatchCommand(), a.regionRetrieveCommand(),
		a.regionCaptionCommand(), a.regionExportCommand(),
	)
	var names []string
	for _, use := range cmd.Commands() {
		names = append(names, use.Name())
	}
	cmd.Args = func(_ *cobra.Command, args []string) error {
		uses := "what it can do: " + strings.Join(names, ", ")
		if len(args) == 0 {
			return &hintError{usageError("evident region needs to know what to do"), uses}
		}
		return &hintError{usageError("unknown use of a region %q", args[0]), uses}
	}
	return cmd
}

const regionExitCodes = "0 done · 2 error · 12 model missing · 13 model damaged"

func (o *regionOptions) addFlags(cmd *cobra.Command, method string) {
	f := cmd.Flags()
	f.StringArrayVar(&o.masks, "mask", nil,
		`a mask: PNG or JSON file, JSON itself, or - for stdin; FILE#3 is one object of a palette, FILE#all each`)
	f.StringArrayVar(&o.boxes, "box", nil, "a rectangle as mask: LEFT,TOP,RIGHT,BOTTOM in pixels")
	f.IntVar(&o.propose, "propose", 0, "find regions that could be things, at most so many; --propose alone finds up to 10")
	f.Lookup("propose").NoOptDefVal = "10"
	f.StringVarP(&o.model, "model", "m", "", "folder or name of a vision-language model or image classifier")
	f.StringVar(&o.Method, "method", "", "how vectors are made: "+strings.Join(evident.RegionMethods(), ", ")+
		" (default: "+method+")")
	f.IntVar(&o.Size, "size", 0, "pixels a side that the model looks at; 0 is the model's choice")
	f.IntVar(&o.Steps, "steps", 0, "of MaskInversion, at most; 0 is the model's choice")
	f.Float64Var(&o.Alpha, "alpha", 0,
		"how strongly MaskInversion holds on to the whole picture; 0 is the model's choice, -1 not at all")
	f.Float64Var(&o.Stride, "stride", 0,
		"length of MaskInversion's first step, as a share of its start's; 0 is the model's choice")
	f.IntSliceVar(&o.Layers, "layers", nil, "layers whose maps MaskInversion adds, from 0; default: the model's choice")
	f.StringVar(&o.maps, "map", "", "PNG to write: where in the picture each vector is seen")
	f.StringVar(&o.masksOut, "masks-out", "", "write the masks: to FILE.json as run lengths, or as PNG to a folder")
	f.IntVar(&o.maxPixels, "max-pixels", evident.PixelsMax, "a larger picture is refused, unread")
}

// check finds wrong values, and that no region is told, before anything is read.
func (o *regionOptions) check(command string) error {
	if err := o.checkValues(); err != nil {
		return err
	}
	if !o.tells() {
		example := fmt.Sprintf("for example: evident region %s photo.jpg --mask dog.png", command)
		return &hintError{usageError("there is no mask"), example + "; or --box LEFT,TOP,RIGHT,BOTTOM; or --propose"}
	}
	return nil
}

// tells says whether the flags tell any region.
func (o *regionOptions) tells() bool { return len(o.masks)+len(o.boxes)+o.propose > 0 }

func (o *regionOptions) checkValues() error {
	switch {
	case o.propose < 0:
		return usageError("--propose=%d is negative", o.propose)
	case o.Steps < 0 || o.Stride < 0:
		return usageError("--steps and --stride cannot be negative")
	case o.Method != "" && !slices.Contains(evident.RegionMethods(), o.Method):
		return usageError("--method %s: there are %s", o.Method, strings.Join(evident.RegionMethods(), ", "))
	case o.maxPixels < 1:
		return usageError("--max-pixels %d: at least 1", o.maxPixels)
	}
	return nil
}

// steps shows the steps of MaskInversion while they are taken; done ends it.
func (a *app) steps(o *regionOptions) *progress {
	bar := a.out.progress("steps")
	o.Progress = func(s evident.RegionStep) { bar.count(s.Step, s.Steps) }
	return bar
}

// regionInput is what the commands of region look at.
type regionInput struct {
	vision *evident.Vision
	photo  *evident.Photo
	masks  []evident.Mask
}

// regionInput reads picture, masks and model, in this order: what is wrong with what was typed is said first.
func (a *app) regionInput(ctx context.Context, path string, o *regionOptions) (*regionInput, error) {
	photo, err := evident.OpenPhoto(path, evident.PhotoOptions{PixelsMax: o.maxPixels})
	if err != nil {
		return nil, err
	}
	masks, err := a.readMasks(photo, o)
	if err != nil {
		return nil, err
	}
	vision, err := a.openVision(ctx, o.model)
	if err != nil {
		return nil, err
	}
	if o.propose > 0 {
		found, err := vision.Propose(ctx, photo, evident.ProposeOptions{Count: o.propose, Size: o.Size})
		if err != nil {
			return nil, err
		}
		if masks = append(masks, found...); len(masks) == 0 {
			return nil, &hintError{
				fmt.Errorf("look at %s: no region in it stands out", path), "tell regions with --mask or --box",
			}
		}
	}
	return &regionInput{vision, photo, masks}, nil
}

// readMasks reads the masks of --mask and --box.
func (a *app) readMasks(photo *evident.Photo, o *regionOptions) (masks []evident.Mask, err error) {
	for _, named := range o.masks {
		var found []evident.Mask
		switch head := strings.TrimSpace(named); {
		case named == "-":
			data, err := io.ReadAll(a.streams.In)
			if err != nil {
				return nil, fmt.Errorf("read mask from stdin: %w", err)
			}
			found, err = evident.ParseMasks(data, "stdin", photo)
			if err != nil {
				return nil, err
			}
		case strings.HasPrefix(head, "{"), strings.HasPrefix(head, "["):
			found, err = evident.ParseMasks([]byte(named), "region", photo)
		default:
			found, err = evident.OpenMasks(named, photo)
		}
		if err != nil {
			return nil, err
		}
		masks = append(masks, found...)
	}
	for _, box := range o.boxes {
		m, err := boxMask(photo, box)
		if err != nil {
			return nil, err
		}
		masks = append(masks, m)
	}
	return masks, nil
}

// boxMask reads a rectangle.
func boxMask(photo *evident.Photo, box string) (evident.Mask, error) {
	sides, err := numbers(box, 4)
	if err != nil {
		return evident.Mask{}, usageError("--box %s: %v; want LEFT,TOP,RIGHT,BOTTOM in pixels", box, err)
	}
	return evident.BoxMask(photo, "box "+box, sides[0], sides[1], sides[2], sides[3])
}

// writeRegions writes the files that every command of region can.
func (a *app) writeRegions(r *evident.Regions, masks []evident.Mask, o *regionOptions) error {
	if o.maps != "" {
		drawn, err := r.Draw(evident.DrawOptions{})
		if err != nil {
			return err
		}
		if err := a.writeFile(o.maps, func(w io.Writer) error { return encodePNG(w, drawn) }); err != nil {
			return fmt.Errorf("write %s: %w", o.maps, err)
		}
	}
	if o.masksOut == "" {
		return nil
	}
	if o.masksOut == "-" || strings.EqualFold(filepath.Ext(o.masksOut), ".json") {
		err := a.writeFile(o.masksOut, func(w io.Writer) error { return evident.WriteMasks(w, masks) })
		if err != nil {
			return fmt.Errorf("write %s: %w", o.masksOut, err)
		}
		return nil
	}
	if err := os.MkdirAll(o.masksOut, 0o755); err != nil {
		return fmt.Errorf("write masks: %w", err)
	}
	names := map[string]bool{}
	for _, m := range masks {
		path := filepath.Join(o.masksOut, uniqueName(names, fileName(m.Name))+".png")
		if err := a.writeFile(path, m.WritePNG); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

// fileName makes a name of a file of a mask's: what could lead elsewhere becomes a dash, and it has no ending to be cut.
func fileName(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|.`, r) {
			return '-'
		}
		return r
	}, name)
	if clean == "" {
		return "region"
	}
	return clean
}

// showRegions prints what was made of regions: JSON, or the text that show writes of each.
func (a *app) showRegions(r *evident.Regions, show func(*evident.Region)) error {
	if a.out.json {
		return a.out.printJSON(r)
	}
	fmt.Fprintf(a.out.Out, "%s  %d × %d  %s\n", a.out.bold(oneLine(r.Path)), r.Width, r.Height, a.out.faint(r.Method))
	for i := range r.Regions {
		show(&r.Regions[i])
	}
	for _, note := range r.Notes {
		a.out.note("note: %s", oneLine(note))
	}
	return nil
}

// describe writes the line of a region.
func (a *app) describe(r *evident.Region) {
	fmt.Fprintf(a.out.Out, "  %s  %.1f %% of the picture, map fits by %.2f\n", a.out.bold(oneLine(r.Mask)), 100*r.Area, r.Dice)
}
