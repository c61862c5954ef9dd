package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"evident"
	"evident/internal/hub"
)

// source is where a command's documents are: the flags --in, --fast and --model, shared by the
// commands that ask.
type source struct {
	in     string
	fast   bool
	model  string
	vision string // --vision-model
	phrase string // --phrase-model
}

// addVisionFlag adds the flag of the model that sees pictures.
func addVisionFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "vision-model", "",
		"folder or name of the vision-language model for pictures, instead of the built-in one")
}

func (s *source) addFlags(cmd *cobra.Command, model bool) {
	cmd.Flags().StringVar(&s.in, "in", "", "file or folder; index what is new or changed in it first")
	if model {
		s.addModelFlags(cmd)
	}
}

func (s *source) addModelFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.fast, "fast", false, "the small model: faster, less accurate")
	cmd.Flags().StringVarP(&s.model, "model", "m", "",
		"folder of a joint reader, or name of a fetched one, instead of the built-in one")
}

// options turns the model flags into options of an index.
func (a *app) options(s *source) (evident.Options, error) {
	vision, err := a.visionOptions(s.vision)
	if err != nil {
		return evident.Options{}, err
	}
	o := evident.Options{
		Fast: s.fast, CacheDir: a.cacheFolder("packed"), Vision: vision, StoreKey: a.storeKey(),
	}
	if o.Phrases, err = a.phraseOptions(s.phrase); err != nil {
		return o, err
	}
	if s.model == "" {
		return o, nil
	}
	if s.fast {
		return o, usageError("--fast and --model exclude each other: --fast chooses a built-in model")
	}
	dir, err := a.modelFolder(s.model)
	if err != nil {
		return o, err
	}
	o.Model = os.DirFS(dir)
	return o, nil
}

// modelFolder returns the folder that --model names: itself, or that of a fetched model.
func (a *app) modelFolder(named string) (string, error) {
	info, err := os.Stat(named)
	if err == nil && info.IsDir() {
		return named, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("load model %s: %w", named, err)
	}
	if _, bad := hub.ParseName(named); err != nil && bad == nil {
		m, err := a.fetched(named)
		if err == nil {
			return m.Dir, nil
		}
		if !errors.Is(err, hub.ErrNoModel) {
			return "", fmt.Errorf("load model %s: %w", named, err)
		}
		if strings.Contains(named, "/") {
			return "", &hintError{
				fmt.Errorf("load model %s: neither a folder nor a fetched model: %w", named, evident.ErrModelMissing),
				fmt.Sprintf("run %q to fetch it, or name a folder", "evident model pull "+named),
			}
		}
	}
	return "", fmt.Errorf("load model %s: no such folder: %w", named, evident.ErrModelMissing)
}

// open opens the index a command asks: the one of --in, brought up to date, or the one of --data.
func (a *app) open(ctx context.Context, s *source) (*evident.Index, error) {
	opts, err := a.options(s)
	if err != nil {
		return nil, err
	}
	dir, err := a.indexOf(s)
	if err != nil {
		return nil, err
	}
	if s.in == "" {
		return evident.Open(ctx, dir, opts)
	}
	opts.Create = true
	index, err := evident.Open(ctx, dir, opts)
	if err != nil {
		return nil, err
	}
	report, err := a.add(ctx, index, []string{s.in}, evident.AddOptions{})
	if err != nil {
		index.Close()
		return nil, err
	}
	if report.Added+report.Changed+report.Removed > 0 {
		a.out.note("indexed %s: %s; the index is in %s", s.in, counts(report), dir)
		if len(report.Skipped) > 0 {
			a.out.note("%s", skipList(report.Skipped, skipListShort))
		}
	}
	if report.Documents+report.Images == 0 {
		index.Close()
		if len(report.Skipped) > 0 && report.Removed == 0 { // else it was listed above
			a.out.note("%s", skipList(report.Skipped, skipListShort))
		}
		return nil, nothingToRead(s.in, report)
	}
	return index, nil
}

// indexOf is the folder of the index that a command asks: --data, else that of --in, else the default.
func (a *app) indexOf(s *source) (string, error) {
	if s.in == "" {
		return a.dataFolder(), nil
	}
	if _, err := os.Stat(s.in); err != nil {
		return "", fmt.Errorf("read %s: %w", s.in, plainCause(err))
	}
	if a.data != "" {
		return a.data, nil
	}
	return a.folderOf(s.in)
}

// nothingToRead is the error for a folder without a single readable document.
func nothingToRead(path string, report *evident.AddReport) error {
	if len(report.Skipped) == 0 {
		return fmt.Errorf("read %s: no documents in it: %w", path, evident.ErrEmptyIndex)
	}
	return fmt.Errorf("read %s: none of its files could be read: %w", path, evident.ErrEmptyIndex)
}

// plainCause drops the operation and path of a file error, for sentences that name them already.
func plainCause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// add brings the index up to date and shows progress.
func (a *app) add(
	ctx context.Context, index *evident.Index, paths []string, o evident.AddOptions,
) (*evident.AddReport, error) {
	bar := a.out.progress("files")
	o.Progress = bar.files
	o.CacheDir = a.cacheFolder("pdf")
	report, err := index.Add(ctx, paths, o)
	bar.done()
	return report, err
}

// dataFolder is the index of commands without --in: --store, --data, EVIDENT_DATA, or "default".
func (a *app) dataFolder() string {
	if a.data != "" {
		return a.data
	}
	if dir := a.streams.Environment("EVIDENT_DATA"); dir != "" {
		return dir
	}
	return filepath.Join(a.home("data"), "default")
}

// folderOf is the index of a path: its last name, and a hash of the whole so that two folders of
// one name do not share an index.
func (a *app) folderOf(path string) (string, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(full))
	name := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '-'
		}
		return r
	}, filepath.Base(full))
	name = cmp.Or(strings.TrimLeft(name, ".-"), "root") + "-" + hex.EncodeToString(sum[:5])
	return filepath.Join(a.home("data"), name), nil
}

// cacheFolder is where what can be made again lies, by kind; "" where EVIDENT_CACHE=off keeps nothing.
func (a *app) cacheFolder(kind string) string {
	if a.streams.Environment("EVIDENT_CACHE") == "off" {
		return ""
	}
	return filepath.Join(a.home("cache"), kind)
}

// home returns evident's own folder of a kind: "data" (indexes) or "cache" (may be deleted).
func (a *app) home(kind string) string {
	environment := a.streams.Environment
	if dir := environment("EVIDENT_CACHE"); kind == "cache" && dir != "" && dir != "off" {
		return dir
	}
	if dir := environment("XDG_" + strings.ToUpper(kind) + "_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "evident")
	}
	user := environment("HOME")
	switch runtime.GOOS {
	case "windows":
		return filepath.Join(environment("LOCALAPPDATA"), "evident", kind)
	case "darwin":
		if kind == "cache" {
			return filepath.Join(user, "Library", "Caches", "evident")
		}
		return filepath.Join(user, "Library", "Application Support", "evident")
	}
	if kind == "cache" {
		return filepath.Join(user, ".cache", "evident")
	}
	return filepath.Join(user, ".local", "share", "evident")
}
