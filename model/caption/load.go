package caption

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"evident/internal/weights"
	"evident/model/vit"
	"evident/nn"
)

// config is config.json of a decoder's folder.
type config struct {
	Architectures []string `json:"architectures"`
	Size          int      `json:"embedding_size"`
	Width         int      `json:"width"`
	Layers        int      `json:"layers"`
	Heads         int      `json:"heads"`
	Wide          int      `json:"mlp_width"`
	Activation    string   `json:"activation"`
	Epsilon       float32  `json:"layer_norm_eps"`
	Pieces        int      `json:"pieces"`
	Length        int      `json:"max_length"`
	End           int      `json:"end"`
	Rare          int      `json:"rare"`
	Memory        []struct {
		Kind string `json:"kind"`
		Rows int    `json:"rows"`
	} `json:"memory"`
	Probe   string      `json:"probe"`
	Reading readingFile `json:"reading"`
}

// readingFile is [Reading] as config.json writes it.
type readingFile struct {
	Picture     projectionFile `json:"picture"`
	Region      projectionFile `json:"region"`
	Beams       int            `json:"beams"`
	LengthPower float64        `json:"length_power"`
}

type projectionFile struct {
	Memory      []string `json:"memory"`
	Temperature float64  `json:"temperature"`
}

func (f *readingFile) reading() Reading {
	return Reading{
		Projections: [2]Projection{Picture: Projection(f.Picture), Region: Projection(f.Region)},
		Beams:       f.Beams, LengthPower: f.LengthPower,
	}
}

const architecture = "EvidentCaption"

// check refuses what this package would compute wrongly.
func (c *config) check() error {
	if len(c.Architectures) != 1 || c.Architectures[0] != architecture {
		return fmt.Errorf("the architecture is %q, want %q", c.Architectures, architecture)
	}
	if c.Activation != "gelu" {
		return fmt.Errorf("activation is %q, only gelu is known", c.Activation)
	}
	for name, n := range map[string]int{
		"embedding_size": c.Size, "width": c.Width, "layers": c.Layers, "heads": c.Heads, "mlp_width": c.Wide,
		"pieces": c.Pieces, "max_length": c.Length,
	} {
		if n <= 0 || n > 1<<16 {
			return fmt.Errorf("%s is %d", name, n)
		}
	}
	if c.Width%c.Heads != 0 || c.Length < 2 {
		return fmt.Errorf("%d heads do not divide the width %d, or there is no room for a piece in %d tokens",
			c.Heads, c.Width, c.Length)
	}
	if c.End < 0 || c.End >= c.Pieces || c.Rare < 0 || c.Rare >= c.Pieces || c.End == c.Rare {
		return fmt.Errorf("end is %d and rare %d, of %d pieces", c.End, c.Rare, c.Pieces)
	}
	for _, k := range c.Memory {
		if k.Rows < 0 || k.Rows > 1<<24 {
			return fmt.Errorf("memory has %d rows of %q", k.Rows, k.Kind)
		}
	}
	return nil
}

// Load reads a decoder from its folder: config.json, model.safetensors and pieces.txt, as training/caption writes them
// (docs/format/caption.md). A tensor that is missing, left over or of another shape than the config promises is an error
// that names it. Products are of float32: the decoder is small, and what it says does not depend on the CPU.
func Load(folder fs.FS) (d *Decoder, err error) {
	data, err := fs.ReadFile(folder, "config.json")
	if err != nil {
		return nil, fmt.Errorf("read decoder of captions: %w", err)
	}
	c := new(config)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("read decoder of captions: config.json: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("read decoder of captions: config.json: %w", err)
	}
	pieces, err := readPieces(folder, c.Pieces)
	if err != nil {
		return nil, fmt.Errorf("read decoder of captions: %w", err)
	}
	file, err := weights.OpenFS(folder, "model.safetensors")
	if err != nil {
		return nil, fmt.Errorf("read decoder of captions: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := weights.NewReader(file)
	d = c.read(r)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("read decoder of captions: %w", err)
	}
	d.pieces, d.reading = pieces, c.Reading.reading()
	if err := d.reading.check(d); err != nil {
		return nil, fmt.Errorf("read decoder of captions: config.json: %w", err)
	}
	return d, nil
}

// read reads the tensors.
func (c *config) read(r *weights.Reader) *Decoder {
	d := c.Width
	stack := vit.Stack{
		Width: d, Layers: c.Layers, Heads: c.Heads, Wide: c.Wide, Epsilon: c.Epsilon, Activation: nn.GELU, Precision: nn.FP32,
	}
	m := &memory{size: c.Size}
	rows := 0
	for _, k := range c.Memory {
		m.kinds = append(m.kinds, memoryKind{k.Kind, rows, rows + k.Rows})
		rows += k.Rows
	}
	m.rows = r.Tensor("memory", rows, c.Size)
	for row := range slices.Chunk(m.rows, c.Size) {
		vit.Normalise(row) // rounded when they were stored
	}
	return &Decoder{
		Size: c.Size, Length: c.Length, Probe: Probe{c.Probe, r.Tensor("probe", c.Size)}, width: d,
		prefix: vit.ReadLinear(r, "prefix", c.Size, d, nn.FP32), tokens: r.Table("tokens.weight", c.Pieces, d),
		positions: r.Tensor("positions", c.Length, d),
		encoder:   nn.Encoder{Width: d, Layers: vit.Timm.Blocks(r, "", stack), Causal: true},
		norm:      vit.ReadNorm(r, "norm", d, c.Epsilon), logits: vit.ReadBare(r, "tokens.weight", d, c.Pieces, nn.FP32),
		end: c.End, rare: c.Rare, memory: m,
	}
}

// readPieces reads pieces.txt, a word piece a line.
func readPieces(folder fs.FS, count int) ([]string, error) {
	data, err := fs.ReadFile(folder, "pieces.txt")
	if err != nil {
		return nil, err
	}
	pieces := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(pieces) != count {
		return nil, fmt.Errorf("pieces.txt has %d lines, config.json promises %d", len(pieces), count)
	}
	return pieces, nil
}
