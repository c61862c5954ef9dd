package photos

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Part is what photos may be used for.
type Part string

// The parts. No photo has two.
const (
	Test   Part = "test"   // to report on
	Choose Part = "choose" // to choose thresholds and settings by
	Train  Part = "train"
	All    Part = "all" // every photo, whatever it is for
)

// ParsePart returns the part of that name.
func ParsePart(name string) (Part, error) {
	switch p := Part(name); p {
	case Test, Choose, Train, All:
		return p, nil
	}
	return "", fmt.Errorf("part %q is not known: there are test, choose, train, all", name)
}

// none is the part of photos that a set with splits leaves out of them.
const none Part = ""

// part says what a photo is for: in a set with splits what its own says; else, of the sets that the default model
// was trained with, what training/vision/data.py decides by its line; else it is for tests.
func (s *Set) part(p *Photo, splits bool) Part {
	switch p.Split {
	case "train":
		return Train
	case "val", "dev", "validation":
		return Choose
	case "test":
		return Test
	}
	if splits {
		return none
	}
	switch s.Name {
	case "coco-seg": // even lines, counted from 1, are for tests; of the odd ones every sixth chooses
		if p.Line%2 == 1 {
			return Test
		}
		if p.Line/2%6 == 5 {
			return Choose
		}
		return Train
	case "voc2007-boxes":
		switch {
		case p.Line%4 == 0:
			return Test
		case p.Line%8 == 1:
			return Choose
		}
		return Train
	}
	return Test
}

// splits reports whether any photo has a split.
func (s *Set) splits() bool {
	for i := range s.Photos {
		if s.Photos[i].Split != "" {
			return true
		}
	}
	return false
}

// Select returns the photos of a part, at most limit of them, drawn at random but always the same for one
// seed, in their order. A limit of 0 or less is none. A part without a photo is an error.
func (s *Set) Select(part Part, limit int, seed uint64) ([]*Photo, error) {
	var chosen []*Photo
	splits := s.splits()
	for i := range s.Photos {
		if part == All || s.part(&s.Photos[i], splits) == part {
			chosen = append(chosen, &s.Photos[i])
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no photo of %s is of the part %q", s.Name, part)
	}
	if limit <= 0 || limit >= len(chosen) {
		return chosen, nil
	}
	order := rand.New(rand.NewPCG(seed, 0x5ca1ab1e)).Perm(len(chosen))[:limit]
	slices.Sort(order)
	drawn := make([]*Photo, limit)
	for i, at := range order {
		drawn[i] = chosen[at]
	}
	return drawn, nil
}

// spoken is how PASCAL VOC's class names are said.
var spoken = map[string]string{
	"aeroplane": "airplane", "diningtable": "dining table", "pottedplant": "potted plant",
	"tvmonitor": "tv monitor", "motorbike": "motorcycle",
}

// Spoken returns a class name as one would say it: VOC's "tvmonitor" is a tv monitor.
func Spoken(class string) string {
	if word, ok := spoken[class]; ok {
		return word
	}
	return class
}

// Captions returns the captions of all photos of a part, in order; none where the set has none of them.
func (s *Set) Captions(part Part) []string {
	var all []string
	splits := s.splits()
	for i := range s.Photos {
		if part == All || s.part(&s.Photos[i], splits) == part {
			all = append(all, s.Photos[i].Captions...)
		}
	}
	return all
}
