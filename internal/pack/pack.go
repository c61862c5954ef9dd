// Package pack keeps a model's weights in the form they are multiplied in, in a file beside the model
// that is mapped into memory: converted once, and then there at once. docs/format/packed-weights.md
// describes the file.
//
// A cache is a memory of pure functions. A section is what comes out of the source's bytes under a
// [Key] by the rules of this version of the program ([Layout]); so a file holds for exactly one
// [identity] of the source and one Layout, and a section that a file does not have is computed. What
// is stale, damaged or of another version is therefore never an error and never trusted: it is made
// again.
//
// A nil *Cache keeps nothing, and every section is computed.
package pack

import (
	"fmt"
	"io/fs"
	"math"
	"slices"
	"time"

	"evident/internal/durable"
)

// Layout is the version of what stands inside sections: raise it when kernel's panels change, or how
// weights become what a section holds. TestLayoutIsPinned in package nn fails when it was forgotten.
const Layout = 1

// Options says where a cache may lie.
type Options struct {
	Dir       string           // evident's cache folder; "" means that nothing is kept
	Precision string           // of the arithmetic that the sections are for: a file holds one
	Now       func() time.Time // the clock; nil means time.Now

	disk durable.FS // that is written to; nil means the machine's
}

// Cache holds sections of one model in one precision. It is filled by one goroutine; afterwards the
// bytes it returned may be read by any number.
//
// The bytes of a mapped section live as long as the Cache is reachable, and no longer: whoever keeps
// them keeps the Cache as well, and says runtime.KeepAlive(cache) after reading.
type Cache struct {
	plan  plan
	names header   // of files that are written: precision and identity
	file  *mapping // sound sections; nil where there was no file to use
	made  []section
	depth int // of sections that are being made
	state Report
}

// State says what a cache did for its model.
type State string

// The states.
const (
	Off    State = "off"      // nothing is kept: no folder was given, or the model has no place
	Used   State = "used"     // all sections came from the file
	Made   State = "made"     // the file was written
	Failed State = "not kept" // the file could not be written
)

// Report says what became of a cache.
type Report struct {
	State State
	Path  string // of the file; "" when there is none
	Cause error  // Made: why an older file was not used, or nil; Failed: why none could be written
}

// String is a clause for people.
func (r Report) String() string {
	switch {
	case r.State == Used:
		return "packed weights from " + r.Path
	case r.State == Made && r.Cause != nil:
		return fmt.Sprintf("packed weights written to %s anew: %v", r.Path, r.Cause)
	case r.State == Made:
		return "packed weights written to " + r.Path
	case r.State == Failed:
		return fmt.Sprintf("packed weights cannot be kept, so that every start makes them: %v", r.Cause)
	}
	return "no packed weights are kept"
}

// Key names a section. Sections of different keys have nothing to do with each other.
type Key struct {
	Name  string `json:"name"`            // of the tensor, or of the first of several
	Form  string `json:"form"`            // how its numbers lie
	Shape []int  `json:"shape,omitempty"` // what the model wants the tensor to be
}

func (k Key) equal(o Key) bool {
	return k.Name == o.Name && k.Form == o.Form && slices.Equal(k.Shape, o.Shape)
}

// section is a piece of a file, or one that will be.
type section struct {
	Key
	data []byte
}

// Open finds the cache of a model whose weights and settings are in the named files of a folder, where
// one of these holds: the folder is one of the system's (os.DirFS), or a [Digested]. It returns nil
// where nothing can be kept. Files that cannot be used are as good as none.
func Open(folder fs.FS, files []string, o Options) *Cache {
	if o.Dir == "" || !littleEndian {
		return nil
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.disk == nil {
		o.disk = durable.Disk{}
	}
	c := &Cache{plan: plan{folder: folder, files: files, now: o.Now, disk: o.disk}}
	places, ok := c.plan.places(o)
	if !ok {
		return nil
	}
	c.plan.candidates = places
	id, err := c.plan.identify()
	if err != nil {
		return nil // whoever reads the source will say what is wrong with it
	}
	c.names = header{Layout: Layout, Precision: o.Precision, Identity: id}
	for _, place := range places {
		file, err := openFile(place.path, c.names)
		if err == nil {
			c.file, c.state.Path, c.state.Cause = file, place.path, nil
			return c
		}
		if c.state.Cause == nil && !isMissing(err) {
			c.state.Cause = err
		}
	}
	return c
}

// Complete reports whether the file had every section asked for so far, and there is a file.
func (c *Cache) Complete() bool { return c != nil && c.file != nil && len(c.made) == 0 }

// Section returns the bytes of a section, which nobody may change: those of the file, or else what
// fill returns. They begin on a cache line. Sections that fill asks for are its ingredients, and are
// computed and not kept.
func (c *Cache) Section(k Key, fill func() ([]byte, error)) ([]byte, error) {
	if c == nil || c.depth > 0 {
		return fill()
	}
	if data, ok := c.find(k); ok {
		return data, nil
	}
	c.depth++
	data, err := fill()
	c.depth--
	if err != nil {
		return nil, err
	}
	c.made = append(c.made, section{k, data})
	return data, nil
}

func (c *Cache) find(k Key) ([]byte, bool) {
	if c.file != nil {
		if data, ok := c.file.find(k); ok {
			return data, true
		}
	}
	for _, s := range c.made {
		if s.equal(k) {
			return s.data, true
		}
	}
	return nil, false
}

// Ingredient reports whether what is asked for now is an ingredient of a section, or nothing is kept:
// it need not outlive the call.
func (c *Cache) Ingredient() bool { return c == nil || c.depth > 0 }

// Keep writes what was made to a file, when anything was. Call it once, when the model is whole: what
// cannot be written is not kept, which only [Cache.Report] tells.
func (c *Cache) Keep() {
	switch {
	case c == nil:
		return
	case c.Complete():
		c.state.State = Used
		return
	case len(c.made) == 0:
		return // nothing was asked for
	}
	all := c.made
	if c.file != nil { // sound, but not all that this model needs
		all = slices.Concat(c.file.sections, c.made)
	}
	path, err := c.write(all)
	if err != nil {
		c.state = Report{State: Failed, Cause: err}
	} else {
		c.state.State, c.state.Path = Made, path
	}
	c.made = nil
}

// Report says what became of the cache, after [Cache.Keep].
func (c *Cache) Report() Report {
	if c == nil || c.state.State == "" {
		return Report{State: Off}
	}
	return c.state
}

// alignment of sections: a cache line, and a page for what is larger.
const (
	line = 64
	page = 4096
)

func alignUp(n, to int) int { return (n + to - 1) / to * to }

// place returns where sections lie in a file, the first one at from, and where the file ends.
func place(sections []section, from int) (offsets []int, size int, err error) {
	at := from
	for _, s := range sections {
		to := line
		if len(s.data) >= page {
			to = page
		}
		if at > math.MaxInt-len(s.data)-2*page {
			return nil, 0, fmt.Errorf("%d sections are too large for a file", len(sections))
		}
		at = alignUp(at, to)
		offsets = append(offsets, at)
		at += len(s.data)
	}
	return offsets, alignUp(at, line), nil
}
