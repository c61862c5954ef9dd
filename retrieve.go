package evident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"evident/internal/heatmap"
	"evident/internal/mask"
	"evident/internal/picture"
	"evident/internal/region"
)

// RetrieveOptions tunes [Index.RetrieveRegions]. The zero value finds pictures, by the region's MaskInversion vector.
type RetrieveOptions struct {
	RegionOptions
	Top int // pictures for each region; 0 means 10

	// Proposals, above 0, compares with regions instead of whole pictures: the pictures that fit best are
	// looked through for at most so many regions each, and ranked by the one that is most alike. The vectors
	// are pooled patches unless Method says otherwise.
	Proposals int
	// Candidates is how many pictures are looked through then; 0 means five times Top.
	Candidates int
}

// RegionHit is a picture that shows what a region shows, and where in it.
type RegionHit struct {
	ImageHit
	Peak  [2]int `json:"peak"`  // x, y of the pixel where the region's vector is seen most
	Box   [4]int `json:"box"`   // left, top, right, bottom of where it is seen at least half as much
	Words string `json:"words"` // where, in a sentence
	// Region is the region of the picture that is most alike, where regions are compared.
	Region *HitRegion `json:"region,omitempty"`
	Map    string     `json:"map,omitempty"` // file of the map, where one was written

	image *picture.Image // to be drawn on, at most drawnMax a side
	field heatmap.Field
}

// HitRegion is a region that was found.
type HitRegion struct {
	Box  [4]int  `json:"box"`  // left, top, right, bottom in pixels
	Area float64 `json:"area"` // share of the picture
	RLE  RLE     `json:"rle"`  // its mask, which --mask reads
}

// RLE is a mask as COCO stores it, compressed.
type RLE struct {
	Size   [2]int `json:"size"` // height and width
	Counts string `json:"counts"`
}

