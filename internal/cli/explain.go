package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"evident"
	"evident/document"
	"evident/internal/weights"
	"evident/legrad"
)

// explainOptions are the flags of explain.
type explainOptions struct {
	evident.ExplainOptions
	evident.DrawOptions
	model     string
	texts     []string // --text
	classes   []string // --class
	top       int
	out, raw  string
	maxPixels int
}

func (a *app) explainCommand() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain IMAGE… TEXT…",
		Short: "Show where in a picture a text is seen",
		Long: `Show where in a picture each text is seen: a heatmap by LeGrad (arXiv:2404.03214), its strongest
point, and how surely the text is seen at all. Several texts share one scale, and what the picture
does not show stays cold.

IMAGE is a file, a folder, or a pattern such as "photos/*.jpg"; what follows the last of them are
texts. With several pictures, --out and --raw name folders.

--method draws by one of the methods LeGrad is compared with instead; NAME@LAYER or NAME@FIRST-LAST
chooses layers. Their values do not compare between texts: each map is scaled by itself.`,
		Example: `  evident explain photo.jpg "a dog" "a child" -o seen.png
  evident explain holiday/ --class boat --json -o maps/`,
		Annotations: exitCodes("0 done · 2 error · 3 some pictures were skipped · 12 model missing · 13 model damaged"),
		Args:        cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runExplain(cmd.Context(), args, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.model, "model", "m", "", "folder or name of a vision-language model or image classifier")
	f.StringArrayVar(&o.texts, "text", nil, "a text; for texts that are also names of files")
	f.StringArrayVar(&o.classes, "class", nil, `a class: "dog" is looked for as the model's own prompt says, "a photo of a dog"`)
	f.IntVar(&o.top, "top", 3, "classes to show of an image classifier when no text is given")
	f.StringVarP(&o.out, "out", "o", "", "PNG to write; - is stdout")
	f.StringVar(&o.raw, "raw", "", "NumPy file for the maps as computed: float32 [texts, height, width]")
	f.StringVar(&o.Layout, "layout", "overlay", "overlay, contour, side or heat")
	f.StringVar(&o.Palette, "palette", "even", "even or jet")
	f.Float64Var(&o.Opacity, "opacity", 0.75, "of the map where it is hottest, 0 to 1")
	f.BoolVar(&o.Bare, "bare", false, "no titles and no scale around the map")
	f.IntVar(&o.SideMax, "side", 0, "longest side of a picture in the PNG, in pixels; 0 chooses")
	f.BoolVar(&o.Each, "each", false, "scale each map by itself, so that also what is not there looks hot")
	f.StringVar(&o.Method, "method", "legrad", "how maps are made: "+strings.Join(legrad.MethodNames(), ", "))
	f.IntSliceVar(&o.Layers, "layers", nil, "layers whose maps are added, from 0; default: the model's choice")
	f.IntVar(&o.Size, "size", 0, "pixels a side that the model looks at; 0 is the model's choice")
	f.BoolVar(&o.Aspect, "aspect", false, "keep the aspect ratio instead of squeezing into a square")
	f.IntVar(&o.maxPixels, "max-pixels", evident.PixelsMax, "larger pictures are skipped, unread")
	return cmd
}

// check finds wrong values before anything is read.
func (o *explainOptions) check() error {
	switch {
	case o.top < 1:
		return usageError("--top %d: at least 1", o.top)
	case o.Opacity <= 0 || o.Opacity > 1:
		return usageError("--opacity %g: above 0, at most 1", o.Opacity)
	case badMethod(o.Method) != nil:
		return usageError("--method: %v", badMethod(o.Method))
	case o.maxPixels < 1:
		return usageError("--max-pixels %d: at least 1", o.maxPixels)
	case o.SideMax < 0:
		return usageError("--side %d is negative", o.SideMax)
	case !slices.Contains([]string{"overlay", "contour", "side", "heat"}, o.Layout):
		return usageError("--layout %s: overlay, contour, side or heat", o.Layout)
	case !slices.Contains([]string{"even", "jet"}, o.Palette):
		return usageError("--palette %s: even or jet", o.Palette)
	case o.out == "-" && o.raw == "-":
		return usageError("--out and --raw cannot both be stdout")
	}
	return nil
}

// badMethod says what is wrong with the name of a method, if anything.
func badMethod(specification string) error {
	name, _, err := legrad.ParseMethod(specification)
	if err == nil && !slices.Contains(legrad.MethodNames(), name) {
		err = fmt.Errorf("%q is not known: there are %s", name, strings.Join(legrad.MethodNames(), ", "))
	}
	return err
}

