package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"path/filepath"

	"evident/document"
	"evident/internal/durable"
)

// batchWriter writes a batch file: texts as they come, the rest at the end.
type batchWriter struct {
	path string
	fs   durable.FS
	file durable.File
	out  *bufio.Writer
	at   uint64 // bytes written

	texts    *textWriter
	offsets  []byte
	records  []byte
	spans    []byte
	headings []byte
	heading  struct { // the newest heading, which passages in a row share
		text string
		at   uint32
	}
	documents, passages uint32
}

// newBatchWriter makes the file at path, which must not exist.
func newBatchWriter(fs durable.FS, path string) (*batchWriter, error) {
	f, err := fs.CreateNew(path, 0o644)
	if err != nil {
		return nil, err
	}
	w := &batchWriter{path: path, fs: fs, file: f, out: bufio.NewWriterSize(f, 1<<18)}
	w.headings = appendString(nil, "")
	w.texts, err = newTextWriter(w.write, func() uint64 { return w.at })
	if err = errors.Join(err, w.write(batchHeader())); err != nil {
		return nil, errors.Join(err, w.abandon())
	}
	return w, nil
}

func batchHeader() []byte {
	h := append(make([]byte, 0, headerLen), batchMagic...)
	h = binary.LittleEndian.AppendUint32(h, batchVersion)
	return binary.LittleEndian.AppendUint32(h, 0)
}

func (w *batchWriter) write(data []byte) error {
	n, err := w.out.Write(data)
	w.at += uint64(n)
	return err
}

// add appends a document; r's places in the file and among the passages are filled in.
func (w *batchWriter) add(r record, text string, passages []document.Passage) error {
	var err error
	if r.textStart, err = w.texts.add(text); err != nil {
		return err
	}
	r.textLen = uint64(len(text))
	r.passages, r.passageCount = w.passages, uint32(len(passages))
	w.offsets = binary.LittleEndian.AppendUint32(w.offsets, uint32(len(w.records)))
	w.records = r.append(w.records)
	for _, p := range passages {
		w.addPassage(p, text)
	}
	w.documents++
	if len(w.records) > math.MaxUint32 || len(w.headings) > math.MaxUint32 {
		return fmt.Errorf("batch %q: more than 4 GiB of document records", w.path)
	}
	return nil
}

func (w *batchWriter) addPassage(p document.Passage, text string) {
	if p.Heading == "" {
		w.heading.text, w.heading.at = "", 0
	} else if p.Heading != w.heading.text {
		w.heading.text, w.heading.at = p.Heading, uint32(len(w.headings))
		w.headings = appendString(w.headings, p.Heading)
	}
	sum := crc32.Checksum([]byte(text[p.Span.Start:p.Span.End]), castagnoli)
	for _, v := range []uint32{
		w.documents, uint32(p.Span.Start), uint32(p.Span.End),
		uint32(p.Page), sum, w.heading.at,
	} {
		w.spans = binary.LittleEndian.AppendUint32(w.spans, v)
	}
	w.passages++
}

// finish writes the segment with the given function, then the tables, and waits until all is on
// the disk. It returns what a manifest says of the file.
func (w *batchWriter) finish(segment func(io.Writer) (int64, error)) (batchEntry, error) {
	le := binary.LittleEndian
	if err := w.texts.flush(); err != nil {
		return batchEntry{}, errors.Join(err, w.abandon())
	}
	texts := w.at
	n, err := segment(w.out)
	if err != nil {
		return batchEntry{}, errors.Join(err, w.abandon())
	}
	w.at += uint64(n)
	w.offsets = le.AppendUint32(w.offsets, uint32(len(w.records)))

	footer := le.AppendUint64(make([]byte, 0, footerLen), texts)
	footer = le.AppendUint64(footer, w.at)
	for _, v := range []uint32{
		w.documents, w.passages, uint32(len(w.records)),
		uint32(len(w.headings)), uint32(w.texts.count()),
	} {
		footer = le.AppendUint32(footer, v)
	}
	sum := crc32.Checksum(batchHeader(), castagnoli)
	for _, part := range [][]byte{w.offsets, w.records, w.spans, w.headings, w.texts.table(), footer} {
		sum = crc32.Update(sum, castagnoli, part)
		if err = errors.Join(err, w.write(part)); err != nil {
			break
		}
	}
	err = errors.Join(err, w.write(append(le.AppendUint32(nil, sum), batchMagic...)))
	if err = errors.Join(err, w.out.Flush()); err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		return batchEntry{}, errors.Join(err, w.abandon())
	}
	return batchEntry{
		File: filepath.Base(w.path), Bytes: int64(w.at), Sum: sum,
		Documents: int(w.documents), Passages: int(w.passages),
	}, w.file.Close()
}

// abandon removes the unfinished file.
func (w *batchWriter) abandon() error {
	return errors.Join(w.file.Close(), w.fs.Remove(w.path))
}
