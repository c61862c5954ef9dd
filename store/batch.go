package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"sync"
	"sync/atomic"

	"evident/bm25"
	"evident/document"
	"evident/internal/mapped"
)

// The fixed parts of a batch file; docs/format/store.md draws the whole.
const (
	batchMagic   = "evbatch\n"
	batchVersion = 3  // 1 had no pictures, 2 texts as they are
	headerLen    = 16 // magic, version u32, zero u32
	footerLen    = 48
	passageLen   = 24 // document, start, end, page, checksum of the text, heading: u32 each
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is one immutable file of documents, their passages and the BM25 segment over these.
type batch struct {
	path string
	file *mapped.File
	data []byte
	refs atomic.Int32 // snapshots and writers that use it

	segment             *bm25.Segment
	documents, passages uint32
	texts, meta         uint64      // where the texts and where the segment end
	sum                 uint32      // of the tables
	packed              *textReader // nil in versions whose texts are not compressed

	offsets  []byte // u32 by document, and one more
	records  []byte
	spans    []byte // passageLen by passage
	headings []byte // strings

	countPictures sync.Once
	pictures      []uint32 // documents that are pictures, rising
	paths         pathTable
}

// openBatch maps a batch file and checks everything but texts and postings, which are checked when
// they are read.
func openBatch(dir string, entry batchEntry) (*batch, error) {
	path := filepath.Join(dir, entry.File)
	b, err := mapBatch(path)
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	if int64(len(b.data)) != entry.Bytes {
		err = damaged(path, "it has %d bytes, the manifest says %d", len(b.data), entry.Bytes)
	} else if err = b.parse(); err == nil && !b.meant(entry) {
		err = damaged(path, "it is not the file that the manifest means")
	}
	if err != nil {
		b.release()
		return nil, err
	}
	return b, nil
}

// mapBatch maps a file of which nothing is checked yet.
func mapBatch(path string) (*batch, error) {
	file, err := mapped.Open(path)
	if err != nil {
		return nil, err
	}
	b := &batch{path: path, file: file, data: file.Bytes()}
	b.refs.Store(1)
	return b, nil
}

// meant says whether the file is the one that a manifest names, not one like it of another index.
func (b *batch) meant(entry batchEntry) bool {
	return int(b.documents) == entry.Documents && int(b.passages) == entry.Passages &&
		(entry.Sum == 0 || entry.Sum == b.sum)
}

func (b *batch) parse() error {
	if err := b.parseTables(); err != nil {
		return err
	}
	return b.parseSegment()
}

// parseTables finds all parts of the file and checks those that describe documents and passages.
func (b *batch) parseTables() error {
	if len(b.data) < headerLen+footerLen || string(b.data[:8]) != batchMagic ||
		string(b.data[len(b.data)-8:]) != batchMagic {
		return damaged(b.path, "it does not begin and end as a batch")
	}
	le := binary.LittleEndian
	version := le.Uint32(b.data[8:])
	if version < 1 || version > batchVersion {
		return &VersionError{Path: b.path, Got: int(version), Want: batchVersion}
	}
	footer := b.data[len(b.data)-footerLen:]
	texts, meta := le.Uint64(footer), le.Uint64(footer[8:])
	b.documents, b.passages = le.Uint32(footer[16:]), le.Uint32(footer[20:])
	recordBytes, headingBytes := le.Uint32(footer[24:]), le.Uint32(footer[28:])
	end := uint64(len(b.data) - footerLen)
	sections := 4*(uint64(b.documents)+1) + uint64(recordBytes) +
		passageLen*uint64(b.passages) + uint64(headingBytes)
	chunkBytes := uint64(0)
	if version >= 3 {
		chunkBytes = chunkEntry*uint64(le.Uint32(footer[32:])) + 8
	}
	sections += chunkBytes
	if texts < headerLen || texts > meta || meta > end || end-meta != sections {
		return damaged(b.path, "its sections do not add up to its %d bytes", len(b.data))
	}
	sum := crc32.Checksum(b.data[:headerLen], castagnoli)
	sum = crc32.Update(sum, castagnoli, b.data[meta:len(b.data)-12])
	if sum != le.Uint32(b.data[len(b.data)-12:]) {
		return damaged(b.path, "wrong checksum of the document table")
	}
	b.texts, b.meta, b.sum = texts, meta, sum
	rest := b.data[meta:end]
	take := func(n uint64) []byte {
		part := rest[:n]
		rest = rest[n:]
		return part
	}
	b.offsets = take(4 * (uint64(b.documents) + 1))
	b.records = take(uint64(recordBytes))
	b.spans = take(passageLen * uint64(b.passages))
	b.headings = take(uint64(headingBytes))
	if version < 3 {
		return nil
	}
	b.packed = &textReader{}
	if err := b.packed.open(b.data, texts, take(chunkBytes)); err != nil {
		return damaged(b.path, "%v", err)
	}
	return nil
}

func (b *batch) parseSegment() error {
	segment, err := bm25.ParseNamed(b.path, b.data[b.texts:b.meta])
	if err != nil {
		return err
	}
	if segment.Len() != int(b.passages) {
		return damaged(b.path, "%d passages, but %d in its segment", b.passages, segment.Len())
	}
	b.segment = segment
	return nil
}

func (b *batch) retain() { b.refs.Add(1) }

// release gives the mapping back when nobody uses it any more.
func (b *batch) release() {
	if b.refs.Add(-1) == 0 {
		b.file.Close()
	}
}

// picturesOf returns the documents that are pictures. A record that cannot be read is not one: whoever
// reads it will say so.
func (b *batch) picturesOf() []uint32 {
	b.countPictures.Do(func() {
		for doc := range b.documents {
			if h, err := b.head(doc); err == nil && isPictureFormat(string(h.format)) {
				b.pictures = append(b.pictures, doc)
			}
		}
	})
	return b.pictures
}

// encoded returns the record of a document as it is stored; nothing where it lies outside.
func (b *batch) encoded(doc uint32) []byte {
	start := binary.LittleEndian.Uint32(b.offsets[4*doc:])
	end := binary.LittleEndian.Uint32(b.offsets[4*doc+4:])
	if start > end || uint64(end) > uint64(len(b.records)) {
		return nil // which is no record
	}
	return b.records[start:end]
}

// head decodes the beginning of the record of a document.
func (b *batch) head(doc uint32) (recordHead, error) {
	h, err := parseRecordHead(b.encoded(doc))
	if err != nil {
		return recordHead{}, damaged(b.path, "%v", err)
	}
	return h, nil
}

// record decodes the record of a document.
func (b *batch) record(doc uint32) (record, error) {
	r, err := parseRecord(b.encoded(doc))
	if err != nil {
		return record{}, damaged(b.path, "%v", err)
	}
	textsFrom, textsTo := uint64(headerLen), b.texts
	if b.packed != nil {
		textsFrom, textsTo = 0, b.packed.total
	}
	if r.textStart < textsFrom || r.textStart > textsTo || r.textLen > textsTo-r.textStart ||
		uint64(r.passages)+uint64(r.passageCount) > uint64(b.passages) {
		return record{}, damaged(b.path, "the text of %q lies outside", r.path)
	}
	return r, nil
}

// eachLive calls yield with the record of every document that is not deleted, until there is an error.
func (b *batch) eachLive(deleted []bool, yield func(r *record) error) error {
	for doc := range b.documents {
		if deleted[doc] {
			continue
		}
		r, err := b.record(doc)
		if err != nil {
			return err
		}
		if err := yield(&r); err != nil {
			return err
		}
	}
	return nil
}

// text returns bytes of the stored text of a document, not checked. They must not be changed.
func (b *batch) text(r *record, span document.ByteSpan) ([]byte, error) {
	start, length := r.textStart+uint64(span.Start), uint64(span.Len())
	if b.packed == nil {
		return b.data[start:][:length], nil
	}
	text, err := b.packed.text(start, length)
	if err != nil {
		return nil, damaged(b.path, "the text of %q: %v", r.path, err)
	}
	return text, nil
}

// document returns a whole document after checking its text.
func (b *batch) document(r *record) (*document.Document, error) {
	text, err := b.text(r, document.ByteSpan{End: int(r.textLen)})
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(text) != r.textHash {
		return nil, damaged(b.path, "wrong checksum of the text of %q", r.path)
	}
	doc := &document.Document{
		Path: r.path, Format: r.format, Title: r.title, SHA256: r.hash(),
		Text: string(text),
	}
	if err := parseMarks(r.marks, doc); err != nil {
		return nil, damaged(b.path, "%q: %v", r.path, err)
	}
	return doc, nil
}

// passage decodes a passage and the record of its document, and checks the passage's text.
func (b *batch) passage(number uint32) (document.Passage, *record, []byte, error) {
	p, doc, sum, err := b.span(number)
	if err != nil {
		return p, nil, nil, err
	}
	r, err := b.record(doc)
	if err != nil {
		return p, nil, nil, err
	}
	if number < r.passages || number-r.passages >= r.passageCount || uint64(p.Span.End) > r.textLen {
		return p, nil, nil, damaged(b.path, "passage %d is not within %q", number, r.path)
	}
	text, err := b.text(&r, p.Span)
	if err != nil {
		return p, nil, nil, err
	}
	if crc32.Checksum(text, castagnoli) != sum {
		return p, nil, nil, damaged(b.path, "wrong checksum of passage %d, in %q", number, r.path)
	}
	return p, &r, text, nil
}

// span decodes a passage without looking at its document.
func (b *batch) span(number uint32) (p document.Passage, doc, sum uint32, err error) {
	le := binary.LittleEndian
	raw := b.spans[passageLen*int(number):][:passageLen]
	doc, sum = le.Uint32(raw), le.Uint32(raw[16:])
	p.Span = document.ByteSpan{Start: int(le.Uint32(raw[4:])), End: int(le.Uint32(raw[8:]))}
	p.Page = int(le.Uint32(raw[12:]))
	heading := decoder{data: b.headings[min(uint64(le.Uint32(raw[20:])), uint64(len(b.headings))):]}
	p.Heading = heading.string()
	if doc >= b.documents || p.Span.Start > p.Span.End || heading.failed {
		err = damaged(b.path, "passage %d is inconsistent", number)
	}
	return p, doc, sum, err
}

// verify checks every text, passage and postings list.
func (b *batch) verify() error {
	if err := b.verifyChunks(); err != nil {
		return err
	}
	for doc := range b.documents {
		r, err := b.record(doc)
		if err != nil {
			return err
		}
		if _, err := b.document(&r); err != nil {
			return err
		}
	}
	for number := range b.passages {
		if _, _, _, err := b.passage(number); err != nil {
			return err
		}
	}
	return b.segment.Verify()
}

// verifyChunks compares the packed texts with their checksums: that finds changes that expanding would not.
func (b *batch) verifyChunks() error {
	if b.packed == nil {
		return nil
	}
	if err := b.packed.verify(); err != nil {
		return damaged(b.path, "%v", err)
	}
	return nil
}

// passageRanges turns deleted documents into deleted passages.
func (b *batch) passageRanges(deleted []docRange) ([]bm25.DocRange, error) {
	var ranges []bm25.DocRange
	for _, r := range deleted {
		if r[1] > b.documents {
			return nil, damaged(b.path, "document %d of %d is deleted", r[1]-1, b.documents)
		}
		first, err := b.record(r[0])
		if err != nil {
			return nil, err
		}
		last, err := b.record(r[1] - 1)
		if err != nil {
			return nil, err
		}
		end := last.passages + last.passageCount
		if end < first.passages {
			return nil, damaged(b.path, "%v", errRecord)
		}
		ranges = append(ranges, bm25.DocRange{Start: first.passages, End: end})
	}
	return ranges, nil
}
