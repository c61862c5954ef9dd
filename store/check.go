package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"evident/document"
	"evident/internal/durable"
)

// Fault is what is wrong with one file of an index.
type Fault struct {
	File    string // its name in the folder of the index
	Detail  string
	Missing bool // there is no such file

	// What cannot be taken from the file any more and must be read again: the documents whose paths are
	// known, and how many others there are.
	Lost        []string
	LostUnnamed int
}

// Findings are what [Check] found.
type Findings struct {
	Faults []Fault // none for an index that is whole
	Files  int     // that were read
	Bytes  int64   // of these files
}

// Check reads every file of the index in dir, compares it with its checksums and with the manifest,
// and returns all that is wrong. It changes nothing and needs no lock: while a writer is at work it
// judges one generation. The error is [ErrNoIndex] where there is none and a [*VersionError] where it
// is of another format; damage is no error.
func Check(ctx context.Context, dir string) (*Findings, error) {
	for {
		p, err := diagnose(ctx, dir)
		if err != nil {
			return nil, fmt.Errorf("check index %q: %w", dir, err)
		}
		p.release()
		now, err := readManifest(dir)
		if err != nil || p.inPlace == nil || now.Generation == p.inPlace.Generation ||
			len(p.findings.Faults) == 0 {
			return &p.findings, nil
		}
		// A writer removed files meanwhile: they are of a generation that is no more.
	}
}

// patient is an index that may be damaged.
type patient struct {
	dir      string
	inPlace  *manifest // as read from its file; nil where that is damaged or of another index
	chosen   *manifest // to go by: inPlace, its copy, or one made from the batches
	batches  []*examined
	findings Findings
}

// examined is a batch and what of it is whole.
type examined struct {
	entry  batchEntry
	batch  *batch // nil where not even the document table is whole
	fault  *Fault
	broken map[uint32]bool // live documents that are not whole
}

// diagnose looks at everything. The batches that can be used are open afterwards.
func diagnose(ctx context.Context, dir string) (*patient, error) {
	p := &patient{dir: dir}
	if err := p.chooseManifest(); err != nil {
		return nil, err
	}
	for _, entry := range p.chosen.Batches {
		if err := ctx.Err(); err != nil {
			p.release()
			return nil, err
		}
		e, err := examine(dir, entry)
		if err != nil {
			p.release()
			return nil, err
		}
		p.batches = append(p.batches, e)
		if e.fault == nil || !e.fault.Missing {
			p.findings.Files++
			p.findings.Bytes += entry.Bytes
		}
		if e.fault != nil {
			p.findings.Faults = append(p.findings.Faults, *e.fault)
		}
	}
	return p, nil
}

// release gives the batches back.
func (p *patient) release() {
	for _, e := range p.batches {
		if e.batch != nil {
			e.batch.release()
		}
	}
}

// chooseManifest decides what the index is made of, and notes what is wrong with the manifests.
func (p *patient) chooseManifest() error {
	m, err := readManifest(p.dir)
	spare := readCopy(p.dir)
	var damage *DamagedError
	switch {
	case errors.As(err, &damage):
		path := filepath.Join(p.dir, manifestName)
		_, statErr := os.Stat(path)
		p.fault(Fault{File: manifestName, Detail: damage.Detail, Missing: errors.Is(statErr, fs.ErrNotExist)})
	case err != nil:
		return err
	case m.precedes(spare) && p.prefers(spare, m):
		p.fault(Fault{File: manifestName, Detail: "it is older than its copy, or of another index"})
	default:
		p.inPlace, p.chosen = m, m
		p.findings.Files++
	}
	if p.chosen != nil {
		p.checkCopy(spare)
		return nil
	}
	if spare == nil {
		spare, err = bareManifest(p.dir)
		if err != nil {
			return err
		}
	}
	if p.chosen, err = withUnnamed(p.dir, spare); err == nil {
		p.chosen.Generation += generationsUnknown
	}
	return err
}

// prefers says whether the copy of a manifest fits the folder better than what is in its place.
func (p *patient) prefers(spare, m *manifest) bool {
	with, without := fits(p.dir, spare), fits(p.dir, m)
	return with > without || with == without && spare.ID == m.ID
}

