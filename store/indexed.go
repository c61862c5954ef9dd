package store

import "evident/document"

// IndexedTexts are the texts that a passage is found by, whichever store holds it: the title of its document,
// its heading's, and its own.
func IndexedTexts(doc *document.Document, p document.Passage) []string { return indexedTexts(doc, p) }
