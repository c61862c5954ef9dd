// Command choose tries settings of MaskInversion on photos that are for choosing: regions are named by the text
// nearest to their vector, among the names of a set.
//
//	choose -data SET.tar[,SET.tar] [-model FOLDER] [-layers 11/10,11] [-steps 5,10] [-strides 0.1,0.2] [-alphas 0]
//	       [-sizes 448] [-limit N] [-part choose]
//
// It prints a row for each setting: the share of regions named rightly, the mean overlap of map and mask, and the
// seconds of processor time that a mask took. For comparison, the rows "image" and "tokens" name regions by the whole
// image's vector and by the mean of the tokens that the mask covers.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"

	"evident/eval/photos"
	"evident/internal/mask"
	"evident/internal/picture"
	"evident/legrad"
	"evident/maskinversion"
	"evident/model/vision"
	"evident/model/vit"
	"evident/models"
)

// settings is what is tried: every combination.
type settings struct {
	sets                   []string
	folder, part           string
	layers                 [][]int
	steps, sizes           []int
	strides, alphas, nudge []float64
	limit                  int
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("choose: ")
	s := parse()
	if err := run(context.Background(), s); err != nil {
		log.Fatal(err)
	}
}

func parse() *settings {
	s := &settings{}
	data := flag.String("data", "", "sets of photos, separated by commas")
	flag.StringVar(&s.folder, "model", "", "a model's folder; the built-in one without it")
	flag.StringVar(&s.part, "part", "choose", "of the photos: choose, train, test or all")
	layers := flag.String("layers", "11/10,11", "choices of layers, separated by slashes")
	steps := flag.String("steps", "10", "numbers of steps")
	sizes := flag.String("sizes", "0", "pixels a side; 0 is the model's own size for maps")
	strides := flag.String("strides", "0.1,0.2", "lengths of the first move")
	alphas := flag.String("alphas", "0", "weights of the regularisation")
	nudges := flag.String("nudges", "0", "nudges of flat starts; 0 is the default")
	flag.IntVar(&s.limit, "limit", 0, "photos of each set; 0 is all")
	flag.Parse()
	s.sets = strings.Split(*data, ",")
	for _, choice := range strings.Split(*layers, "/") {
		s.layers = append(s.layers, numbers(choice, strconv.Atoi))
	}
	float := func(text string) (float64, error) { return strconv.ParseFloat(text, 64) }
	s.steps, s.sizes = numbers(*steps, strconv.Atoi), numbers(*sizes, strconv.Atoi)
	s.strides, s.alphas, s.nudge = numbers(*strides, float), numbers(*alphas, float), numbers(*nudges, float)
	return s
}

