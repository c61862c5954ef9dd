package evident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"evident/internal/durable"
	"evident/internal/filelock"
	"evident/store"
	"evident/store/weaviate"
	"evident/vector"
)

// IndexFault is what is wrong with one file of an index.
type IndexFault struct {
	File   string `json:"file"` // within the data folder
	Detail string `json:"detail"`
	Remedy string `json:"remedy"` // what can be done about it

	// The documents that must be read again, and how many there are whose paths are not known.
	Lost        []string `json:"lost,omitempty"`
	LostUnnamed int      `json:"lost_unnamed,omitempty"`
}

// IntegrityReport is what [CheckIndex] found.
type IntegrityReport struct {
	Data    string       `json:"data"`
	Files   int          `json:"files"` // that were read
	Bytes   int64        `json:"bytes"` // of these files
	Faults  []IndexFault `json:"faults"`
	Seconds float64      `json:"seconds"`
}

// Whole says whether nothing is wrong.
func (r *IntegrityReport) Whole() bool { return len(r.Faults) == 0 }

// RepairReport is what [RepairIndex] did.
type RepairReport struct {
	IntegrityReport          // what was wrong
	Aside           string   `json:"aside,omitempty"` // folder that damaged files are in now
	Moved           []string `json:"moved"`           // their names
	Rebuilt         []string `json:"rebuilt"`         // files that were written anew
	ReadAgain       []string `json:"read_again"`      // documents that are not in the index any more
	ReadUnnamed     int      `json:"read_unnamed"`    // and how many others
	Roots           []string `json:"roots"`           // the folders to index for that
	Phrases         bool     `json:"phrases"`         // the index has lost its phrases
}

// IntegrityOptions tunes [CheckIndex] and [RepairIndex].
type IntegrityOptions struct {
	Now func() time.Time // the clock; nil means time.Now
}

func (o IntegrityOptions) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// CheckIndex reads every file of the index in dir, compares it with its checksums and with the files
// that must agree with it, and returns all that is wrong. It changes nothing, and may run while the
// index is in use. The error is [ErrNoIndex] where there is none; damage is no error but a result.
func CheckIndex(ctx context.Context, dir string, o IntegrityOptions) (*IntegrityReport, error) {
	if weaviate.IsAddress(dir) {
		return nil, errFolderOnly("check", dir)
	}
	begun := o.now()
	r := &IntegrityReport{Data: dir, Faults: []IndexFault{}}
	found, err := store.Check(ctx, dir)
	if err != nil {
		return nil, public(err)
	}
	r.addStore(found)
	if err := r.checkCatalog(dir); err != nil {
		return nil, err
	}
	if err := r.checkPhrases(ctx, dir); err != nil {
		return nil, err
	}
	r.Seconds = o.now().Sub(begun).Seconds()
	return r, nil
}

func (r *IntegrityReport) addStore(found *store.Findings) {
	r.Files, r.Bytes = found.Files, found.Bytes
	for _, f := range found.Faults {
		remedy := "a repair writes it anew; nothing is lost"
		if n := len(f.Lost) + f.LostUnnamed; n > 0 {
			remedy = fmt.Sprintf("a repair puts it aside; documents to read again: %d", n)
		}
		r.Faults = append(r.Faults, IndexFault{
			File: f.File, Detail: f.Detail, Remedy: remedy, Lost: f.Lost, LostUnnamed: f.LostUnnamed,
		})
	}
}

