package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"evident"
	"evident/api"
)

// indexName is what an index that is made through the server may be called: it is a folder too.
var indexName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func noIndex(name string) error {
	return api.NewProblem("no-index", "there is no index called "+quoted(name))
}

// OpenKept opens the indexes that were made through the server before, but those that cannot be opened: these are left
// out, and left as they are.
func (s *Service) OpenKept(ctx context.Context) error {
	if s.o.Keep == "" {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(s.o.Keep, indexFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list indexes: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || !indexName.MatchString(e.Name()) || filepath.Ext(e.Name()) == partialEnding {
			continue
		}
		_, err := s.index(e.Name())
		if err == nil {
			err = errors.New("the index that was named at the start is called so too")
		} else {
			err = s.openKept(ctx, e.Name(), false)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.leaveOut(filepath.Join(s.o.Keep, indexFolder, e.Name()), err)
		}
	}
	return nil
}

// leaveOut notes a file or folder below [Options.Keep] that cannot be used.
func (s *Service) leaveOut(path string, err error) {
	if within, relErr := filepath.Rel(s.o.Keep, path); relErr == nil {
		path = filepath.ToSlash(within)
	}
	s.leftMu.Lock()
	defer s.leftMu.Unlock()
	s.leftOut = append(s.leftOut, api.Skipped{Path: path, Reason: s.names.in(err.Error())})
}

// LeftOut lists what was made through the server before and cannot be read any more, by paths below [Options.Keep].
func (s *Service) LeftOut() []api.Skipped {
	s.leftMu.Lock()
	defer s.leftMu.Unlock()
	return slices.Clone(s.leftOut)
}

// partialEnding is that of a folder which is not complete yet, or not removed yet.
const partialEnding = ".partial"

// openKept opens an index of the server's own folder and lists it.
func (s *Service) openKept(ctx context.Context, name string, create bool) error {
	dir := filepath.Join(s.o.Keep, indexFolder, name)
	s.names.add(dir, name)
	opened, err := s.o.Indexes[0].OpenBeside(ctx, dir, create)
	if err != nil {
		return err
	}
	s.listedMu.Lock()
	defer s.listedMu.Unlock()
	s.listed = append(s.listed, &listing{index: Index{name, opened}, names: s.names, kept: dir})
	return nil
}

// MakeIndex makes an index, an empty one or that of a snapshot, in the server's own folder.
func (s *Service) MakeIndex(ctx context.Context, r api.IndexRequest) (*api.Index, error) {
	folder, err := s.keep(indexFolder)
	if err != nil {
		return nil, err
	}
	if !indexName.MatchString(r.Name) || filepath.Ext(r.Name) == partialEnding {
		return nil, api.NewProblem("bad-name", quoted(r.Name)+" cannot be the name of an index")
	}
	s.making.Lock()
	defer s.making.Unlock()
	if _, err := s.index(r.Name); err == nil {
		return nil, api.NewProblem("conflict", "there is an index called "+quoted(r.Name)+" already")
	}
	if len(s.all()) >= indexesMax {
		return nil, api.NewProblem("conflict", fmt.Sprintf("there are %d indexes already", indexesMax))
	}
	if r.Snapshot != "" {
		if _, err := s.Snapshot(r.Snapshot); err != nil {
			return nil, err
		}
		_, err := evident.RestoreSnapshot(ctx, s.snapshotPath(r.Snapshot), filepath.Join(folder, r.Name), evident.SnapshotOptions{})
		if err != nil {
			return nil, s.names.problem(err)
		}
	}
	if err := s.openKept(ctx, r.Name, r.Snapshot == ""); err != nil {
		return nil, s.names.problem(err)
	}
	return s.Index(r.Name)
}

// indexesMax bounds how many indexes are open: each holds files and memory.
const indexesMax = 64

// RemoveIndex deletes an index that was made through the server, once nobody is asking it any more, and says what it
// held. One that was named at the start is not the server's to delete.
func (s *Service) RemoveIndex(ctx context.Context, name string) (*api.Index, error) {
	l, err := s.index(name)
	if err != nil {
		return nil, err
	}
	if l.kept == "" {
		return nil, api.NewProblem("conflict",
			"index "+quoted(name)+" was named when the server was started: remove its folder once the server is stopped")
	}
	s.making.Lock()
	defer s.making.Unlock()
	if s.jobs.busy(name) {
		return nil, api.NewProblem("conflict", "a job works on index "+quoted(name)+": stop it first")
	}
	was, err := l.describe()
	if err != nil {
		return nil, err
	}
	if !s.unlist(l) { // another request was faster
		return nil, noIndex(name)
	}
	if err := l.retire(ctx); err != nil { // still in use: nothing was removed
		s.listedMu.Lock()
		s.listed = append(s.listed, l)
		s.listedMu.Unlock()
		return nil, s.names.problem(err)
	}
	// Renamed first: what is left of a removal that breaks off is no index.
	gone := l.kept + partialEnding
	err = errors.Join(l.index.Close(), os.RemoveAll(gone), os.Rename(l.kept, gone), os.RemoveAll(gone))
	if err != nil {
		return nil, fmt.Errorf("remove index %s: %w", name, err)
	}
	return was, nil
}

func (s *Service) unlist(l *listing) bool {
	s.listedMu.Lock()
	defer s.listedMu.Unlock()
	at := slices.Index(s.listed, l)
	if at >= 0 {
		s.listed = slices.Delete(slices.Clone(s.listed), at, at+1)
	}
	return at >= 0
}

// all returns the indexes as they are now.
func (s *Service) all() []*listing {
	s.listedMu.RLock()
	defer s.listedMu.RUnlock()
	return slices.Clone(s.listed)
}

// enter says whether the index may be asked; leave must be called after that.
func (l *listing) enter() bool {
	l.using.Lock()
	defer l.using.Unlock()
	if l.retired {
		return false
	}
	l.users++
	return true
}

func (l *listing) leave() {
	l.using.Lock()
	defer l.using.Unlock()
	if l.users--; l.users == 0 && l.free != nil {
		close(l.free)
		l.free = nil
	}
}

// retire lets nobody in any more and waits until all have left; if ctx ends before that, others are let in again.
func (l *listing) retire(ctx context.Context) error {
	l.using.Lock()
	l.retired = true
	var free chan struct{}
	if l.users > 0 {
		free = make(chan struct{})
		l.free = free
	}
	l.using.Unlock()
	if free == nil {
		return nil
	}
	select {
	case <-free:
		return nil
	case <-ctx.Done():
		l.using.Lock()
		defer l.using.Unlock()
		l.retired, l.free = false, nil
		return ctx.Err()
	}
}
