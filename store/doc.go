// Package store keeps an index on disk: the stored texts, their passages, what the files looked
// like when they were read, and the BM25 segments over the passages.
//
// One folder is one index. [Create] makes it, [Open] reads it, [Store.Writer] changes it:
//
//	s, err := store.Create(dir, store.Options{})
//	w, err := s.Writer()
//	err = w.Put(doc, passages, stat)
//	err = w.Commit()
//	hits, err := s.Search("who designed the bridge", 20)
//	passage, err := s.Passage(hits[0].Passage)
//
// # What lasts
//
// Every commit writes new files and never changes old ones. A commit is valid once the manifest
// that names its files has replaced the old manifest, in one rename, after everything was synced.
// A program that is killed, or a machine that stops, loses at most what was not yet committed.
//
// # Who sees what
//
// There is one writer at a time, held by a lock that ends with its process. Readers need no lock:
// a [Snapshot] shows one generation of the index until it is released, whatever the writer does.
// A [Store] moves on to the newest generation with [Store.Refresh], and by itself when its own
// writer commits.
//
// The format is described in docs/format/store.md.
package store