// RetrieveRegions finds for each region of a picture the pictures of the index that show the same thing, and where:
// [Region.Hits], best first. The picture itself is not among them. A picture that is gone since it was indexed, or
// cannot be read, is left out and said in the notes.
func (x *Index) RetrieveRegions(ctx context.Context, photo *Photo, masks []Mask, o RetrieveOptions) (*Regions, error) {
	album, err := x.album(ctx)
	if err != nil {
		return nil, err
	}
	defer album.snapshot.Release()
	if o.Method == "" {
		o.Method = RegionInversion
		if o.Proposals > 0 {
			o.Method = string(region.Patches)
		}
	}
	r, _, err := album.vision.regions(ctx, photo, masks, o.RegionOptions)
	if err != nil {
		return nil, err
	}
	seer, err := album.vision.seer(ctx, o.RegionOptions)
	if err != nil {
		return nil, err
	}
	l := &looking{
		album: album, seer: seer, o: o, query: photo, report: r, unread: map[string]bool{}, seen: map[string][]found{},
	}
	for i := range r.Regions {
		if r.Regions[i].Hits, err = l.hits(ctx, &r.Regions[i]); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// looking is one search for regions.
type looking struct {
	*album
	seer   *region.Seer
	o      RetrieveOptions
	query  *Photo
	report *Regions

	unread map[string]bool    // stored paths of pictures that cannot be read
	seen   map[string][]found // by stored path: the regions proposed in a picture
}

// found is a proposed region of a stored picture.
type found struct {
	region HitRegion
	vector []float32
}

// hits finds the pictures for one region.
func (l *looking) hits(ctx context.Context, r *Region) ([]RegionHit, error) {
	top := cmp.Or(l.o.Top, 10)
	many := top
	if l.o.Proposals > 0 {
		many = cmp.Or(l.o.Candidates, 5*top)
	}
	hits := []RegionHit{} // not null in JSON
	for _, image := range l.rank(r.vector, len(l.pictures), l.isQuery) {
		if len(hits) == many {
			break
		}
		h := RegionHit{ImageHit: image}
		see := l.place
		if l.o.Proposals > 0 {
			see = l.compare
		}
		seen, err := l.open(ctx, r, &h, see)
		if err != nil {
			return nil, err
		}
		if seen {
			hits = append(hits, h)
		}
	}
	slices.SortStableFunc(hits, func(a, b RegionHit) int { return cmp.Compare(b.Score, a.Score) })
	placed := hits[:0]
	for _, h := range hits[:min(top, len(hits))] {
		if l.o.Proposals > 0 {
			there, err := l.open(ctx, r, &h, l.place)
			if err != nil {
				return nil, err
			}
			if !there { // gone meanwhile
				continue
			}
		}
		h.Path = l.catalog.display(h.Path)
		placed = append(placed, h)
	}
	return placed, nil
}

// isQuery says whether a stored picture is the one whose regions are looked for.
func (l *looking) isQuery(path string) bool {
	mine, err := os.Stat(l.query.Path)
	if err != nil {
		return false
	}
	other, err := os.Stat(path)
	return err == nil && os.SameFile(mine, other)
}

// open shows a stored picture to see, which says whether it is a hit. The picture is let go of at once: there may be
// many, and large ones. One that cannot be read is none, which is noted.
func (l *looking) open(
	ctx context.Context, r *Region, h *RegionHit, see func(context.Context, *Region, *RegionHit, *Photo) (bool, error),
) (bool, error) {
	if l.unread[h.Path] {
		return false, nil
	}
	photo, err := OpenPhoto(h.Path, PhotoOptions{})
	if err != nil {
		reason := err.Error()
		if errors.Is(err, os.ErrNotExist) {
			reason = "it is gone since it was indexed"
		}
		l.report.Notes = append(l.report.Notes, fmt.Sprintf("left out %s: %s", l.catalog.display(h.Path), reason))
		l.unread[h.Path] = true
		return false, nil
	}
	seen, err := see(ctx, r, h, photo)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", h.Path, err)
	}
	return seen, nil
}

// compare finds the region of a picture that is most alike, and takes its score. A picture without a region is no hit.
func (l *looking) compare(ctx context.Context, r *Region, h *RegionHit, photo *Photo) (bool, error) {
	proposed, known := l.seen[h.Path]
	if !known {
		var err error
		if proposed, err = l.propose(ctx, photo); err != nil {
			return false, err
		}
		l.seen[h.Path] = proposed
	}
	best, at := -2.0, -1
	for i, p := range proposed {
		if s := dot(r.vector, p.vector); s > best {
			best, at = s, i
		}
	}
	if at < 0 {
		return false, nil
	}
	h.Score, h.Region = best, &proposed[at].region
	return true, nil
}

// propose finds the regions of a picture and their vectors.
func (l *looking) propose(ctx context.Context, photo *Photo) ([]found, error) {
	masks, err := l.seer.Propose(ctx, photo.image, region.ProposeOptions{Count: l.o.Proposals})
	if err != nil || len(masks) == 0 {
		return nil, err
	}
	looked, err := l.seer.Look(photo.image, masks)
	if err != nil {
		return nil, err
	}
	vectors, err := looked.Vectors(ctx, region.Method(l.o.Method))
	if err != nil {
		return nil, err
	}
	all := make([]found, len(masks))
	for i, m := range masks {
		b := m.Bounds()
		all[i] = found{HitRegion{
			Box:  [4]int{b.Min.X, b.Min.Y, b.Max.X, b.Max.Y},
			Area: float64(m.Area()) / float64(len(m.Bits)),
			RLE:  RLE{[2]int{m.Height, m.Width}, m.RLE().Compressed()},
		}, vectors[i]}
	}
	return all, nil
}

// drawnMax is the longest side of the pictures that hits keep to be drawn.
const drawnMax = 1024

// place says where in a picture the region's vector is seen.
func (l *looking) place(ctx context.Context, r *Region, h *RegionHit, photo *Photo) (bool, error) {
	fields, err := l.seer.Where(ctx, photo.image, [][]float32{r.vector})
	if err != nil {
		return false, err
	}
	h.field = fields[0]
	heat := h.field.At(photo.Width, photo.Height)
	s := heatmap.Summarise(heat, photo.Width)
	h.Peak, h.Words = s.Peak, s.Words(-1)
	half := &mask.Mask{Width: photo.Width, Height: photo.Height, Bits: make([]bool, len(heat))}
	for i, v := range heat {
		half.Bits[i] = v > 0 && v >= s.Max/2
	}
	b := half.Bounds()
	h.Box = [4]int{b.Min.X, b.Min.Y, b.Max.X, b.Max.Y}
	h.image = photo.image
	if longest := max(photo.Width, photo.Height); longest > drawnMax {
		h.image = photo.image.Resize(
			max(1, photo.Width*drawnMax/longest), max(1, photo.Height*drawnMax/longest), picture.Bicubic)
	}
	return true, nil
}

// Explanation shows the region's vector in the picture that was found, so that it can be drawn.
func (h *RegionHit) Explanation(name string) *Explanation {
	photo := &Photo{Path: h.Path, Width: h.image.Width, Height: h.image.Height, image: h.image}
	return &Explanation{
		Path: h.Path, Width: photo.Width, Height: photo.Height, photo: photo, each: true,
		Maps: []TextMap{{Text: name, Words: h.Words, field: h.field, region: true}},
	}
}
