package web

import (
	"strconv"
	"strings"

	"evident/api"
)

// RegionPage is a picture whose parts are named, or pictures to choose from.
type RegionPage struct {
	In                           In
	Image, ID, Name, Labels, Box string
	Width, Height                int
	Boxes                        []api.PageBox
	Regions                      []NamedRegion
	Speaks                       bool // there are captions
	Forms                        []Form
	Took                         string
	Problem                      *api.Problem

	Tiles []Tile
	Next  string
}

// NamedRegion is a region and the names that were compared with it.
type NamedRegion struct {
	Mask, Dice, Heat string
	Labels           []NamedLabel
	Captions         []Caption // best first
	Similar          []Tile
}

// Caption is what a region shows in words.
type Caption struct {
	Text, Dice, Heat string
	Percent          int // how surely it is seen
}

// Form is how image generators take vectors.
type Form struct {
	Name, For string
	Misfit    string // the encoder that it needs, where the model in use is another
}

// NamedLabel is a name and how well it fits.
type NamedLabel struct {
	Text, Similarity string
	Score            float64
	Percent          int
}

// RegionOf shows a picture of the index to be painted on.
func RegionOf(in In, d *api.Document, labels, box string) RegionPage {
	l := LookAt(in, d, "")
	return RegionPage{
		Image: l.Image, ID: l.ID, Name: l.Name, Width: l.Width, Height: l.Height, Labels: labels, Box: box,
		In: in,
	}
}

// Said fills in what the regions that were found show in words.
func (p *RegionPage) Said(r *api.RegionResult) {
	for i, one := range r.Regions {
		for _, c := range one.Captions {
			p.Speaks = true
			p.Regions[i].Captions = append(p.Regions[i].Captions, Caption{
				Text: c.Text, Dice: strconv.FormatFloat(c.Dice, 'f', 2, 64), Heat: one.Heat, Percent: int(100*c.Score + 0.5),
			})
		}
	}
}

// Found fills in what was found.
func (p *RegionPage) Found(r *api.RegionResult) {
	p.Took = Took(r.TookMS)
	for _, one := range r.Regions {
		n := NamedRegion{Mask: one.Mask, Dice: strconv.FormatFloat(one.Dice, 'f', 2, 64), Heat: one.Heat}
		for _, l := range one.Labels {
			n.Labels = append(n.Labels, NamedLabel{
				Text: l.Text, Similarity: strconv.FormatFloat(l.Similarity, 'f', 3, 64), Score: l.Score, Percent: int(100*l.Score + 0.5),
			})
		}
		for _, h := range one.Similar {
			n.Similar = append(n.Similar, NewTile(p.In, h.ImageHit.ID, h.ImageHit.Path, h.ImageHit.Image))
		}
		p.Regions = append(p.Regions, n)
		p.Boxes = append(p.Boxes, api.PageBox{
			X: float64(one.Box[0]), Y: float64(one.Box[1]),
			Width: float64(one.Box[2] - one.Box[0]), Height: float64(one.Box[3] - one.Box[1]),
		})
	}
}

// ParseBox reads four numbers with commas between them.
func ParseBox(text string) ([]float64, bool) {
	var box []float64
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil {
			return nil, false
		}
		box = append(box, float64(n))
	}
	return box, len(box) == 4
}
