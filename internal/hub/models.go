package hub

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"evident/internal/filelock"
)

// Model is a model in the folder.
type Model struct {
	Name    Name
	Commit  string
	License string // as the hub told; "" when it did not, or when other tools fetched the model
	Dir     string // holds the model's files
	Files   []ModelFile
	Bytes   int64 // of all files
}

// ModelFile is one of its files.
type ModelFile struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// record is what a pull leaves behind in a snapshot that is complete.
type record struct {
	License string      `json:"license,omitempty"`
	Files   []ModelFile `json:"files"`
}

// finish marks the snapshot complete and lets the revision stand for it.
func (p *puller) finish(license string) error {
	dir := filepath.Join(p.folder, "snapshots", p.commit)
	files, err := filesOf(dir)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(record{license, files}, "", " ")
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(dir, completeName), append(text, '\n')); err != nil {
		return err
	}
	ref := filepath.Join(p.folder, "refs", filepath.FromSlash(p.name.Revision))
	if err := os.MkdirAll(filepath.Dir(ref), 0o755); err != nil {
		return err
	}
	return replaceFile(ref, []byte(p.commit))
}

// replaceFile writes a file aside and gives it its name.
func replaceFile(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// filesOf lists the files of a snapshot, by path. Those of ours are left out.
func filesOf(dir string) ([]ModelFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []ModelFile
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(dir, e.Name())) // what a link points at
		if err != nil || info.IsDir() || strings.HasPrefix(e.Name(), completeName) {
			continue
		}
		files = append(files, ModelFile{e.Name(), info.Size()})
	}
	return files, nil
}

// Find returns a model that is in the folder, or an error that is [ErrNoModel].
func (h *Hub) Find(name Name) (*Model, error) {
	folder := h.folder(name.Repository)
	commit := name.Revision
	if !commitRule.MatchString(commit) {
		text, err := os.ReadFile(filepath.Join(folder, "refs", filepath.FromSlash(name.Revision)))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", name, ErrNoModel)
		}
		if err != nil {
			return nil, err
		}
		commit = strings.TrimSpace(string(text))
	}
	if !commitRule.MatchString(commit) {
		return nil, fmt.Errorf("%s: its revision stands for %q, which is no commit", name, commit)
	}
	dir := filepath.Join(folder, "snapshots", commit)
	files, err := filesOf(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(files) == 0 {
		return nil, fmt.Errorf("%s: %w", name, ErrNoModel)
	}
	if err != nil {
		return nil, err
	}
	m := &Model{Name: name, Commit: commit, Dir: dir, Files: files}
	for _, f := range files {
		m.Bytes += f.Bytes
	}
	if text, err := os.ReadFile(filepath.Join(dir, completeName)); err == nil {
		var r record
		if json.Unmarshal(text, &r) == nil {
			m.License = r.License
		}
	}
	return m, nil
}

// List returns the models in the folder, those of other tools included, by name.
func (h *Hub) List() ([]*Model, error) {
	entries, err := os.ReadDir(h.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	var models []*Model
	for _, e := range entries {
		repository, ok := strings.CutPrefix(e.Name(), "models--")
		if !ok || !e.IsDir() {
			continue
		}
		refs := filepath.Join(h.Folder, e.Name(), "refs")
		repository = strings.ReplaceAll(repository, "--", "/")
		err := filepath.WalkDir(refs, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return nil //nolint:nilerr // a folder that cannot be read holds no model of ours
			}
			revision, err := filepath.Rel(refs, path)
			if err != nil {
				return err
			}
			m, err := h.Find(Name{repository, filepath.ToSlash(revision)})
			if err == nil {
				models = append(models, m)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list models: %w", err)
		}
	}
	slices.SortFunc(models, func(a, b *Model) int {
		byName := strings.Compare(a.Name.Repository, b.Name.Repository)
		return cmp.Or(byName, strings.Compare(a.Name.Revision, b.Name.Revision))
	})
	return models, nil
}

// Remove deletes a model with all its revisions, and what was fetched of it in part.
func (h *Hub) Remove(repository string) error {
	folder := h.folder(repository)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", repository, ErrNoModel)
	}
	held, err := filelock.Take(filepath.Join(folder, lockName))
	if err != nil {
		return fmt.Errorf("remove %s: %w", repository, err)
	}
	// The names go first: what is left of a removal that breaks off is no model.
	err = os.RemoveAll(filepath.Join(folder, "refs"))
	if err == nil {
		err = os.RemoveAll(filepath.Join(folder, "snapshots"))
	}
	err = errors.Join(err, held.Release())
	if err == nil {
		err = os.RemoveAll(folder)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", repository, err)
	}
	return nil
}
