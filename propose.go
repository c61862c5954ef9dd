package evident

import (
	"context"
	"fmt"

	"evident/internal/region"
)

// ProposeOptions tunes [Vision.Propose]. The zero value is the model's own setting.
type ProposeOptions struct {
	Count int // regions at most; 0 means 20
	Size  int // pixels a side that the model looks at
}

// Propose finds regions of a picture that could be things, for those who have no masks: the most likely first, named
// "region 1" and so on. It knows no classes: patches that look alike to the model are merged (docs/regions.md).
// Regions may overlap, and lie in each other. A picture without structure has few or none.
func (v *Vision) Propose(ctx context.Context, photo *Photo, o ProposeOptions) ([]Mask, error) {
	seer, err := v.seer(ctx, RegionOptions{Size: o.Size})
	if err != nil {
		return nil, err
	}
	found, err := seer.Propose(ctx, photo.image, region.ProposeOptions{Count: o.Count})
	if err != nil {
		return nil, fmt.Errorf("propose regions of %s: %w", photo.Path, err)
	}
	masks := make([]Mask, len(found))
	for i, m := range found {
		masks[i] = Mask{Name: fmt.Sprintf("region %d", i+1), mask: m}
	}
	return masks, nil
}
