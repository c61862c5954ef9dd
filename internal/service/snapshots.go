package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"evident"
	"evident/api"
)

// Folders below [Options.Keep].
const (
	snapshotFolder   = "snapshots"
	indexFolder      = "indexes"
	evaluationFolder = "evaluations"
)

// Endings of their files.
const (
	snapshotEnding   = ".tar"
	evaluationEnding = ".json"
)

// keep returns a folder below the one where what is made through the server is kept, and makes it.
func (s *Service) keep(folder string) (string, error) {
	if s.o.Keep == "" {
		return "", api.NewProblem("not-allowed", "the server keeps nothing: it was started without --keep")
	}
	path := filepath.Join(s.o.Keep, folder)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", fmt.Errorf("keep %s: %w", folder, err)
	}
	return path, nil
}

// StartSnapshot starts a job that writes a checked copy of an index into the server's own folder.
func (s *Service) StartSnapshot(r api.SnapshotRequest) (*api.Job, error) {
	l, err := s.index(r.Index)
	if err != nil {
		return nil, err
	}
	if _, err := s.keep(snapshotFolder); err != nil {
		return nil, err
	}
	return s.start(api.Job{Kind: "snapshot", Index: l.index.Name}, func(ctx context.Context, k *job) error {
		made, err := s.snapshot(ctx, l)
		k.update(func(w *api.Job) { w.Snapshot = made })
		return err
	})
}

// snapshot writes a copy. Its name says of what it is and when it was made.
func (s *Service) snapshot(ctx context.Context, l *listing) (*api.Snapshot, error) {
	folder, err := s.keep(snapshotFolder)
	if err != nil {
		return nil, err
	}
	if !l.enter() {
		return nil, noIndex(l.index.Name)
	}
	defer l.leave()
	stem := strings.Map(func(r rune) rune {
		if strings.ContainsRune("._-", r) || r < 0x80 && (isLetter(r) || r >= '0' && r <= '9') {
			return r
		}
		return '-'
	}, l.index.Name) + s.o.Now().UTC().Format("-20060102T150405Z")
	name := stem + snapshotEnding
	report, err := l.index.WriteSnapshot(ctx, filepath.Join(folder, name), evident.SnapshotOptions{Now: s.o.Now})
	for n := 2; errors.Is(err, evident.ErrSnapshotExists) && n < 100; n++ { // of the same second
		name = fmt.Sprintf("%s-%d%s", stem, n, snapshotEnding)
		report, err = l.index.WriteSnapshot(ctx, filepath.Join(folder, name), evident.SnapshotOptions{Now: s.o.Now})
	}
	if err != nil {
		return nil, err
	}
	made, err := s.Snapshot(name)
	if err == nil {
		made.Documents, made.Images, made.SHA256 = report.Documents, report.Images, report.SHA256
	}
	return made, err
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

// Snapshots lists the snapshots in the server's own folder, newest first.
func (s *Service) Snapshots() (*api.SnapshotList, error) {
	list := &api.SnapshotList{Snapshots: []api.Snapshot{}}
	if s.o.Keep == "" {
		return list, nil
	}
	entries, err := os.ReadDir(filepath.Join(s.o.Keep, snapshotFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	for _, e := range entries {
		if one, err := s.Snapshot(e.Name()); err == nil { // others are none of ours, or just went
			list.Snapshots = append(list.Snapshots, *one)
		}
	}
	slices.SortFunc(list.Snapshots, func(a, b api.Snapshot) int {
		return cmp.Or(cmp.Compare(b.Created, a.Created), cmp.Compare(b.Name, a.Name))
	})
	return list, nil
}

// SnapshotName is what the name of a snapshot looks like; none leads out of a folder.
const SnapshotName = `^[A-Za-z0-9][A-Za-z0-9._-]{0,190}\.tar$`

var snapshotName = regexp.MustCompile(SnapshotName)

// Snapshot describes a snapshot.
func (s *Service) Snapshot(name string) (*api.Snapshot, error) {
	missing := api.NewProblem("no-snapshot", "there is no snapshot "+quoted(name))
	if !snapshotName.MatchString(name) || s.o.Keep == "" {
		return nil, missing
	}
	info, err := os.Lstat(s.snapshotPath(name))
	if err != nil || !info.Mode().IsRegular() {
		return nil, missing
	}
	return &api.Snapshot{
		Name: name, Bytes: info.Size(), Created: info.ModTime().UTC().Format(time.RFC3339),
	}, nil
}

func (s *Service) snapshotPath(name string) string {
	return filepath.Join(s.o.Keep, snapshotFolder, name)
}

// OpenSnapshot opens the file of a snapshot.
func (s *Service) OpenSnapshot(name string) (*os.File, error) {
	if _, err := s.Snapshot(name); err != nil {
		return nil, err
	}
	return os.Open(s.snapshotPath(name))
}

// RemoveSnapshot deletes a snapshot and says what it was.
func (s *Service) RemoveSnapshot(name string) (*api.Snapshot, error) {
	gone, err := s.Snapshot(name)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(s.snapshotPath(name)); err != nil {
		return nil, fmt.Errorf("remove snapshot: %w", err)
	}
	return gone, nil
}
