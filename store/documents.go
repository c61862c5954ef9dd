package store

// StoredDocument is a document that has passages, without its text.
type StoredDocument struct {
	Path     string
	SHA256   string    // of the stored text
	First    PassageID // the others follow
	Passages int
}

// Documents returns all documents that have passages, in the order in which they were put.
func (s *Snapshot) Documents() ([]StoredDocument, error) {
	var documents []StoredDocument
	err := s.eachLive(func(batch int, r *record) {
		if r.passageCount > 0 {
			documents = append(documents, StoredDocument{
				Path: r.path, SHA256: r.hash(), First: s.ID(s.bases[batch] + r.passages), Passages: int(r.passageCount),
			})
		}
	})
	return documents, err
}
