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
	start, end int // in the passage's text
	found      efficientqa.Found
}

// resolve finds the texts of hits.
func (p *phraseView) resolve(hits []vector.Hit) ([]phraseHit, error) {
	var ids []store.PassageID
	var of []vector.Hit // by passage
	for _, h := range hits {
		documents, block, err := p.of(h.Group)
		if err != nil {
			return nil, err
		}
		for _, d := range documents {
			number := block*phraseBlock + placeOf(h.ID).passage
			if number >= d.Passages {
				return nil, fmt.Errorf("phrases of index %q: passage %d of %d: %w", p.index.dir, number, d.Passages, ErrDamaged)
			}
			ids, of = append(ids, d.First+store.PassageID(number)), append(of, h)
		}
	}
	passages, err := p.snapshot.Passages(ids)
	if err != nil {
		return nil, fmt.Errorf("read passages of index %q: %w", p.index.dir, public(err))
	}
	all := make([]phraseHit, len(ids))
	for i := range passages {
		if all[i], err = p.phrase(&passages[i], of[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// phrase is a hit in one passage.
func (p *phraseView) phrase(passage *store.Passage, h vector.Hit) (phraseHit, error) {
	place := placeOf(h.ID)
	start := place.start - passage.Span.Start
	if start < 0 || start+place.length > len(passage.Text) {
		return phraseHit{}, fmt.Errorf("phrases of index %q: bytes %d to %d of a passage of %d: %w",
			p.index.dir, start, start+place.length, len(passage.Text), ErrDamaged)
	}
	text := passage.Text[start : start+place.length]
	return phraseHit{passage.ID, start, start + place.length, efficientqa.Found{Text: text, Score: float64(h.Score)}}, nil
}
