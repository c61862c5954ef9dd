package mask

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Region is a mask with a name.
type Region struct {
	Name string
	*Mask
}

// description is one region of a JSON file.
type description struct {
	Name     string `json:"name"`
	Class    string `json:"class"`
	Category string `json:"category"`

	RLE          *RLE            `json:"rle"`
	Segmentation json.RawMessage `json:"segmentation"` // COCO's: run lengths, or polygons
	Polygon      []float64       `json:"polygon"`
	Polygons     [][]float64     `json:"polygons"`
	Box          []float64       `json:"box"`  // left, top, right, bottom
	BBox         []float64       `json:"bbox"` // COCO's: left, top, width, height
	Circle       []float64       `json:"circle"`
	Points       [][2]float64    `json:"points"`
	Radius       float64         `json:"radius"`

	Size   []int           `json:"size"` // of bare run lengths: {"size": …, "counts": …}
	Counts json.RawMessage `json:"counts"`
}

// ReadJSON reads the regions of an image of width x height pixels. The file is one region, a list of them,
// or an object with the list under "masks" or, as COCO has it, "annotations". A region has one of
//
//	"rle": {"size": [h, w], "counts": …}    "segmentation": COCO's run lengths or polygons
//	"polygon": [x, y, …]                    "polygons": [[x, y, …], …]
//	"box": [left, top, right, bottom]       "bbox": [left, top, width, height]
//	"circle": [x, y, radius]                "points": [[x, y], …], "radius": r
//
// and may have a "name" ("class", "category"). As in COCO's files a "segmentation" goes before a "bbox". Run
// lengths of another size than the image's are resampled. A region without a pixel is an error that
// says which.
func ReadJSON(data []byte, width, height int) ([]Region, error) {
	if err := checkSize(width, height); err != nil {
		return nil, fmt.Errorf("read masks: %w", err)
	}
	all, err := descriptions(data)
	if err != nil {
		return nil, fmt.Errorf("read masks: %w", err)
	}
	if len(all) > PixelsMax/(width*height) {
		return nil, fmt.Errorf("read masks: %d masks of %d x %d are more than %d pixels",
			len(all), width, height, PixelsMax)
	}
	regions := make([]Region, len(all))
	for i, d := range all {
		m, err := d.mask(width, height)
		if err == nil && m.Empty() {
			err = ErrEmpty
		}
		if err != nil {
			return nil, fmt.Errorf("read masks: mask %d: %w", i, err)
		}
		for _, name := range []string{d.Category, d.Class, d.Name} {
			if name != "" {
				regions[i].Name = name
			}
		}
		regions[i].Mask = m
	}
	return regions, nil
}

func descriptions(data []byte) ([]description, error) {
	data = bytes.TrimSpace(data)
	var list []json.RawMessage
	if len(data) > 0 && data[0] == '[' {
		if err := json.Unmarshal(data, &list); err != nil {
			return nil, err
		}
	} else {
		var file struct {
			Masks       []json.RawMessage `json:"masks"`
			Annotations []json.RawMessage `json:"annotations"`
		}
		if err := json.Unmarshal(data, &file); err != nil {
			return nil, err
		}
		if list = append(file.Masks, file.Annotations...); file.Masks == nil && file.Annotations == nil {
			list = []json.RawMessage{data}
		}
	}
	if len(list) == 0 {
		return nil, errors.New("the list of masks is empty")
	}
	all := make([]description, len(list))
	for i, one := range list {
		if err := json.Unmarshal(one, &all[i]); err != nil {
			return nil, fmt.Errorf("mask %d: %w", i, err)
		}
		if all[i].Counts != nil {
			all[i].RLE = new(RLE)
			if err := json.Unmarshal(one, all[i].RLE); err != nil {
				return nil, fmt.Errorf("mask %d: %w", i, err)
			}
		}
	}
	return all, nil
}

// mask makes the region.
func (d *description) mask(width, height int) (*Mask, error) {
	switch {
	case d.Segmentation != nil:
		return segmentation(d.Segmentation, width, height)
	case d.RLE != nil:
		return d.RLE.sized(width, height)
	case d.Polygon != nil:
		return Polygon(width, height, d.Polygon)
	case d.Polygons != nil:
		return Polygon(width, height, d.Polygons...)
	case len(d.Box) == 4:
		return Box(width, height, d.Box[0], d.Box[1], d.Box[2], d.Box[3])
	case len(d.BBox) == 4:
		return Box(width, height, d.BBox[0], d.BBox[1], d.BBox[0]+d.BBox[2], d.BBox[1]+d.BBox[3])
	case len(d.Circle) == 3:
		return Circle(width, height, d.Circle[0], d.Circle[1], d.Circle[2])
	case d.Points != nil:
		return Points(width, height, d.Points, d.Radius)
	}
	return nil, errors.New(`want one of "rle", "segmentation", "polygon", "polygons", ` +
		`"box" or "bbox" of four numbers, "circle" of three, "points"`)
}

func segmentation(data json.RawMessage, width, height int) (*Mask, error) {
	var polygons [][]float64
	if err := json.Unmarshal(data, &polygons); err == nil {
		return Polygon(width, height, polygons...)
	}
	r := new(RLE)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("segmentation: neither polygons nor run lengths: %w", err)
	}
	return r.sized(width, height)
}

// sized expands run lengths for an image of this size.
func (r *RLE) sized(width, height int) (*Mask, error) {
	m, err := r.Mask()
	if err != nil || r.Width == width && r.Height == height {
		return m, err
	}
	return m.Resize(width, height)
}
