package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"evident"
	"evident/eval"
	"evident/eval/photos"
	"evident/eval/viewer"
	"evident/internal/region"
	"evident/legrad"
)

// photoOptions are the flags of the evaluation tasks on photos.
type photoOptions struct {
	eval.PhotoOptions
	data      string
	model     string
	prompt    string
	part      string
	method    string
	against   []string
	choose    string
	size      int
	labels    bool
	failUnder float64

	regions region.Options // of the tasks on regions
	areaMin float64        // in percent

	proposals int

	vision   *evident.Vision
	captions string // --captions
}

// photoTask is one evaluation on photos.
type photoTask struct {
	name, short, long string
	metric            string // which --fail-under watches
	without           string // the same where a set does not allow that metric; "" where all do
	methods           bool   // takes --method and --against, of maps
	regions           bool   // takes them too, of vectors of regions
	run               func(ctx context.Context, s *photos.Set, v *viewer.Viewer, o *photoOptions) (*eval.Report, error)
}

var photoTasks = []photoTask{
	{
		name: "pointing", metric: "accuracy", methods: true,
		short: "Does the peak of a class's map lie on it?",
		long: `Ask where each class of each photo is, and look whether the map's highest point lies inside the
class's outline.`,
		run: func(ctx context.Context, s *photos.Set, v *viewer.Viewer, o *photoOptions) (*eval.Report, error) {
			seer, err := v.Seer(ctx, o.methods()...)
			if err != nil {
				return nil, usageError("%v", err)
			}
			return eval.RunPointing(ctx, s, seer, o.PhotoOptions)
		},
	},
	{
		name: "segmentation", metric: "miou", methods: true,
		short: "How well do maps fit outlines?",
		long: `Cut each map at one threshold and compare it with the class's outline: mean IoU of object and
background, pixel accuracy, and the average precision of pixels, which needs no threshold ("map").

The threshold is fixed on photos that are not reported on: those of the set's own that may choose, or
of the set named with --choose. Where there are none, each half of the photos is judged at the threshold
that is best on the other half.`,
		run: func(ctx context.Context, s *photos.Set, v *viewer.Viewer, o *photoOptions) (*eval.Report, error) {
			seer, err := v.Seer(ctx, o.methods()...)
			if err != nil {
				return nil, usageError("%v", err)
			}
			if o.choose != "" {
				choose, err := photos.Open(o.choose)
				if err != nil {
					return nil, err
				}
				defer choose.Close()
				o.Choose = choose
			}
			return eval.RunSegmentation(ctx, s, seer, o.PhotoOptions)
		},
	},
	{
		name: "perturbation", metric: "negative_auc", methods: true,
		short: "Does the model lose a class with the patches that a map names?",
		long: `Remove patches, the most relevant first ("positive_auc", low is good) and the least relevant first
("negative_auc", high is good), and watch how long the model still names the class that it sees in the
whole photo, among all first labels of the set.`,
		run: func(ctx context.Context, s *photos.Set, v *viewer.Viewer, o *photoOptions) (*eval.Report, error) {
			model, err := v.Classifier(ctx, o.methods()...)
			if err != nil {
				return nil, usageError("%v", err)
			}
			opts := eval.PerturbationOptions{PhotoOptions: o.PhotoOptions, Labels: o.labels}
			return eval.RunPerturbation(ctx, s, model, opts)
		},
	},
	{
		name: "image-retrieval", metric: "recall_at_1",
		short: "Is a caption's own photo found among all?",
		long:  `Ask with each caption for its photo among all photos of the set.`,
		run: func(ctx context.Context, s *photos.Set, v *viewer.Viewer, o *photoOptions) (*eval.Report, error) {
			return eval.RunImageRetrieval(ctx, s, v, o.PhotoOptions)
		},
	},
	{
		name: "tagging", metric: "map",
		short: "Are the photos with a label found by its name?",
		long:  `Rank the photos of the set by each label's name: the mean of the labels' average precisions.`,
		run: func(ctx context.Context, s *photos.Set, v *viewer.Viewer, o *photoOptions) (*eval.Report, error) {
			return eval.RunTagging(ctx, s, v, o.PhotoOptions)
		},
	},
	{
		name: "region-retrieval", metric: "top1", regions: true,
		short: "Is a thing named rightly by its outline?",
		long: `Name each thing of each photo by its outline, among the classes of all things of the set: "top1" and
"top5", over things that cover at least --area-min of the photo. All methods are compared.`,
		run: func(ctx context.Context, s *photos.Set, v *viewer.Viewer, o *photoOptions) (*eval.Report, error) {
			seer, err := v.Regions(ctx, o.regions, o.methods()...)
			if err != nil {
				return nil, usageError("%v", err)
			}
			return eval.RunRegionRetrieval(ctx, s, seer, o.PhotoOptions)
		},
	},
	{
		name: "referring", metric: "top1", regions: true,
		short: "Is the thing found that an expression means?",
		long: `Ask which of the things of a photo an expression means. No set of expressions by people is needed:
they are made of the outlines, of photos with two things or more.
  name    "the dog", the only thing of its class in the photo
  place   "the dog on the left" (right, at the top, at the bottom): one of two of a class, whose
          centres are a fifth of the photo apart
  size    "the large dog", "the small dog": one of two, of which one has twice the area
"top1" and "top5" are of all expressions, "name_top1" and so on of each kind.`,
		run: func(ctx context.Context, s *photos.Set, v *viewer.Viewer, o *photoOptions) (*eval.Report, error) {
			seer, err := v.Regions(ctx, o.regions, o.methods()...)
			if err != nil {
				return nil, usageError("%v", err)
			}
			return eval.RunReferring(ctx, s, seer, o.PhotoOptions)
		},
	},
	{
		name: "region-search", metric: "map", regions: true,
		short: "Is a thing found in other photos by its outline?",
		long: `Look for each thing of each photo, by its outline, in the other photos: "top1" is the share of things
of which the first photo found shows one of the class, "map" the mean average precision. Things of a
class that no other photo shows are left out.`,
		run: func(ctx context.Context, s *photos.Set, v *viewer.Viewer, o *photoOptions) (*eval.Report, error) {
			seer, err := v.Regions(ctx, o.regions, o.methods()...)
			if err != nil {
				return nil, usageError("%v", err)
			}
			return eval.RunRegionSearch(ctx, s, seer, o.PhotoOptions)
		},
	},
	{
		name: "captioning", metric: "cider", without: "named", regions: true,
		short: "Do captions say what people say, and name what is there?",
		long: `Judge captions by the model's decoder, and beside it the nearest of given captions. Of a set with captions
by people, those of whole photos: BLEU-1 to 4 and CIDEr, times 100. Of a set with outlines, those of
things that cover at least --area-min of the photo: "named", the share of captions that name the thing's
class or a synonym of it, and "similarity", 100 times the cosine of the caption's and the class's vectors.
All methods are compared. --fail-under watches "named" of a set with outlines.

The captions to choose from are those of the set's part for training, or the lines of --captions.`,
		run: func(ctx context.Context, s *photos.Set, v *viewer.Viewer, o *photoOptions) (*eval.Report, error) {
			captioner, err := o.captioner(ctx, s, v)
			if err != nil {
				return nil, err
			}
			return eval.RunCaptioning(ctx, s, captioner, o.PhotoOptions)
		},
	},
	{
		name: "proposals", metric: "recall_50",
		short: "Are things among the regions that are proposed?",
		long: `Compare the regions that --propose finds with the outlines of things: "recall_50" is the share of
things that some proposal overlaps by an IoU of half or more, "best_iou" the mean IoU of things and
their best proposals. The baseline is as many boxes of three sizes, evenly spread.`,
		run: func(ctx context.Context, s *photos.Set, v *viewer.Viewer, o *photoOptions) (*eval.Report, error) {
			proposer, err := v.Proposer(ctx, o.regions)
			if err != nil {
				return nil, usageError("%v", err)
			}
			opts := eval.ProposalOptions{PhotoOptions: o.PhotoOptions, Count: o.proposals}
			return eval.RunProposals(ctx, s, proposer, opts)
		},
	},
}

