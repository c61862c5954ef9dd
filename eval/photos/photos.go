// Package photos reads sets of images with what is known of them: a folder or a tar file that holds the images
// and a manifest.jsonl, one line an image.
//
// A tar file is read in place: its headers once, an image when it is asked for. Nothing is extracted.
package photos

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"evident/internal/mask"
)

// Photo is one line of a manifest. What the set does not know is empty.
type Photo struct {
	Line     int      `json:"-"`     // from 0
	Image    string   `json:"image"` // name of its file in the set
	Width    int      `json:"width"`
	Height   int      `json:"height"`
	Labels   []string `json:"labels"`
	Captions []string `json:"captions"`
	Split    string   `json:"split"`
	Class    *int     `json:"class_index"`
	Boxes    []Box    `json:"boxes"`
	Masks    []Object `json:"masks"`
}

// Box is where an object is: left, top, right, bottom in pixels.
type Box struct {
	Class string     `json:"class"`
	Box   [4]float64 `json:"box"`
}

// Object is an object with its outline.
type Object struct {
	Class string   `json:"class"`
	RLE   mask.RLE `json:"rle"`
	Thing *int     `json:"isthing"` // 0 is stuff, as sky and grass; without it everything is a thing
	Crowd *int     `json:"iscrowd"` // 1 is many things in one outline
}

// Set is an open set of photos. It is safe for concurrent use.
type Set struct {
	Name   string // of the folder or file, without its ending
	Photos []Photo

	files source
}

// source is where the files of a set lie.
type source interface {
	open(name string) (io.ReadCloser, int64, error) // and its size in bytes
	Close() error
}

const (
	manifest         = "manifest.jsonl"
	manifestBytesMax = 1 << 30
	photoBytesMax    = 256 << 20
	lineBytesMax     = 64 << 20
)

// Open opens a folder or a tar file. Close it after use.
func Open(path string) (*Set, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	base := filepath.Base(path)
	s := &Set{Name: strings.TrimSuffix(base, filepath.Ext(base))}
	if info.IsDir() {
		s.Name = base
		s.files, err = openFolder(path)
	} else {
		s.files, err = openTar(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read photos %s: %w", path, err)
	}
	if err := s.readManifest(); err != nil {
		s.Close()
		return nil, fmt.Errorf("read photos %s: %w", path, err)
	}
	return s, nil
}

// Close closes the set's file.
func (s *Set) Close() error { return s.files.Close() }

func (s *Set) readManifest() error {
	r, size, err := s.files.open(manifest)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("it has no %s", manifest)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	if size > manifestBytesMax {
		return fmt.Errorf("%s has %d bytes, at most %d are read", manifest, size, manifestBytesMax)
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, lineBytesMax)
	for n := 0; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		p := Photo{Line: n}
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return fmt.Errorf("%s line %d: %w", manifest, n+1, err)
		}
		if p.Image == "" {
			return fmt.Errorf("%s line %d: no image", manifest, n+1)
		}
		s.Photos = append(s.Photos, p)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", manifest, err)
	}
	if len(s.Photos) == 0 {
		return fmt.Errorf("%s is empty", manifest)
	}
	return nil
}

// Read returns the bytes of a photo's file.
func (s *Set) Read(p *Photo) ([]byte, error) {
	r, size, err := s.files.open(p.Image)
	if err != nil {
		return nil, fmt.Errorf("photo %s: %w", p.Image, err)
	}
	defer r.Close()
	if size > photoBytesMax {
		return nil, fmt.Errorf("photo %s has %d bytes, at most %d are read", p.Image, size, photoBytesMax)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("photo %s: %w", p.Image, err)
	}
	return data, nil
}

// Regions returns the outlines of the photo's things, those of one class together, in the order in which
// classes first occur. Stuff is left out.
func (p *Photo) Regions() ([]mask.Region, error) {
	var regions []mask.Region
	place := map[string]int{}
	for i := range p.Masks {
		o := &p.Masks[i]
		if !o.thing() {
			continue
		}
		m, err := o.RLE.Mask()
		if err != nil {
			return nil, fmt.Errorf("photo %s, mask %d: %w", p.Image, i, err)
		}
		at, seen := place[o.Class]
		if !seen {
			place[o.Class] = len(regions)
			regions = append(regions, mask.Region{Name: o.Class, Mask: m})
			continue
		}
		if regions[at].Mask, err = mask.Union(regions[at].Mask, m); err != nil {
			return nil, fmt.Errorf("photo %s, mask %d: %w", p.Image, i, err)
		}
	}
	return regions, nil
}
