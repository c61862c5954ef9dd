package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// chunkLen is how many bytes of text are compressed together. To read a passage takes the time to expand
// one chunk, or two; of longer ones more is saved, and a damaged one takes more texts with it.
const chunkLen = 1 << 13

// textWriter compresses texts as they come, a chunk at a time.
type textWriter struct {
	write   func([]byte) error
	at      func() uint64 // where the next chunk begins in the file
	encoder *zstd.Encoder
	pending []byte // of the next chunk
	packed  []byte // scratch
	chunks  []byte // chunkEntry by chunk
	total   uint64 // bytes of text so far
}

// chunkEntry is what the table has of a chunk: where it begins in the file u64, its checksum u32.
const chunkEntry = 12

func newTextWriter(write func([]byte) error, at func() uint64) (*textWriter, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(chunkLen), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return &textWriter{write: write, at: at, encoder: encoder, pending: make([]byte, 0, chunkLen)}, nil
}

// add appends a text and returns where it begins among all texts.
func (w *textWriter) add(text string) (start uint64, err error) {
	start = w.total
	w.total += uint64(len(text))
	for len(text) > 0 {
		n := min(len(text), chunkLen-len(w.pending))
		w.pending = append(w.pending, text[:n]...)
		if text = text[n:]; len(w.pending) == chunkLen {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return start, nil
}

// flush writes what is pending as a chunk.
func (w *textWriter) flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	w.packed = w.encoder.EncodeAll(w.pending, w.packed[:0])
	w.chunks = binary.LittleEndian.AppendUint64(w.chunks, w.at())
	w.chunks = binary.LittleEndian.AppendUint32(w.chunks, crc32.Checksum(w.packed, castagnoli))
	w.pending = w.pending[:0]
	return w.write(w.packed)
}

// count is the number of chunks.
func (w *textWriter) count() int { return len(w.chunks) / chunkEntry }

// table is what tells where chunks are: their entries and the number of bytes of text u64.
func (w *textWriter) table() []byte { return binary.LittleEndian.AppendUint64(w.chunks, w.total) }

// textReader finds texts in a mapped batch. It is safe for concurrent use.
type textReader struct {
	data   []byte // the batch
	end    uint64 // of the chunks in it
	chunks []byte // chunkEntry by chunk
	total  uint64 // bytes of text

	makeDecoder sync.Once
	decoder     *zstd.Decoder
	recent      [16]atomic.Pointer[textChunk] // expanded last, by number: passages are often read in a row, by several readers
}

// textChunk is an expanded chunk.
type textChunk struct {
	number int
	text   []byte
}

// chunksOf is the number of chunks of so much text.
func chunksOf(total uint64) uint64 { return (total + chunkLen - 1) / chunkLen }

// open takes the table of chunks apart.
func (t *textReader) open(data []byte, end uint64, table []byte) error {
	n := len(table) - 8
	t.data, t.end, t.chunks, t.total = data, end, table[:n], binary.LittleEndian.Uint64(table[n:])
	if t.total > uint64(t.count())*chunkLen || chunksOf(t.total) != uint64(t.count()) {
		return fmt.Errorf("%d bytes of text in %d chunks", t.total, t.count())
	}
	return nil
}

func (t *textReader) count() int { return len(t.chunks) / chunkEntry }

// verify compares all chunks with their checksums.
func (t *textReader) verify() error {
	for number := range t.count() {
		if _, err := t.packed(number); err != nil {
			return err
		}
	}
	return nil
}

// text returns bytes of all texts; they must not be changed.
func (t *textReader) text(start, length uint64) ([]byte, error) {
	if start > t.total || length > t.total-start {
		return nil, fmt.Errorf("bytes %d to %d of %d bytes of text", start, start+length, t.total)
	}
	if length == 0 {
		return nil, nil
	}
	first, last := int(start/chunkLen), int((start+length-1)/chunkLen)
	var whole []byte
	for number := first; number <= last; number++ {
		chunk, err := t.chunk(number)
		if err != nil {
			return nil, err
		}
		from, to := uint64(0), uint64(len(chunk))
		if number == first {
			from = start % chunkLen
		}
		if number == last {
			to = start + length - uint64(number)*chunkLen
		}
		if first == last {
			return chunk[from:to:to], nil
		}
		whole = append(whole, chunk[from:to]...)
	}
	return whole, nil
}

// chunk expands a chunk.
func (t *textReader) chunk(number int) ([]byte, error) {
	recent := &t.recent[number%len(t.recent)]
	if chunk := recent.Load(); chunk != nil && chunk.number == number {
		return chunk.text, nil
	}
	packed, err := t.packed(number)
	if err != nil {
		return nil, err
	}
	t.makeDecoder.Do(func() {
		t.decoder, _ = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(chunkLen), // these options are valid
			zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(0))
	})
	want := int(min(chunkLen, t.total-uint64(number)*chunkLen))
	text, err := t.decoder.DecodeAll(packed, make([]byte, 0, want))
	if err != nil {
		return nil, fmt.Errorf("chunk %d of its texts cannot be expanded: %w", number, err)
	}
	if len(text) != want {
		return nil, fmt.Errorf("chunk %d of its texts has %d bytes, not %d", number, len(text), want)
	}
	recent.Store(&textChunk{number, text})
	return text, nil
}

// packed returns a chunk as it is in the file, once its checksum was found right.
func (t *textReader) packed(number int) ([]byte, error) {
	le := binary.LittleEndian
	entry := t.chunks[chunkEntry*number:]
	from, sum, to := le.Uint64(entry), le.Uint32(entry[8:]), t.end
	if len(entry) > chunkEntry {
		to = le.Uint64(entry[chunkEntry:])
	}
	if from > to || to > t.end {
		return nil, fmt.Errorf("chunk %d of its texts lies outside", number)
	}
	if packed := t.data[from:to]; crc32.Checksum(packed, castagnoli) == sum {
		return packed, nil
	}
	return nil, fmt.Errorf("wrong checksum of chunk %d of its texts", number)
}
