package store

import (
	"hash/maphash"
	"math/bits"
	"sync"

	"evident/internal/durable"
)

// pathTable finds the documents of a batch by path: a hash table of their numbers, with linear probing. The paths
// themselves stay in the records.
type pathTable struct {
	once  sync.Once
	slots []pathSlot // a power of two of them, and always some free
	err   error
}

// pathSlot is a document; its number is one higher, so that 0 is none.
type pathSlot struct{ hash, number uint32 }

// pathSeed is that of all tables, which do not outlive the process.
var pathSeed = maphash.MakeSeed()

// pathTable makes the table when it is first needed. An error is that of a record.
func (b *batch) pathTable() ([]pathSlot, error) {
	t := &b.paths
	t.once.Do(func() {
		slots := make([]pathSlot, 1<<bits.Len32(2*b.documents))
		for doc := range b.documents {
			h, err := b.head(doc)
			if err != nil {
				t.err = err
				return
			}
			hash := uint32(maphash.Bytes(pathSeed, h.path))
			at := int(hash) & (len(slots) - 1)
			for slots[at].number != 0 {
				at = (at + 1) & (len(slots) - 1)
			}
			slots[at] = pathSlot{hash, doc + 1}
		}
		t.slots = slots
	})
	return t.slots, t.err
}

// find returns the document of a path, of which there is at most one that is not dead.
func (b *batch) find(path string, dead func(doc uint32) bool) (doc uint32, found bool, err error) {
	slots, err := b.pathTable()
	if err != nil {
		return 0, false, err
	}
	hash := uint32(maphash.String(pathSeed, path))
	for at := int(hash) & (len(slots) - 1); slots[at].number != 0; at = (at + 1) & (len(slots) - 1) {
		doc := slots[at].number - 1
		if slots[at].hash != hash || dead(doc) {
			continue
		}
		h, err := b.head(doc)
		if err != nil {
			return 0, false, err
		}
		if string(h.path) == path {
			return doc, true, nil
		}
	}
	return 0, false, nil
}

// Survey compares the documents of a snapshot with the files that there are. It must not be used after the
// snapshot's release, nor by several goroutines at once.
type Survey struct {
	snapshot *Snapshot
	done     [][]bool // by batch and document: it is deleted, or was met
}

// Survey begins to compare.
func (s *Snapshot) Survey() *Survey {
	v := &Survey{snapshot: s}
	for _, entry := range s.manifest.Batches {
		v.done = append(v.done, durable.Flags(entry.Deleted, entry.Documents))
	}
	return v
}

// Meet notes that there is something at a path, and returns what the file of the path's document looked like when
// it was read, without its hash. It reports false for a path that the snapshot does not hold, or that was met before.
func (v *Survey) Meet(path string) (was FileStat, known bool, err error) {
	for i, b := range v.snapshot.batches {
		done := v.done[i]
		doc, found, err := b.find(path, func(doc uint32) bool { return done[doc] })
		if err != nil {
			return FileStat{}, false, err
		}
		if found {
			done[doc] = true
			h, err := b.head(doc)
			return h.stat, true, err
		}
	}
	return FileStat{}, false, nil
}

// Missed returns the paths of all documents that were not met, in the order in which they were put.
func (v *Survey) Missed() ([]string, error) {
	var paths []string
	for i, b := range v.snapshot.batches {
		for doc, done := range v.done[i] {
			if done {
				continue
			}
			h, err := b.head(uint32(doc))
			if err != nil {
				return nil, err
			}
			paths = append(paths, string(h.path))
		}
	}
	return paths, nil
}