// addRegionTaskFlags adds the flags of the tasks on regions.
func addRegionTaskFlags(cmd *cobra.Command, o *photoOptions) {
	flags := cmd.Flags()
	names := strings.Join(evident.RegionMethods(), ", ")
	flags.StringVar(&o.method, "method", evident.RegionInversion, "how vectors of regions are made: "+names)
	flags.StringSliceVar(&o.against, "against", nil, "methods to compare with on the same photos (default: all others)")
	flags.IntVar(&o.regions.Steps, "steps", 0, "of MaskInversion, at most (default: the model's)")
	flags.Float64Var(&o.regions.Alpha, "alpha", 0,
		"how strongly MaskInversion holds on to the whole picture; -1 not at all (default: the model's)")
	flags.Float64Var(&o.regions.Stride, "stride", 0,
		"length of MaskInversion's first step, as a share of its start's (default: the model's)")
	flags.IntSliceVar(&o.regions.Layers, "layers", nil, "layers whose maps MaskInversion adds, from 0 (default: the model's)")
}

// prepareRegions fills what the tasks on regions need: all methods to compare with, unless some are named. combines
// says whether the model comes with a combination of methods.
func (o *photoOptions) prepareRegions(combines bool) error {
	if o.areaMin < 0 || o.areaMin > 100 {
		return usageError("--area-min %g: a percentage", o.areaMin)
	}
	if o.AreaMin = o.areaMin / 100; o.AreaMin == 0 {
		o.AreaMin = -1 // all; 0 would be the default
	}
	o.Settings["area_min"] = fmt.Sprintf("%g %%", o.areaMin)
	if o.against == nil {
		for _, name := range evident.RegionMethods() {
			if name != o.method && (name != evident.RegionCombined || combines) {
				o.against = append(o.against, name)
			}
		}
	}
	return nil
}

