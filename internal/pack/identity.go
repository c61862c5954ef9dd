package pack

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"time"

	"evident/internal/durable"
)

// identity stands for the content of a model's files: files of other content have another one.
type identity [sha256.Size]byte

// Digested is a folder whose files' digests are known without reading them, as of models that are
// embedded in the program.
type Digested interface {
	fs.FS
	Name() string                                        // of the model
	SHA256(file string) (sum [sha256.Size]byte, ok bool) // of the file's content
}

// edge is how much of a file's beginning and end goes into every identity. A digest or a stamp should
// be enough; but should somebody exchange embedded weights and forget their digest, or a file system
// lie, the first and the last tensors tell.
const edge = 64 << 10

// settled is how old the last change of a file must be for its stamp to stand for its content. A file
// that is changed twice within one tick of the file system's clock has one stamp for two contents; FAT
// ticks slowest, every two seconds.
const settled = 2 * time.Second

// plan is where a cache comes from and may go.
type plan struct {
	folder     fs.FS
	files      []string
	now        func() time.Time
	candidates []candidate // the best first
	disk       durable.FS
}

// identify returns what stands for the files' content:
//
//   - where the folder knows digests, those;
//   - where the system stamps files, what it says of each: device, inode, size, and when content and
//     inode were changed last. Writing to a file changes its stamp, and so does putting another one in
//     its place, even one that was made to look as old; what a stamp cannot tell, two changes within
//     one tick of the clock, is excluded by settled;
//   - else the SHA-256 of the content.
func (p *plan) identify() (identity, error) {
	sum := sha256.New()
	for _, name := range p.files {
		if err := p.add(sum, name); err != nil {
			return identity{}, fmt.Errorf("identify %s: %w", name, err)
		}
	}
	return identity(sum.Sum(nil)), nil
}

func (p *plan) add(sum hash.Hash, name string) error {
	file, err := p.folder.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	fmt.Fprintf(sum, "%q %d ", name, info.Size())
	if err := addEdges(sum, file, info.Size()); err != nil {
		return err
	}
	if d, ok := p.folder.(Digested); ok {
		if digest, ok := d.SHA256(name); ok {
			fmt.Fprintf(sum, "digest %x\n", digest)
			return nil
		}
	}
	if stamp, changed, ok := stampOf(file, info); ok && p.now().Sub(changed) > settled {
		fmt.Fprintf(sum, "stamp %s\n", stamp)
		return nil
	}
	content := sha256.New()
	if seeker, ok := file.(io.Seeker); ok {
		if _, err := seeker.Seek(0, io.SeekStart); err != nil {
			return err
		}
	} else if file, err = p.folder.Open(name); err != nil {
		return err
	} else {
		defer file.Close()
	}
	if _, err := io.Copy(content, file); err != nil {
		return err
	}
	fmt.Fprintf(sum, "content %x\n", content.Sum(nil))
	return nil
}

// addEdges adds the first and the last bytes of a file.
func addEdges(sum hash.Hash, file fs.File, size int64) error {
	at, ok := file.(io.ReaderAt)
	if !ok {
		return nil
	}
	buffer := make([]byte, edge)
	for _, offset := range []int64{0, max(0, size-edge)} {
		n, err := at.ReadAt(buffer[:min(edge, size)], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		_ = binary.Write(sum, binary.LittleEndian, int64(n)) // a hash takes everything
		sum.Write(buffer[:n])
	}
	return nil
}

// stampOf returns what the system says of a regular file, and when it last changed in any way.
func stampOf(file fs.File, info fs.FileInfo) (stamp string, changed time.Time, ok bool) {
	if _, isFile := file.(*os.File); !isFile || !info.Mode().IsRegular() {
		return "", time.Time{}, false
	}
	return systemStamp(info)
}
