package store

// Passages returns passages with their texts, in the order asked for.
func (s *Snapshot) Passages(ids []PassageID) ([]Passage, error) {
	passages := make([]Passage, len(ids))
	for i, id := range ids {
		p, err := s.Passage(id)
		if err != nil {
			return nil, err
		}
		passages[i] = p
	}
	return passages, nil
}
