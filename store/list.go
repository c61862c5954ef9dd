package store

import (
	"errors"
	"fmt"

	"evident/document"
)

// Entry is what a snapshot says of a document without reading its text.
type Entry struct {
	Path, Format, Title string
	SHA256              string // of the stored text, hex
	TextBytes           int
	Picture             *document.Picture // of a picture
}

// Entries returns all documents and pictures, in the order in which they were put.
func (s *Snapshot) Entries() ([]Entry, error) {
	var entries []Entry
	var bad error
	err := s.eachLive(func(_ int, r *record) {
		e := Entry{
			Path: r.path, Format: r.format, Title: r.title,
			SHA256: r.hash(), TextBytes: int(r.textLen),
		}
		if isPictureFormat(r.format) {
			doc := &document.Document{}
			if err := parseMarks(r.marks, doc); err != nil && bad == nil {
				bad = fmt.Errorf("picture %q: %w", r.path, errors.Join(errRecord, err))
			}
			e.Picture = doc.Picture
		}
		entries = append(entries, e)
	})
	return entries, errors.Join(err, bad)
}