// evalPhotoCommand makes the command of a task.
func (a *app) evalPhotoCommand(task *photoTask) *cobra.Command {
	o := new(photoOptions)
	cmd := &cobra.Command{
		Use:         task.name,
		Short:       task.short,
		Long:        task.long + "\n\n" + photoSets,
		Example:     "  evident eval " + task.name + " --data photos.tar --limit 50",
		Annotations: exitCodes(evalExitCodes),
		Args:        cobra.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return a.runPhotoEval(cmd.Context(), task, o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "a folder or tar file of photos with a manifest.jsonl")
	flags.IntVar(&o.Limit, "limit", 0, "at most so many photos, drawn at random (default: all)")
	flags.Uint64Var(&o.Seed, "seed", 1, "of the draw and of the intervals")
	flags.StringVar(&o.part, "part", string(photos.Test), "which photos: test, choose, train or all")
	flags.Float64Var(&o.failUnder, "fail-under", 0, "exit with 1 when "+task.metric+" is lower, in percent")
	flags.StringVarP(&o.model, "model", "m", "",
		"folder or name of a vision-language model, instead of the built-in one")
	flags.StringVar(&o.prompt, "prompt", "",
		`how a class name is asked for, e.g. "a photo of a {}" (default: the model's)`)
	if task.methods {
		flags.StringVar(&o.method, "method", "legrad", "how maps are made: "+strings.Join(legrad.MethodNames(), ", ")+
			"; NAME@LAYER or NAME@FIRST-LAST chooses layers, NAME/cls and NAME/mean rows of attention")
		flags.StringSliceVar(&o.against, "against", nil, "methods to compare with on the same photos")
	}
	if task.regions {
		addRegionTaskFlags(cmd, o)
	}
	if task.regions || task.name == "proposals" {
		flags.Float64Var(&o.areaMin, "area-min", 1, "least share of the photo that a thing covers, in percent")
		flags.IntVar(&o.regions.Size, "size", 0,
			"pixels a side of the picture that maps and patches are made of (default: the model's)")
	}
	switch task.name {
	case "perturbation":
		flags.BoolVar(&o.labels, "labels", false, "explain the label's class, not the one that the model sees")
	case "captioning":
		flags.StringVar(&o.captions, "captions", "", "file with captions to choose from, one a line")
	case "proposals":
		flags.IntVar(&o.proposals, "proposals", 20, "regions proposed for each photo")
	case "segmentation":
		flags.StringVar(&o.choose, "choose", "", "a set with photos that may choose, to fix the threshold on")
		fallthrough
	case "pointing":
		flags.IntVar(&o.size, "size", 0, "pixels a side of the picture that maps are made of (default: the model's)")
	}
	return cmd
}

// photoSets is what all tasks on photos read.
const photoSets = `A set is a folder or a tar file of photos with a manifest.jsonl, a line a photo:
{"image", "width", "height", "labels", "captions", "split", "boxes", "masks"}, masks in COCO's run
lengths. Results are percentages with 95 % confidence intervals (bootstrap over photos).`

// methods are the one judged, and the others as baselines.
func (o *photoOptions) methods() []string { return append([]string{o.method}, o.against...) }

// runPhotoEval opens the set and the model, measures, and shows the report.
func (a *app) runPhotoEval(ctx context.Context, task *photoTask, o *photoOptions) error {
	if o.data == "" {
		return &hintError{
			usageError("evident eval %s needs --data", task.name), "name a folder or tar file with a manifest.jsonl",
		}
	}
	var err error
	if o.Part, err = photos.ParsePart(o.part); err != nil {
		return usageError("--part: %v", err)
	}
	set, err := photos.Open(o.data)
	if err != nil {
		return err
	}
	defer set.Close()
	vision, err := a.openVision(ctx, o.model)
	if err != nil {
		return err
	}
	o.vision = vision
	v, err := viewer.New(vision.Model(), viewer.Options{MapSize: o.size, Prompt: o.prompt})
	if err != nil {
		return usageError("%v", err)
	}
	o.Settings = map[string]string{"model": vision.Name(), "set": set.Name}
	if task.methods || task.regions {
		o.Settings["method"] = o.method
	}
	if task.methods && task.name != "perturbation" {
		o.Settings["size"] = fmt.Sprint(v.MapSize())
	}
	if task.regions || task.name == "proposals" {
		if err := o.prepareRegions(region.Combines(vision.Model())); err != nil {
			return err
		}
	}
	bar := a.out.progress("photos")
	o.Progress = bar.count
	report, err := task.run(ctx, set, v, o)
	bar.done()
	if err != nil {
		return err
	}
	metric := task.metric
	if _, measured := report.Metrics[metric]; !measured && task.without != "" {
		metric = task.without
	}
	return a.showReport(report, metric, o.failUnder)
}

// captioner puts the model's decoder, and captions to choose from, before the photos.
func (o *photoOptions) captioner(ctx context.Context, s *photos.Set, v *viewer.Viewer) (eval.Captioner, error) {
	var ways []viewer.Way
	decoder, err := o.vision.CaptionDecoder()
	switch {
	case err == nil:
		ways = append(ways, viewer.Way{Name: "decoder", By: decoder})
	case !errors.Is(err, evident.ErrNoCaptions):
		return nil, err
	}
	choices := s.Captions(photos.Train)
	if o.captions != "" {
		if choices, err = linesOf(o.captions); err != nil {
			return nil, fmt.Errorf("read captions: %w", err)
		}
	}
	if len(choices) > 0 {
		nearest, err := v.Nearest(ctx, choices)
		if err != nil {
			return nil, err
		}
		ways = append(ways, nearest)
	}
	if len(ways) == 0 {
		return nil, evident.ErrNoCaptions
	}
	o.Settings["choices"] = fmt.Sprint(len(choices))
	captioner, err := v.Captioner(ctx, o.regions, ways, o.methods()...)
	if err != nil {
		return nil, usageError("%v", err)
	}
	return captioner, nil
}
