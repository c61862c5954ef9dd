package document

import (
	"io/fs"
	"os"
	"slices"
	"strings"

	"evident/internal/parallel"
)

// entry is something in a folder.
type entry struct {
	name string
	kind fs.FileMode // type bits; of a link, not of what it leads to
	look             // at what is not a folder
}

// look is what a look at a file shows, and at what a link leads to.
type look struct {
	mode fs.FileMode
	stat FileStat
	err  error
}

// list returns what is to be visited in a folder, by name, and looks at the files. With an error there is what could
// be read.
func (w *walk) list(path string) ([]entry, error) {
	folder, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	all, err := folder.ReadDir(-1)
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	entries := make([]entry, 0, len(all))
	for _, e := range all {
		name := e.Name()
		if !w.opts.Hidden && strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~$") {
			continue
		}
		if e.IsDir() && skippedFolders[name] {
			continue
		}
		entries = append(entries, entry{name: name, kind: e.Type()})
	}
	lookAtAll(folder, entries)
	return entries, err
}

// looksAtOnce is how many files one goroutine looks at: each takes about a microsecond.
const looksAtOnce = 512

// lookAtAll looks at the files of an open folder, on all cores where they are many.
func lookAtAll(folder *os.File, entries []entry) {
	parallel.Each((len(entries)+looksAtOnce-1)/looksAtOnce, func(run int) {
		for i := run * looksAtOnce; i < min((run+1)*looksAtOnce, len(entries)); i++ {
			if e := &entries[i]; !e.kind.IsDir() {
				e.look = lookAt(folder, e.name)
			}
		}
	})
}
