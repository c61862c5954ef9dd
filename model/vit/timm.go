package vit

import (
	"slices"

	"evident/internal/weights"
)

// TimmTower is the sizes of a tower with timm's names.
type TimmTower struct {
	Stack
	Patch      int
	Grid       [2]int // rows and columns of patches that the position table is for
	ClassToken bool
	Registers  int  // tokens between the class token and the patches
	BareFirst  bool // class token and registers have no positions (timm's no_embed_class)
	PreNorm    bool // a LayerNorm before the first block, which leaves the patches no bias
	Pool       func() Pool
}

// ReadTimm reads a tower whose names begin with prefix; the last LayerNorm belongs to the pool. After an error
// of r it returns nil.
func ReadTimm(r *weights.Reader, prefix string, c TimmTower) *Tower {
	d, cells := c.Width, c.Grid[0]*c.Grid[1]
	p := Parts{Width: d, Patch: c.Patch, Grid: c.Grid}
	p.Patches = r.Tensor(prefix+"patch_embed.proj.weight", d, 3, c.Patch, c.Patch)
	if c.PreNorm {
		p.PreNorm = ReadNorm(r, prefix+"norm_pre", d, c.Epsilon)
	} else {
		p.PatchBias = r.Tensor(prefix+"patch_embed.proj.bias", d)
	}
	if c.ClassToken {
		p.First = r.Tensor(prefix+"cls_token", 1, 1, d)
	}
	if c.Registers > 0 {
		p.First = slices.Concat(p.First, r.Tensor(prefix+"reg_token", 1, c.Registers, d))
	}
	if c.BareFirst {
		p.Positions = r.Tensor(prefix+"pos_embed", 1, cells, d)
	} else if table := r.Tensor(prefix+"pos_embed", 1, len(p.First)/d+cells, d); table != nil {
		for i := range p.First {
			p.First[i] += table[i]
		}
		p.Positions = table[len(p.First):]
	}
	p.Blocks = Timm.Blocks(r, prefix, c.Stack)
	p.Pool = c.Pool()
	if r.Err() != nil {
		return nil
	}
	return New(p)
}
