package vector

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"evident/internal/durable"
	"evident/internal/filelock"
)

const (
	manifestVersion = 1
	manifestKind    = "vectors" // in its first line
	manifestName    = "MANIFEST"
	lockName        = "LOCK"
	improveName     = "IMPROVE"
	segmentSuffix   = ".vectors"
	asideSuffix     = ".aside" // a segment that is being made, without the writer's lock
)

// ErrNoIndex is returned by [Open] for a folder that holds no index.
var ErrNoIndex = errors.New("there is no vector index here")

// ErrExists is returned by [Create] for a folder that holds an index.
var ErrExists = errors.New("there is a vector index here already")

// ErrClosed is returned by the methods of an [Index] after Close.
var ErrClosed = errors.New("the vector index is closed")

// LockedError says that another process is at it.
type LockedError = filelock.HeldError

// Settings are what an index is made with.
type Settings struct {
	Dim  int    `json:"dim"`           // coordinates of a vector, 1 to 2048
	Fine bool   `json:"fine"`          // 16 bits a coordinate are kept, not 8
	Tag  string `json:"tag,omitempty"` // what the vectors mean: the model that made them, say

	// ListsFrom is the number of vectors from which a segment gets inverted lists; 0 means 32,768.
	ListsFrom int `json:"lists_from,omitempty"`
}

// dimMax bounds what a kernel can add up.
const dimMax = 2048

func (s *Settings) check() error {
	if s.Dim < 1 || s.Dim > dimMax {
		return fmt.Errorf("vectors of %d coordinates: 1 to %d are possible", s.Dim, dimMax)
	}
	return nil
}

func (s *Settings) listsFrom() int {
	if s.ListsFrom > 0 {
		return s.ListsFrom
	}
	return 1 << 15
}

// manifest lists the files that make up one generation.
type manifest struct {
	Generation uint32 `json:"generation"`
	Settings
	NextFile int            `json:"next_file"`
	Segments []segmentEntry `json:"segments"`
}

// segmentEntry names a segment and what of it was replaced or removed since.
type segmentEntry struct {
	File    string          `json:"file"`
	Bytes   int64           `json:"bytes"`
	Vectors int             `json:"vectors"`
	Groups  int             `json:"groups"`
	Lists   int             `json:"lists,omitempty"`
	Gone    int             `json:"gone,omitempty"`    // vectors of deleted groups
	Deleted []durable.Range `json:"deleted,omitempty"` // groups
}

func readManifest(dir string) (*manifest, error) {
	path := filepath.Join(dir, manifestName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoIndex
	} else if err != nil {
		return nil, err
	}
	return parseManifest(path, data)
}

func parseManifest(path string, data []byte) (*manifest, error) {
	body, err := durable.Body(path, manifestKind, manifestVersion, data)
	if err != nil {
		return nil, err
	}
	m := new(manifest)
	if err := json.Unmarshal(body, m); err != nil {
		return nil, durable.Damaged(path, "%v", err)
	}
	if err := m.Settings.check(); err != nil {
		return nil, durable.Damaged(path, "%v", err)
	}
	for _, s := range m.Segments {
		if s.File != filepath.Base(s.File) || filepath.Ext(s.File) != segmentSuffix {
			return nil, durable.Damaged(path, "%q is not the name of a segment", s.File)
		}
		if !durable.CheckRanges(s.Deleted, s.Groups) || s.Gone < 0 || s.Gone > s.Vectors {
			return nil, durable.Damaged(path, "segment %s: impossible deletion of groups %v", s.File, s.Deleted)
		}
	}
	return m, nil
}

// write replaces the manifest in dir.
func (m *manifest) write(disk durable.FS, dir string) error {
	body, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	return durable.ReplaceOn(disk, filepath.Join(dir, manifestName), durable.Sign(manifestKind, manifestVersion, body))
}