func (p *patient) fault(f Fault) { p.findings.Faults = append(p.findings.Faults, f) }

// checkCopy notes a second manifest that could not replace the first. That there is none is no fault:
// older programs did not write it.
func (p *patient) checkCopy(spare *manifest) {
	switch _, err := os.Stat(filepath.Join(p.dir, copyName)); {
	case err != nil:
	case spare == nil:
		p.fault(Fault{File: copyName, Detail: "it is not a manifest"})
	case p.inPlace.precedes(spare), spare.ID != p.inPlace.ID && p.inPlace.ID != "" && spare.ID != "":
		p.fault(Fault{File: copyName, Detail: "it is not a copy of this manifest"})
	default:
		p.findings.Files++
	}
}

// fits counts the batches of a manifest whose files are the ones it means.
func fits(dir string, m *manifest) int {
	n := 0
	for _, entry := range m.Batches {
		if b, err := openBatch(dir, entry); err == nil {
			b.release()
			n++
		}
	}
	return n
}

// examine opens a batch and reads all of it.
func examine(dir string, entry batchEntry) (*examined, error) {
	e := &examined{entry: entry}
	lost := func(format string, args ...any) *Fault {
		return &Fault{File: entry.File, Detail: fmt.Sprintf(format, args...), LostUnnamed: liveDocuments(entry)}
	}
	b, err := mapBatch(filepath.Join(dir, entry.File))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.fault = lost("it is missing")
		e.fault.Missing = true
		return e, nil
	case err != nil:
		return nil, err
	}
	var damage *DamagedError
	if int64(len(b.data)) != entry.Bytes {
		e.fault = lost("it has %d bytes, not %d", len(b.data), entry.Bytes)
	} else if err = b.parseTables(); errors.As(err, &damage) {
		e.fault = lost("%s", damage.Detail)
	} else if err != nil {
		b.release()
		return nil, err
	} else if !b.meant(entry) {
		e.fault = lost("it is whole, but not the file that the manifest means")
	}
	if e.fault != nil {
		b.release()
		return e, nil
	}
	e.batch = b
	e.readThrough()
	return e, nil
}

// readThrough reads all documents of a batch, and its segment.
func (e *examined) readThrough() {
	b := e.batch
	note := func(err error) *Fault {
		if e.fault == nil {
			detail := err.Error()
			var damage *DamagedError
			if errors.As(err, &damage) {
				detail = damage.Detail
			}
			e.fault = &Fault{File: e.entry.File, Detail: detail}
		}
		return e.fault
	}
	deleted := durable.Flags(e.entry.Deleted, e.entry.Documents)
	e.broken = map[uint32]bool{}
	for doc := range b.documents {
		r, _, _, err := b.whole(doc)
		if err == nil {
			continue
		}
		fault := note(err)
		switch {
		case deleted[doc]: // nobody misses it
		case r.path == "":
			e.broken[doc] = true
			fault.LostUnnamed++
		default:
			e.broken[doc] = true
			fault.Lost = append(fault.Lost, r.path)
		}
	}
	err := b.parseSegment()
	if err == nil {
		err = b.segment.Verify()
	}
	if err != nil {
		note(err)
	}
}

// whole reads a document and its passages, and checks them. With an error the record tells the path,
// if it could be read.
func (b *batch) whole(doc uint32) (record, *document.Document, []document.Passage, error) {
	r, err := b.record(doc)
	if err != nil {
		return r, nil, nil, err
	}
	d, err := b.document(&r)
	if err != nil {
		return r, nil, nil, err
	}
	passages := make([]document.Passage, 0, r.passageCount)
	for number := r.passages; number < r.passages+r.passageCount; number++ {
		p, of, _, err := b.passage(number)
		if err != nil {
			return r, nil, nil, err
		}
		if of.path != r.path {
			return r, nil, nil, damaged(b.path, "passage %d is not within %q", number, r.path)
		}
		passages = append(passages, p)
	}
	return r, d, passages, nil
}