func numbers[T any](list string, parse func(string) (T, error)) (all []T) {
	for _, text := range strings.Split(list, ",") {
		v, err := parse(text)
		if err != nil {
			log.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

func run(ctx context.Context, s *settings) error {
	folder, err := models.Open(models.Vision)
	if s.folder != "" {
		folder, err = fs.FS(os.DirFS(s.folder)), nil
	}
	if err != nil {
		return err
	}
	model, err := vision.Load(folder)
	if err != nil {
		return err
	}
	fmt.Println("| set | pixels | layers | steps | stride | α | nudge | n | top-1 % | dice % |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
	for _, path := range s.sets {
		set, err := photos.Open(path)
		if err != nil {
			return err
		}
		for _, size := range s.sizes {
			if err := try(ctx, s, model, set, size); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		if err := set.Close(); err != nil {
			return err
		}
	}
	return nil
}

// try reads the photos of a set once for all settings of one size.
func try(ctx context.Context, s *settings, model *vision.Model, set *photos.Set, size int) error {
	part, err := photos.ParsePart(s.part)
	if err != nil {
		return err
	}
	chosen, err := set.Select(part, s.limit, 1)
	if err != nil {
		return err
	}
	if size == 0 {
		size = model.MapSize
	}
	names, err := namesOf(ctx, model, set)
	if err != nil {
		return err
	}
	inverters := make([]*maskinversion.Inverter, len(s.layers))
	for i, layers := range s.layers {
		if inverters[i], err = maskinversion.New(ctx, model, maskinversion.Setup{Layers: layers}); err != nil {
			return err
		}
	}
	t := &trial{settings: s, model: model, names: names, size: size, scores: map[string]*score{}}
	for _, photo := range chosen {
		if err := t.photo(ctx, set, photo, inverters); err != nil {
			return fmt.Errorf("%s: %w", photo.Image, err)
		}
	}
	for _, row := range t.rows {
		fmt.Printf("| %s | %s | %d | %.1f | %.1f |\n", set.Name, row, t.scores[row].n,
			100*t.scores[row].right/float64(t.scores[row].n), 100*t.scores[row].dice/float64(t.scores[row].n))
	}
	return nil
}

// names is the classes of a set and their vectors.
type names struct {
	classes []string
	vectors [][]float32
}

func namesOf(ctx context.Context, model *vision.Model, set *photos.Set) (*names, error) {
	n := &names{}
	for i := range set.Photos {
		for _, o := range set.Photos[i].Masks {
			if o.Thing == nil || *o.Thing != 0 {
				n.classes = append(n.classes, o.Class)
			}
		}
		for _, b := range set.Photos[i].Boxes {
			n.classes = append(n.classes, b.Class)
		}
	}
	slices.Sort(n.classes)
	n.classes = slices.Compact(n.classes)
	prompts := make([]string, len(n.classes))
	for i, class := range n.classes {
		prompts[i] = strings.ReplaceAll(model.Prompt, "{}", photos.Spoken(class))
	}
	texts, err := model.EncodeTexts(ctx, prompts)
	for _, text := range texts {
		n.vectors = append(n.vectors, text.Embedding)
	}
	return n, err
}

// right reports whether the class's text is the nearest to a vector.
func (n *names) right(vector []float32, class string) bool {
	best, at := -2.0, 0
	for i, text := range n.vectors {
		sum := 0.0
		for j, v := range text {
			sum += float64(v) * float64(vector[j])
		}
		if sum > best {
			best, at = sum, i
		}
	}
	return n.classes[at] == class
}

type score struct {
	n           int
	right, dice float64
}

type trial struct {
	*settings
	model  *vision.Model
	names  *names
	size   int
	rows   []string
	scores map[string]*score
}

func (t *trial) count(row string, right bool, dice float64) {
	s := t.scores[row]
	if s == nil {
		s = &score{}
		t.scores[row], t.rows = s, append(t.rows, row)
	}
	s.n++
	s.dice += dice
	if right {
		s.right++
	}
}

// regionsOf returns at most eight of a photo's things that cover a hundredth of it or more.
func regionsOf(p *photos.Photo) (masks []maskinversion.Mask, classes []string, err error) {
	add := func(m *mask.Mask, class string) {
		if m.Area()*100 >= len(m.Bits) && len(masks) < 8 {
			masks, classes = append(masks, maskinversion.Binary(m)), append(classes, class)
		}
	}
	for _, o := range p.Masks {
		if o.Thing != nil && *o.Thing == 0 {
			continue
		}
		m, err := o.RLE.Mask()
		if err != nil {
			return nil, nil, err
		}
		add(m, o.Class)
	}
	if len(p.Masks) > 0 {
		return masks, classes, nil
	}
	for _, b := range p.Boxes {
		m, err := mask.Box(p.Width, p.Height, b.Box[0], b.Box[1], b.Box[2], b.Box[3])
		if err != nil {
			return nil, nil, err
		}
		add(m, b.Class)
	}
	return masks, classes, nil
}

func (t *trial) photo(ctx context.Context, set *photos.Set, p *photos.Photo, inverters []*maskinversion.Inverter) error {
	masks, classes, err := regionsOf(p)
	if err != nil || len(masks) == 0 {
		return err
	}
	data, err := set.Read(p)
	if err != nil {
		return err
	}
	im, err := picture.Decode(bytes.NewReader(data), picture.Options{})
	if err != nil {
		return err
	}
	recipe := t.model.Recipe
	recipe.Size, recipe.Mode = [2]int{t.size, t.size}, picture.Squash
	pixels := recipe.Apply(im)
	for i, inverter := range inverters {
		prepared, err := inverter.Prepare(ctx, pixels, t.size, t.size)
		if err != nil {
			return err
		}
		if i == 0 {
			t.baselines(prepared, masks, classes)
		}
		if err := t.each(ctx, prepared, inverter.Layers(), masks, classes); err != nil {
			return err
		}
	}
	return nil
}

// each tries every setting on a photo.
func (t *trial) each(
	ctx context.Context, im *maskinversion.Image, layers []int, masks []maskinversion.Mask, classes []string,
) error {
	for _, steps := range t.steps {
		for _, stride := range t.strides {
			for _, alpha := range t.alphas {
				for _, nudge := range t.nudge {
					o := maskinversion.Options{Steps: steps, Stride: stride, Alpha: alpha, Nudge: nudge}
					if alpha == 0 {
						o.Alpha = -1
					}
					regions, err := im.Invert(ctx, masks, o)
					if err != nil {
						return err
					}
					row := fmt.Sprintf("%d | %v | %d | %g | %g | %g", t.size, layers, steps, stride, alpha, nudge)
					for i := range regions {
						t.count(row, t.names.right(regions[i].Embedding, classes[i]), regions[i].Dice)
					}
				}
			}
		}
	}
	return nil
}

// baselines names regions by the whole image and by the mean of their tokens.
func (t *trial) baselines(im *maskinversion.Image, masks []maskinversion.Mask, classes []string) {
	pool, ok := t.model.Pool.(*vit.TokenPool)
	for i, m := range masks {
		t.count(fmt.Sprintf("%d | image |  |  |  | ", t.size), t.names.right(im.Embedding, classes[i]), 0)
		if !ok {
			continue
		}
		d, sum, area := t.model.Width, make([]float32, t.model.Width), float32(0)
		for _, share := range m.Values {
			area += share
		}
		for y := range m.Height {
			for x := range m.Width {
				cell := y*im.Height/m.Height*im.Width + x*im.Width/m.Width
				if share := m.Values[y*m.Width+x]; share > 0 {
					for j, v := range im.Tokens[(t.model.Prefix+cell)*d:][:d] {
						sum[j] += share * v / area
					}
				}
			}
		}
		feature := legrad.NewMeanHead(pool).At(sum).Feature()
		vector := make([]float32, len(feature))
		for j, v := range feature {
			vector[j] = float32(v)
		}
		t.count(fmt.Sprintf("%d | tokens |  |  |  | ", t.size), t.names.right(vector, classes[i]), 0)
	}
}