func (a *app) runExplain(ctx context.Context, args []string, o explainOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	paths, texts, several, err := picturesAndTexts(ctx, args)
	if err != nil {
		return err
	}
	vision, err := a.openVision(ctx, o.model)
	if err != nil {
		return err
	}
	for _, c := range o.classes {
		texts = append(texts, vision.Prompt(c))
	}
	texts = append(texts, o.texts...)
	if len(texts) == 0 && vision.Classes() == nil {
		return &hintError{usageError("there is no text to look for"), `for example: evident explain photo.jpg "a dog"`}
	}
	if (o.out == "-" || o.raw == "-") && (a.out.json || several) {
		return usageError("stdout takes one picture's PNG or array, and then nothing else")
	}
	e := explaining{app: a, vision: vision, o: o, texts: texts, several: several}
	if !several {
		return e.one(ctx, paths[0])
	}
	return e.all(ctx, paths)
}

// openVision loads the vision model of --model, the built-in one by default.
func (a *app) openVision(ctx context.Context, named string) (*evident.Vision, error) {
	o, err := a.visionOptions(named)
	if err != nil {
		return nil, err
	}
	return evident.OpenVision(ctx, o)
}

// visionOptions names a vision model: its folder, a fetched one, or "" for the built-in one.
func (a *app) visionOptions(named string) (evident.VisionOptions, error) {
	o := evident.VisionOptions{CacheDir: a.cacheFolder("packed")}
	if named == "" {
		return o, nil
	}
	dir, err := a.modelFolder(named)
	if err != nil {
		return evident.VisionOptions{}, err
	}
	o.Model, o.Name = os.DirFS(dir), named
	return o, nil
}

// explaining is one run of explain.
type explaining struct {
	*app
	vision  *evident.Vision
	o       explainOptions
	texts   []string
	several bool
}

// one explains a single picture.
func (e *explaining) one(ctx context.Context, path string) error {
	explanation, err := e.explain(ctx, path)
	if err != nil {
		return err
	}
	if err := e.write(explanation, e.o.out, e.o.raw); err != nil {
		return err
	}
	if e.out.json {
		return e.out.printJSON(explanation)
	}
	if e.o.out != "-" && e.o.raw != "-" {
		e.show(explanation)
	}
	return nil
}

// all explains many pictures. One that cannot be read is listed and does not stop the rest.
func (e *explaining) all(ctx context.Context, paths []string) error {
	for _, dir := range []string{e.o.out, e.o.raw} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("write maps: %w", err)
		}
	}
	bar := e.out.progress("pictures")
	done, left, err := e.each(ctx, paths, bar)
	bar.done()
	if err != nil {
		return err
	}
	if e.out.json {
		err := e.out.printJSON(map[string]any{"model": e.vision.Name(), "images": done, "skipped": left})
		if err != nil {
			return err
		}
	}
	for _, s := range left {
		e.out.note("skipped %s", oneLine(s.Reason))
	}
	if len(left) > 0 {
		return &statusError{exitSkipped}
	}
	return nil
}

// each explains pictures one after the other, writes their files and, as text, what they show. The
// explanations are kept for JSON only: each holds its picture.
func (e *explaining) each(
	ctx context.Context, paths []string, bar *progress,
) (done []*evident.Explanation, left []evident.Skipped, err error) {
	done, left = []*evident.Explanation{}, []evident.Skipped{} // not null in JSON
	names := map[string]bool{}
	for i, path := range paths {
		explanation, err := e.explain(ctx, path)
		var text *evident.TextError
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case errors.As(err, &text):
			return nil, nil, err // would fail on every picture
		case err != nil:
			left = append(left, evident.Skipped{Path: path, Reason: err.Error()})
		default:
			name := uniqueName(names, path)
			if err := e.write(explanation, inFolder(e.o.out, name+".png"), inFolder(e.o.raw, name+".npy")); err != nil {
				return nil, nil, err
			}
			if e.out.json {
				done = append(done, explanation.Forget())
			} else {
				bar.takeAway()
				e.show(explanation)
			}
		}
		bar.count(i+1, len(paths))
	}
	return done, left, nil
}

// inFolder is a file of a folder; "" where there is no folder.
func inFolder(dir, name string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

// uniqueName is the name of a picture's files: its own without the ending, and a number where
// another picture of the run has it already.
func uniqueName(taken map[string]bool, path string) string {
	base := filepath.Base(path)
	plain := strings.TrimSuffix(base, filepath.Ext(base))
	name := plain
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", plain, n)
	}
	taken[name] = true
	return name
}

func (e *explaining) explain(ctx context.Context, path string) (*evident.Explanation, error) {
	photo, err := evident.OpenPhoto(path, evident.PhotoOptions{PixelsMax: e.o.maxPixels})
	if err != nil {
		return nil, err
	}
	texts := e.texts
	if len(texts) == 0 {
		if texts, err = e.vision.Likely(ctx, photo, e.o.top); err != nil {
			return nil, err
		}
	}
	return e.vision.Explain(ctx, photo, texts, e.o.ExplainOptions)
}

