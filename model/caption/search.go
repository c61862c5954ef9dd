package caption

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// beam is the beginning of a caption.
type beam struct {
	first []float32 // [D] the token that the vector became
	ids   []int
	log   float64 // sum of the pieces' log-probabilities
}

// longer returns the beam with one piece more.
func (b *beam) longer(id int, log float64) *beam {
	return &beam{first: b.first, ids: append(slices.Clone(b.ids), id), log: b.log + log}
}

// search is the search for captions of one vector: beams, as transformers' beam search with early stopping does it.
type search struct {
	live     []*beam
	finished []*beam // their last piece is the end
}

// Write is [Decoder.Captions] of vectors [E] that are projected already, or those of texts.
func (d *Decoder) Write(ctx context.Context, vectors [][]float32, n int) ([][]Caption, error) {
	all := make([]*search, len(vectors))
	for i, v := range vectors {
		first := make([]float32, d.width)
		d.prefix.Forward(first, v, 1)
		all[i] = &search{live: []*beam{{first: first}}}
	}
	beams := max(d.reading.Beams, n)
	for range d.Length {
		var live []*beam
		for _, s := range all {
			live = append(live, s.live...)
		}
		if len(live) == 0 {
			break
		}
		logits, err := d.next(ctx, live)
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			rows := logits[:len(s.live)*len(d.pieces)]
			logits = logits[len(rows):]
			s.step(d, rows, beams)
		}
	}
	captions := make([][]Caption, len(all))
	for i, s := range all {
		captions[i] = s.best(d, n)
	}
	return captions, nil
}

// step makes each live beam longer by a piece and keeps the best: logits [len(live), V].
func (s *search) step(d *Decoder, logits []float32, beams int) {
	if len(s.live) == 0 {
		return
	}
	type candidate struct {
		from, id int
		log      float64
	}
	var candidates []candidate
	for i, b := range s.live {
		p := logProbabilities(logits[i*len(d.pieces):][:len(d.pieces)])
		p[d.rare] = math.Inf(-1)
		for _, id := range largest(p, 2*beams) {
			candidates = append(candidates, candidate{i, id, b.log + p[id]})
		}
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(b.log, a.log) })
	before := s.live
	s.live = nil
	for rank, c := range candidates[:min(2*beams, len(candidates))] {
		next := before[c.from].longer(c.id, c.log-before[c.from].log)
		switch {
		case c.id == d.end:
			if rank < beams {
				s.finished = append(s.finished, next)
			}
		case len(s.live) < beams:
			s.live = append(s.live, next)
		}
	}
	if len(s.live) > 0 && len(s.live[0].ids) == d.Length-1 { // there is no token for another piece
		s.finished, s.live = append(s.finished, s.live...), nil
	}
	if len(s.finished) >= beams {
		s.live = nil
	}
}

// best returns the n best captions, each text once.
func (s *search) best(d *Decoder, n int) []Caption {
	score := func(b *beam) float64 { return b.log / math.Pow(float64(len(b.ids)), d.reading.LengthPower) }
	slices.SortStableFunc(s.finished, func(a, b *beam) int { return cmp.Compare(score(b), score(a)) })
	var captions []Caption
	for _, b := range s.finished {
		ids := b.ids
		if ids[len(ids)-1] == d.end {
			ids = ids[:len(ids)-1]
		}
		c := Caption{d.text(ids), math.Exp(b.log / float64(len(b.ids)))}
		known := slices.ContainsFunc(captions, func(other Caption) bool { return other.Text == c.Text })
		if c.Text != "" && !known && len(captions) < n {
			captions = append(captions, c)
		}
	}
	return captions
}

// largest returns the places of the n largest values, the largest first; of equal ones the first.
func largest(values []float64, n int) []int {
	places := make([]int, 0, n+1)
	for i, v := range values {
		if len(places) == n && v <= values[places[n-1]] {
			continue
		}
		at, _ := slices.BinarySearchFunc(places, v, func(place int, v float64) int {
			if values[place] >= v {
				return -1
			}
			return 1
		})
		places = slices.Insert(places, at, i)
		places = places[:min(n, len(places))]
	}
	return places
}
