package pack

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"evident/internal/durable"
)

// candidate is a place where a cache may lie.
type candidate struct {
	path   string
	beside bool // the model: for whoever may read the model
}

// extension of cache files. There is one file a model and precision in a place; a newer one takes the
// older one's name, so that none is left behind.
const extension = ".packed"

// unfinished is how the names of files end that are being written.
const unfinished = ".new"

// leftoverAge is when a file that was never finished is taken for one whose writer is gone.
const leftoverAge = time.Hour

// places returns where the cache of the plan's model may lie, and false where it has no place.
func (p *plan) places(o Options) ([]candidate, bool) {
	if d, ok := p.folder.(Digested); ok {
		return []candidate{{path: filepath.Join(o.Dir, d.Name()+"-"+o.Precision+extension)}}, true
	}
	if len(p.files) == 0 {
		return nil, false
	}
	file, err := p.folder.Open(p.files[0])
	if err != nil {
		return nil, false
	}
	defer file.Close()
	real, ok := file.(*os.File)
	if !ok {
		return nil, false
	}
	dir, err := filepath.Abs(filepath.Dir(real.Name()))
	if err != nil {
		return nil, false
	}
	sum := sha256.Sum256([]byte(dir)) // folders of one name do not share a file
	name := filepath.Base(dir) + "-" + hex.EncodeToString(sum[:5]) + "-" + o.Precision + extension
	return []candidate{
		{path: filepath.Join(dir, "evident-"+o.Precision+extension), beside: true},
		{path: filepath.Join(o.Dir, name)},
	}, true
}

// write writes a cache of these sections to the first place that takes it.
func (c *Cache) write(sections []section) (path string, err error) {
	now, err := c.plan.identify()
	if err != nil {
		return "", err
	}
	if now != c.names.Identity {
		return "", errors.New("the model was changed while it was read")
	}
	head, padding, err := encode(c.names, sections)
	if err != nil {
		return "", err
	}
	var failed error
	for _, place := range c.plan.candidates {
		err := place.write(c.plan.disk, c.plan.now(), c.plan.mode(place), func(w io.Writer) error {
			return writeAll(w, head, sections, padding)
		})
		if err == nil {
			return place.path, nil
		}
		failed = errors.Join(failed, err)
	}
	return "", failed
}

func writeAll(w io.Writer, head []byte, sections []section, padding []int) error {
	if _, err := w.Write(head); err != nil {
		return err
	}
	for i, s := range sections {
		if _, err := w.Write(s.data); err != nil {
			return err
		}
		if _, err := w.Write(make([]byte, padding[i])); err != nil {
			return err
		}
	}
	return nil
}

// mode returns who may read the file: beside a model whoever may read the model, else its owner.
func (p *plan) mode(c candidate) fs.FileMode {
	const private = 0o600
	if !c.beside {
		return private
	}
	info, err := fs.Stat(p.folder, p.files[0])
	if err != nil {
		return private
	}
	return info.Mode().Perm()&0o444 | private
}

// write puts a file in its place: under another name, synced, then renamed, so that at any time the
// name stands for a whole file or none. Of several writers the last one stays; they write the same.
func (c candidate) write(disk durable.FS, now time.Time, mode fs.FileMode, content func(io.Writer) error) error {
	dir, name := filepath.Split(c.path)
	if !c.beside {
		if err := disk.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	removeLeftovers(disk, now, dir, name)
	aside := c.path + "." + rand.Text() + unfinished
	f, err := disk.CreateNew(aside, mode)
	if err != nil {
		return err
	}
	err = fill(f, content)
	if err == nil {
		err = disk.Rename(aside, c.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", c.path, err), disk.Remove(aside))
	}
	return nil // whether the name outlasts a power cut does not matter: a file can be made again
}

func fill(f durable.File, content func(io.Writer) error) error {
	w := bufio.NewWriterSize(f, 1<<20)
	err := content(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// removeLeftovers removes what writers that were killed have left.
func removeLeftovers(disk durable.FS, now time.Time, dir, name string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), name+".") || !strings.HasSuffix(e.Name(), unfinished) {
			continue
		}
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > leftoverAge {
			_ = disk.Remove(filepath.Join(dir, e.Name())) // or somebody else does
		}
	}
}
