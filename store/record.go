package store

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"evident/document"
)

// record is a document as a batch keeps it, without its text.
type record struct {
	path, format, title string
	stat                FileStat
	textHash            [32]byte // SHA-256 of the stored text
	textStart           uint64   // where the text begins in the batch file
	textLen             uint64
	passages            uint32 // number of the first one in the batch
	passageCount        uint32
	marks               []byte // pages, headings and blocks, encoded by appendMarks
}

// errRecord is the reason for refusing a record; callers add the file.
var errRecord = errors.New("a document's record is inconsistent")

// append encodes the record: strings and numbers as they come, numbers as varints.
func (r *record) append(dst []byte) []byte {
	for _, s := range []string{r.path, r.format, r.title, r.stat.SHA256} {
		dst = appendString(dst, s)
	}
	dst = binary.AppendVarint(dst, r.stat.Size)
	dst = binary.AppendVarint(dst, r.stat.MTimeNS)
	dst = binary.AppendUvarint(dst, r.stat.Inode)
	dst = append(dst, r.textHash[:]...)
	dst = binary.AppendUvarint(dst, r.textStart)
	dst = binary.AppendUvarint(dst, r.textLen)
	dst = binary.AppendUvarint(dst, uint64(r.passages))
	dst = binary.AppendUvarint(dst, uint64(r.passageCount))
	return append(dst, r.marks...)
}

// parseRecord decodes a record; data holds nothing else.
func parseRecord(data []byte) (record, error) {
	d := decoder{data: data}
	r := record{path: d.string(), format: d.string(), title: d.string()}
	r.stat.SHA256 = d.string()
	r.stat.Size, r.stat.MTimeNS, r.stat.Inode = d.varint(), d.varint(), d.uvarint()
	copy(r.textHash[:], d.take(len(r.textHash)))
	r.textStart, r.textLen = d.uvarint(), d.uvarint()
	first, count := d.uvarint(), d.uvarint()
	r.passages, r.passageCount = uint32(first), uint32(count)
	if d.failed || first != uint64(r.passages) || count != uint64(r.passageCount) {
		return record{}, errRecord
	}
	r.marks = d.data
	return r, nil
}

// recordHead is the beginning of a record, for a look at very many: nothing is copied.
type recordHead struct {
	path, format []byte
	stat         FileStat // without its hash
}

// parseRecordHead decodes the beginning of a record.
func parseRecordHead(data []byte) (recordHead, error) {
	d := decoder{data: data}
	h := recordHead{path: d.bytes(), format: d.bytes()}
	d.bytes() // the title
	d.bytes() // the hash
	h.stat.Size, h.stat.MTimeNS, h.stat.Inode = d.varint(), d.varint(), d.uvarint()
	if d.failed {
		return recordHead{}, errRecord
	}
	return h, nil
}

// hash is the stored text's SHA-256 in hex.
func (r *record) hash() string { return hex.EncodeToString(r.textHash[:]) }

// appendMarks encodes where the pages, headings and blocks of doc are, each list after its
// length, positions as distances from the one before.
func appendMarks(dst []byte, doc *document.Document) []byte {
	for _, marks := range [][]document.Mark{doc.Pages, doc.Headings} {
		dst = binary.AppendUvarint(dst, uint64(len(marks)))
		last := 0
		for _, m := range marks {
			dst = binary.AppendVarint(dst, int64(m.At-last))
			dst = binary.AppendVarint(dst, int64(m.Level))
			dst = appendString(dst, m.Label)
			last = m.At
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(doc.Blocks)))
	last := 0
	for _, b := range doc.Blocks {
		dst = binary.AppendVarint(dst, int64(b.Start-last))
		dst = binary.AppendVarint(dst, int64(b.Len()))
		last = b.End
	}
	if doc.Picture != nil {
		dst = appendPicture(dst, doc.Picture)
	}
	return dst
}

// parseMarks decodes what appendMarks wrote into doc.
func parseMarks(data []byte, doc *document.Document) error {
	d := decoder{data: data}
	for _, marks := range []*[]document.Mark{&doc.Pages, &doc.Headings} {
		last := int64(0)
		for range d.count() {
			last += d.varint()
			level, label := d.varint(), d.string()
			*marks = append(*marks, document.Mark{At: int(last), Level: int(level), Label: label})
		}
	}
	last := int64(0)
	for range d.count() {
		start := last + d.varint()
		last = start + d.varint()
		doc.Blocks = append(doc.Blocks, document.ByteSpan{Start: int(start), End: int(last)})
	}
	if !d.failed && len(d.data) > 0 {
		doc.Picture = d.picture()
	}
	if d.failed || len(d.data) != 0 {
		return errRecord
	}
	return checkMarks(doc)
}

// appendPicture encodes a picture, which stands behind the marks: its size, its model, and the
// length and the values of its vector, as float32.
func appendPicture(dst []byte, p *document.Picture) []byte {
	dst = binary.AppendUvarint(dst, uint64(p.Width))
	dst = binary.AppendUvarint(dst, uint64(p.Height))
	dst = appendString(dst, p.Model)
	dst = binary.AppendUvarint(dst, uint64(len(p.Vector)))
	for _, v := range p.Vector {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
	}
	return dst
}

// picture decodes what appendPicture wrote.
func (d *decoder) picture() *document.Picture {
	p := &document.Picture{Width: int(d.uvarint()), Height: int(d.uvarint()), Model: d.string()}
	raw := d.take(4 * int(min(d.count(), math.MaxInt32/4)))
	p.Vector = make([]float32, len(raw)/4)
	for i := range p.Vector {
		p.Vector[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return p
}

// checkMarks refuses places outside the text.
func checkMarks(doc *document.Document) error {
	for _, marks := range [][]document.Mark{doc.Pages, doc.Headings} {
		for _, m := range marks {
			if m.At < 0 || m.At > len(doc.Text) {
				return fmt.Errorf("mark %q at byte %d of %d", m.Label, m.At, len(doc.Text))
			}
		}
	}
	for _, b := range doc.Blocks {
		if b.Start < 0 || b.End < b.Start || b.End > len(doc.Text) {
			return fmt.Errorf("block %d to %d of %d bytes", b.Start, b.End, len(doc.Text))
		}
	}
	return nil
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// decoder reads varints and strings; after the first failure it yields zeros.
type decoder struct {
	data   []byte
	failed bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.failed, d.data = true, nil
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.data)
	if n <= 0 {
		d.failed, d.data = true, nil
		return 0
	}
	d.data = d.data[n:]
	return v
}

// count reads the length of a list whose elements take at least one byte each.
func (d *decoder) count() uint64 {
	n := d.uvarint()
	if n > uint64(len(d.data)) {
		d.failed, d.data = true, nil
		return 0
	}
	return n
}

func (d *decoder) take(n int) []byte {
	if n > len(d.data) {
		d.failed, d.data = true, nil
		return nil
	}
	taken := d.data[:n]
	d.data = d.data[n:]
	return taken
}

func (d *decoder) bytes() []byte { return d.take(int(d.count())) }

func (d *decoder) string() string { return string(d.bytes()) }
