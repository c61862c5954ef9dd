package photos

import (
	"fmt"
	"slices"

	"evident/internal/mask"
)

// Instances returns the outlines of the photo's things, each thing by itself, in the manifest's order. Stuff is left
// out, and crowds: they are no single thing.
func (p *Photo) Instances() ([]mask.Region, error) {
	var all []mask.Region
	for i := range p.Masks {
		o := &p.Masks[i]
		if !o.thing() || o.crowd() {
			continue
		}
		m, err := o.RLE.Mask()
		if err != nil {
			return nil, fmt.Errorf("photo %s, mask %d: %w", p.Image, i, err)
		}
		all = append(all, mask.Region{Name: o.Class, Mask: m})
	}
	return all, nil
}

func (o *Object) thing() bool { return o.Thing == nil || *o.Thing != 0 }

func (o *Object) crowd() bool { return o.Crowd != nil && *o.Crowd != 0 }

// Things returns the classes of all things in the set that have an outline, whatever the photo is for, by name.
func (s *Set) Things() []string {
	var names []string
	for i := range s.Photos {
		for j := range s.Photos[i].Masks {
			if o := &s.Photos[i].Masks[j]; o.thing() {
				names = append(names, o.Class)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