// write writes the files that were asked for.
func (e *explaining) write(x *evident.Explanation, out, raw string) error {
	if out != "" {
		drawn, err := x.Draw(e.o.DrawOptions)
		if err != nil {
			return err
		}
		if err := e.writeFile(out, func(w io.Writer) error { return encodePNG(w, drawn) }); err != nil {
			return fmt.Errorf("write %s: %w", out, err)
		}
	}
	if raw != "" {
		if err := e.writeFile(raw, func(w io.Writer) error { return encodeMaps(w, x) }); err != nil {
			return fmt.Errorf("write %s: %w", raw, err)
		}
	}
	return nil
}

func encodePNG(w io.Writer, im image.Image) error {
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	return encoder.Encode(w, im)
}

// encodeMaps writes the raw maps, one in memory at a time.
func encodeMaps(w io.Writer, x *evident.Explanation) error {
	array, err := weights.NewNPYWriter(w, len(x.Maps), x.Height, x.Width)
	if err != nil {
		return err
	}
	for i := range x.Maps {
		if err := array.Write(x.Maps[i].Raw(x.Width, x.Height)); err != nil {
			return err
		}
	}
	return array.Close()
}

// writeFile writes a file aside and gives it its name when it is whole; "-" is stdout.
func (a *app) writeFile(path string, content func(io.Writer) error) (err error) {
	if path == "-" {
		buffered := bufio.NewWriter(a.streams.Out)
		return errors.Join(content(buffered), buffered.Flush())
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return plainCause(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	buffered := bufio.NewWriter(file)
	if err := errors.Join(content(buffered), buffered.Flush(), file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// show writes an explanation as text.
func (e *explaining) show(x *evident.Explanation) {
	fmt.Fprintf(e.out.Out, "%s  %d × %d\n", e.out.bold(oneLine(x.Path)), x.Width, x.Height)
	for _, m := range x.Maps {
		fmt.Fprintf(e.out.Out, "  %s  similarity %.2f, seen %.0f %%\n    %s (peak at %d, %d)\n",
			e.out.bold(oneLine(m.Text)), m.Similarity, 100*m.Presence, m.Words, m.Peak[0], m.Peak[1])
	}
	for _, note := range x.Notes {
		e.out.note("note: %s", oneLine(note))
	}
}

// picturesAndTexts splits arguments: the first is a picture, and so is every further one that names
// a file, a folder or a pattern of files, up to the first that does not. several is true unless
// exactly one file was named.
func picturesAndTexts(ctx context.Context, args []string) (pictures, texts []string, several bool, err error) {
	if len(args) == 0 {
		return nil, nil, false, &hintError{
			usageError("explain needs a picture"), `for example: evident explain photo.jpg "a dog"`,
		}
	}
	for i, arg := range args {
		found, many, err := expand(ctx, arg)
		if err != nil && i > 0 {
			texts = args[i:]
			break
		}
		if err != nil {
			return nil, nil, false, err
		}
		pictures = append(pictures, found...)
		several = several || many || i > 0
	}
	if len(pictures) == 0 {
		return nil, nil, false, fmt.Errorf("read %s: no pictures in it: %w", args[0], evident.ErrNotImage)
	}
	return pictures, texts, several, nil
}

// expand returns the pictures that an argument names, and whether it may name several.
func expand(ctx context.Context, arg string) (paths []string, many bool, err error) {
	info, err := os.Stat(arg)
	if err == nil && !info.IsDir() {
		return []string{arg}, false, nil
	}
	if err == nil {
		paths, err = picturesIn(ctx, arg)
		return paths, true, err
	}
	if !strings.ContainsAny(arg, "*?[") || strings.ContainsAny(arg, " ") && !strings.ContainsAny(arg, `/\.`) {
		return nil, false, fmt.Errorf("read %s: %w", arg, plainCause(err))
	}
	matches, bad := filepath.Glob(arg)
	if bad != nil || len(matches) == 0 {
		return nil, false, fmt.Errorf("read %s: no such file: %w", arg, plainCause(err))
	}
	return matches, true, nil
}

// picturesIn lists the pictures below a folder, told by their content. A file that cannot be opened is
// among them: it will be listed as skipped, with the reason.
func picturesIn(ctx context.Context, dir string) ([]string, error) {
	var paths []string
	for file, err := range document.Walk(ctx, []string{dir}, document.WalkOptions{}) {
		var skip *document.SkipError
		switch {
		case errors.As(err, &skip) || err == nil && evident.IsPhoto(file.Path):
			paths = append(paths, file.Path)
		case err != nil:
			return nil, fmt.Errorf("read %w", err)
		}
	}
	return paths, nil
}