// checkCatalog notes a catalogue that cannot be read. That there is none is no fault.
func (r *IntegrityReport) checkCatalog(dir string) error {
	content, err := os.ReadFile(filepath.Join(dir, catalogName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("check index %q: %w", dir, err)
	}
	r.Files++
	r.Bytes += int64(len(content))
	if _, err := parseCatalog(content); err != nil {
		r.Faults = append(r.Faults, IndexFault{
			File: catalogName, Detail: err.Error(),
			Remedy: "a repair writes it anew; files that could not be read are tried again",
		})
	}
	return nil
}

const phraseRemedy = `a repair puts the phrases aside; "evident index --phrases" makes them again`

// checkPhrases reads the vectors of phrases, where there are any.
func (r *IntegrityReport) checkPhrases(ctx context.Context, dir string) error {
	folder := filepath.Join(dir, phraseFolder)
	found, err := vector.Check(ctx, folder)
	if errors.Is(err, vector.ErrNoIndex) {
		return r.checkNoPhrases(folder)
	} else if err != nil {
		return fmt.Errorf("check index %q: %w", dir, err)
	}
	r.Files += found.Files
	r.Bytes += found.Bytes
	for _, f := range found.Faults {
		r.Faults = append(r.Faults, IndexFault{
			File: phraseFolder + "/" + filepath.Base(f.Path), Detail: f.Detail, Remedy: phraseRemedy,
		})
	}
	if len(found.Faults) > 0 || !r.Whole() {
		return nil
	}
	return r.checkPhrasesAgree(dir, folder)
}

// checkNoPhrases notes vectors without a manifest.
func (r *IntegrityReport) checkNoPhrases(folder string) error {
	vectors, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range vectors {
		if filepath.Ext(entry.Name()) == ".vectors" {
			r.Faults = append(r.Faults, IndexFault{
				File: phraseFolder + "/MANIFEST", Detail: "it is missing, but there are vectors", Remedy: phraseRemedy,
			})
			break
		}
	}
	return nil
}

// checkPhrasesAgree notes phrases of which not one is of a text of this index. Some may be of texts that
// have changed since.
func (r *IntegrityReport) checkPhrasesAgree(dir, folder string) (err error) {
	texts, err := textsOf(dir)
	if err != nil {
		return err
	}
	vectors, err := vector.Open(folder)
	if err != nil {
		return public(err)
	}
	defer func() { err = errors.Join(err, vectors.Close()) }()
	snapshot, err := vectors.Snapshot()
	if err != nil {
		return public(err)
	}
	defer snapshot.Release()
	groups := snapshot.Groups()
	for group := range groups {
		if text, _, _ := strings.Cut(group, ":"); texts[text] {
			return nil
		}
	}
	if len(groups) > 0 && len(texts) > 0 {
		r.Faults = append(r.Faults, IndexFault{
			File: phraseFolder + "/MANIFEST", Detail: "its phrases are not of the texts of this index", Remedy: phraseRemedy,
		})
	}
	return nil
}

// textsOf returns the SHA-256 of the stored texts of an index.
func textsOf(dir string) (_ map[string]bool, err error) {
	entries, err := entriesOf(dir)
	texts := map[string]bool{}
	for _, e := range entries {
		texts[e.SHA256] = true
	}
	return texts, err
}

func entriesOf(dir string) (_ []store.Entry, err error) {
	s, err := store.Open(dir)
	if err != nil {
		return nil, public(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	snapshot, err := s.Snapshot()
	if err != nil {
		return nil, public(err)
	}
	defer snapshot.Release()
	entries, err := snapshot.Entries()
	return entries, public(err)
}

// RepairIndex makes the index in dir whole again with what can be read of it. BM25 segments and tables
// are built anew from the stored texts, the manifest from its copy or from the files, the catalogue from
// the documents. Damaged files are never removed: they are put aside in a folder of the index, which the
// report names. The index forgets documents that could not be saved, so that [Index.Add] reads them
// again. An index that is whole is not touched.
//
// The error is [ErrLocked] while the index is written to, and [ErrNoIndex] where there is none.
func RepairIndex(ctx context.Context, dir string, o IntegrityOptions) (*RepairReport, error) {
	begun := o.now()
	before, err := CheckIndex(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	r := &RepairReport{
		IntegrityReport: *before, Moved: []string{}, Rebuilt: []string{}, ReadAgain: []string{}, Roots: []string{},
	}
	if before.Whole() {
		return r, nil
	}
	done, err := store.Repair(ctx, dir)
	if err != nil {
		return nil, public(err)
	}
	r.Aside = done.Aside
	r.Moved, r.Rebuilt = append(r.Moved, done.Moved...), append(r.Rebuilt, done.Rebuilt...)
	for _, f := range done.Faults {
		r.ReadAgain = append(r.ReadAgain, f.Lost...)
		r.ReadUnnamed += f.LostUnnamed
	}
	if err := r.repairRest(ctx, dir); err != nil {
		return nil, fmt.Errorf("repair index %q: %w", dir, err)
	}
	r.Seconds = o.now().Sub(begun).Seconds()
	return r, nil
}

// repairRest mends what lies beside the store: the phrases and the catalogue.
func (r *RepairReport) repairRest(ctx context.Context, dir string) error {
	now := IntegrityReport{} // a store that is whole now may show that phrases are of another index
	if err := now.checkPhrases(ctx, dir); err != nil {
		return err
	}
	if r.Phrases = !now.Whole(); r.Phrases {
		if err := r.phrasesAside(dir); err != nil {
			return err
		}
	}
	now = IntegrityReport{}
	if err := now.checkCatalog(dir); err != nil {
		return err
	}
	if !now.Whole() {
		if err := r.catalogAnew(dir); err != nil {
			return err
		}
	}
	c, err := readCatalog(dir)
	if err != nil {
		return err
	}
	for _, root := range c.Roots {
		r.Roots = append(r.Roots, root.Path)
	}
	return nil
}

// putAside moves a file or folder of the index to where the damaged ones are.
func (r *RepairReport) putAside(dir, name string) error {
	if r.Aside == "" {
		folder, err := store.NewAside(dir)
		if err != nil {
			return err
		}
		r.Aside = folder
	}
	if err := os.Rename(filepath.Join(dir, name), filepath.Join(r.Aside, name)); err != nil {
		return err
	}
	r.Moved = append(r.Moved, name)
	return nil
}

// phrasesAside moves the folder of the phrases, while nobody writes to it.
func (r *RepairReport) phrasesAside(dir string) (err error) {
	held, err := filelock.Take(filepath.Join(dir, phraseFolder, "LOCK"))
	if err != nil {
		return public(err)
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	return r.putAside(dir, phraseFolder)
}

// catalogAnew writes a catalogue that names the folder in which all documents lie.
func (r *RepairReport) catalogAnew(dir string) error {
	entries, err := entriesOf(dir)
	if err != nil {
		return err
	}
	if err := r.putAside(dir, catalogName); err != nil {
		return err
	}
	c := newCatalog()
	if root := commonFolder(entries); root != "" {
		c.Roots = []catalogRoot{{Path: root, Absolute: true}}
	}
	r.Rebuilt = append(r.Rebuilt, catalogName)
	return c.save(durable.Disk{}, dir)
}

// commonFolder is the deepest folder that holds all documents, or "".
func commonFolder(entries []store.Entry) string {
	folder := ""
	for i, e := range entries {
		if i == 0 {
			folder = filepath.Dir(e.Path)
		}
		for folder != "" && !within(e.Path, folder) {
			up := filepath.Dir(folder)
			if up == folder {
				return ""
			}
			folder = up
		}
	}
	return folder
}
