package store_test

import (
	"fmt"
	"os"

	"evident/document"
	"evident/store"
)

func Example() {
	dir, err := os.MkdirTemp("", "index")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := fill(dir); err != nil {
		panic(err)
	}

	index, err := store.Open(dir)
	if err != nil {
		panic(err)
	}
	defer index.Close()
	hits, err := index.Search("Where does the Danube rise?", 1)
	if err != nil {
		panic(err)
	}
	passage, err := index.Passage(hits[0].Passage)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s, bytes %d to %d: %s\n", passage.Path, passage.Span.Start, passage.Span.End,
		passage.Text)
	// Output: rivers.txt, bytes 0 to 37: The Danube rises in the Black Forest.
}

// fill makes an index of one document with two passages.
func fill(dir string) error {
	index, err := store.Create(dir, store.Options{})
	if err != nil {
		return err
	}
	defer index.Close()
	writer, err := index.Writer()
	if err != nil {
		return err
	}
	defer writer.Close()
	doc := &document.Document{
		Path: "rivers.txt", Format: "txt",
		Text: "The Danube rises in the Black Forest. The Rhine rises in the Swiss Alps.",
	}
	passages := []document.Passage{
		{Span: document.ByteSpan{Start: 0, End: 37}},
		{Span: document.ByteSpan{Start: 38, End: len(doc.Text)}},
	}
	if err := writer.Put(doc, passages, store.FileStat{}); err != nil {
		return err
	}
	return writer.Commit()
}
