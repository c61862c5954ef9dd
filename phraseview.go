package evident

import (
	"fmt"
	"strconv"
	"strings"

	"evident/efficientqa"
	"evident/store"
	"evident/vector"
)

// phrasePlace is where a phrase stands in its document.
type phrasePlace struct {
	start, length int // bytes of the stored text
	passage       int // within its block
}

// id packs a place into the ID of a vector. A phrase longer than 64 KiB has none; nobody misses it.
func (p phrasePlace) id() (uint64, bool) {
	const lengthMax = 1<<16 - 1
	return uint64(p.start)<<32 | uint64(p.length)<<16 | uint64(p.passage), p.length <= lengthMax
}

func placeOf(id uint64) phrasePlace {
	return phrasePlace{int(id >> 32), int(uint16(id >> 16)), int(uint16(id))}
}

// phraseView finds the documents of groups in one state of the index.
type phraseView struct {
	*view
	documents map[string][]store.StoredDocument // by phraseDocument
	uncovered int                               // documents, of which nothing was encoded yet
}

// phraseView looks up the documents of a state; with vectors, also which have no phrases.
func (v *view) phraseView(groups map[string]bool) (*phraseView, error) {
	documents, err := v.snapshot.Documents()
	if err != nil {
		return nil, fmt.Errorf("read index %q: %w", v.index.dir, public(err))
	}
	p := &phraseView{view: v, documents: map[string][]store.StoredDocument{}}
	for _, d := range documents {
		name := phraseDocument(d)
		p.documents[name] = append(p.documents[name], d)
		if !groups[passageBlock{d, 0}.key()] {
			p.uncovered++
		}
	}
	return p, nil
}

// of returns the documents of a group and the number of its block.
func (p *phraseView) of(group string) (documents []store.StoredDocument, block int, err error) {
	at := strings.LastIndexByte(group, ':')
	if at < 0 {
		return nil, 0, fmt.Errorf("phrases of index %q: no group is called %q: %w", p.index.dir, group, ErrDamaged)
	}
	block, err = strconv.Atoi(group[at+1:])
	if err != nil {
		return nil, 0, fmt.Errorf("phrases of index %q: no group is called %q: %w", p.index.dir, group, ErrDamaged)
	}
	return p.documents[group[:at]], block, nil
}

// phraseHit is a phrase that was found, in one of the documents that have it.
type phraseHit struct {
	passage    store.PassageID
	start, end int // in the stored text, in the passage's text once it was read
	found      efficientqa.Found
	text       string // of the passage, once it was read
}

// places says where hits stand, without reading any text.
func (p *phraseView) places(hits []vector.Hit) ([]phraseHit, error) {
	var all []phraseHit
	for _, h := range hits {
		documents, block, err := p.of(h.Group)
		if err != nil {
			return nil, err
		}
		place := placeOf(h.ID)
		for _, d := range documents {
			number := block*phraseBlock + place.passage
			if number >= d.Passages {
				return nil, fmt.Errorf("phrases of index %q: passage %d of %d: %w", p.index.dir, number, d.Passages, ErrDamaged)
			}
			all = append(all, phraseHit{
				passage: d.First + store.PassageID(number), start: place.start, end: place.start + place.length,
				found: efficientqa.Found{Score: float64(h.Score)},
			})
		}
	}
	return all, nil
}

// read fills in the texts of hits; from here on they stand in their passages' texts.
func (p *phraseView) read(hits []phraseHit) error {
	ids := make([]store.PassageID, len(hits))
	for i, h := range hits {
		ids[i] = h.passage
	}
	passages, err := p.snapshot.Passages(ids)
	if err != nil {
		return fmt.Errorf("read passages of index %q: %w", p.index.dir, public(err))
	}
	for i := range hits {
		h, passage := &hits[i], &passages[i]
		h.start, h.end = h.start-passage.Span.Start, h.end-passage.Span.Start
		if h.start < 0 || h.end > len(passage.Text) {
			return fmt.Errorf("phrases of index %q: bytes %d to %d of a passage of %d: %w",
				p.index.dir, h.start, h.end, len(passage.Text), ErrDamaged)
		}
		h.text, h.found.Text = passage.Text, passage.Text[h.start:h.end]
	}
	return nil
}
