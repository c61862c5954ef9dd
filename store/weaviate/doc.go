// Package weaviate keeps an index on a Weaviate cluster: the documents, passages, pictures and phrase
// vectors that packages store and vector keep in a folder.
//
// Most callers want three calls:
//
//	address, err := weaviate.ParseAddress("weaviate://host1,host2,host3/papers")
//	s, err := weaviate.Create(ctx, address, weaviate.Options{}) // or Open, where there is one
//	snapshot, err := s.Snapshot(ctx)
//
// # What the cluster holds
//
// A collection of evident's is a few classes, all with three copies:
//
//	PapersDocument   the journal of documents: what became of each path, and the head
//	PapersPart       stored documents, compressed, in parts
//	PapersPassage    passages: their text, and their terms for BM25
//	PapersGroup      the journal of groups of phrases, and its head
//	PapersPhrase     phrases: a vector each, the prior as its last coordinate
//
// Everything but the two heads is written once and never changed: the name of a document's passages and
// parts is made of its path and all that is stored of it, so that writing it again writes the same
// objects. What a reader may see is said by a journal, which [journal] describes. Every reader keeps the
// journal in memory and verifies by the head's checksum that it has all of it.
//
// # Consistency
//
// Objects are written at QUORUM, one by one until each is acknowledged. The head, which makes a commit
// visible, is written last, and only while most copies are alive: Weaviate counts a quorum among the
// replicas that live, which with two of three dead would be one. Heads and parts are read at QUORUM;
// searches ask one replica, and what they find is shown only if the journal knows it.
//
// BM25 ranks the terms of package bm25's analyser, so that words are found as in a folder.
// Version 1.35.2 leaves out fresh documents until they are flushed; docs/cluster.md has the setting.
package weaviate
