package evident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"evident/internal/kernel"
	"evident/models"
)

// Examination is what [Examine] found.
type Examination struct {
	CPU    CPU             `json:"cpu"`
	GEMM   map[string]GEMM `json:"gemm"` // by precision: "fp32", "bf16", "int8"
	Models []ModelInfo     `json:"models"`
	Checks []Check         `json:"checks"`
}

// CPU is the processor as the kernels use it.
type CPU struct {
	Tier     string   `json:"tier"`     // in use
	Features []string `json:"features"` // tiers this processor has
}

// GEMM is the speed of matrix products on one core.
type GEMM struct {
	GFLOPS   float64 `json:"gflops"`   // integer operations for int8
	Peak     float64 `json:"peak"`     // of a loop of nothing but multiply-adds; 0 when not known
	Fraction float64 `json:"fraction"` // GFLOPS / Peak
}

// ModelInfo is an embedded model.
type ModelInfo struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Bytes       int64  `json:"bytes"`
	OK          bool   `json:"ok"`
}

// Check is one thing that was examined.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Well says whether every check passed.
func (e *Examination) Well() bool {
	for _, c := range e.Checks {
		if !c.OK {
			return false
		}
	}
	return true
}

// Examine looks at the processor, the embedded models, their packed weights in the cache folder of the
// options, and the data folder dir. It takes less than a second or two: the models are loaded to see
// that they are whole.
func Examine(ctx context.Context, dir string, o Options) (*Examination, error) {
	tier, tierErr := kernel.Default()
	e := &Examination{
		CPU:    CPU{Tier: tier.String(), Features: features()},
		GEMM:   map[string]GEMM{},
		Models: []ModelInfo{}, Checks: []Check{},
	}
	check := Check{Name: "cpu", OK: tierErr == nil, Detail: "tier " + tier.String()}
	if err := kernel.UnusedAMX(); err != nil {
		check.Detail += "; " + err.Error()
	}
	if tierErr != nil {
		check.Detail = tierErr.Error()
	}
	e.Checks = append(e.Checks, check)
	for _, m := range kernel.Measure() {
		e.GEMM[m.Precision] = GEMM{m.GFLOPS, m.Peak, m.Fraction}
	}
	for _, m := range models.Embedded() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e.examineModel(ctx, m, o.CacheDir)
	}
	e.Checks = append(e.Checks, examineData(ctx, dir))
	return e, nil
}

// features lists what the kernels could use here, slowest first.
func features() []string {
	names := []string{}
	for tier := kernel.Generic; tier <= kernel.Best(); tier++ {
		if kernel.Available(tier) == nil {
			names = append(names, tier.String())
		}
	}
	return names
}

func (e *Examination) examineModel(ctx context.Context, m models.Model, cacheDir string) {
	info := ModelInfo{Name: m.Name, Description: m.Description}
	check := Check{Name: "model " + m.Name, OK: true}
	if files, err := models.Open(m.Name); err == nil {
		info.Bytes = folderBytes(files)
	}
	detail, err := tryModel(ctx, m.Name, cacheDir)
	if check.Detail = detail; err != nil {
		check.OK, check.Detail = false, err.Error()
	}
	info.OK = check.OK
	e.Models, e.Checks = append(e.Models, info), append(e.Checks, check)
}

// tryModel loads a model and says how that went.
func tryModel(ctx context.Context, name, cacheDir string) (string, error) {
	if name == models.Vision {
		v, err := OpenVision(ctx, VisionOptions{CacheDir: cacheDir})
		if err != nil {
			return "", err
		}
		return "loads; " + v.model.Packed.String(), nil
	}
	if name == models.Phrase {
		encoder, err := loadPhraseEncoder(Options{CacheDir: cacheDir})
		if err != nil {
			return "", err
		}
		return "loads; " + encoder.Packed().String(), nil
	}
	reader, err := loadReader(Options{Fast: name == models.Fast, CacheDir: cacheDir})
	if err != nil {
		return "", err
	}
	return "loads; " + reader.Packed().String(), nil
}

func folderBytes(files fs.FS) int64 {
	total := int64(0)
	_ = fs.WalkDir(files, ".", func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			if info, err := entry.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total
}

// examineData opens the index of a data folder; that there is none yet is no fault.
func examineData(ctx context.Context, dir string) Check {
	c := Check{Name: "data " + dir, OK: true}
	index, err := Open(ctx, dir, Options{})
	switch {
	case errors.Is(err, ErrNoIndex):
		c.Detail = "no index yet"
		if err := writable(dir); err != nil {
			c.OK, c.Detail = false, err.Error()
		}
		return c
	case err != nil:
		c.OK, c.Detail = false, err.Error()
		return c
	}
	defer index.Close()
	if err := index.storage.Verify(ctx); err != nil {
		c.OK, c.Detail = false, err.Error()
		return c
	}
	stats, err := index.stats()
	if err != nil {
		c.OK, c.Detail = false, err.Error()
		return c
	}
	pictures := ""
	if stats.Pictures > 0 {
		pictures = fmt.Sprintf("%d pictures, ", stats.Pictures)
	}
	phrases := ""
	if index.HasPhrases() {
		stats, err := index.phraseStats(ctx, true)
		if err != nil {
			c.OK, c.Detail = false, err.Error()
			return c
		}
		phrases = fmt.Sprintf("%d phrases, ", stats.Vectors)
	}
	c.Detail = fmt.Sprintf("%d documents, %d passages, %s%swhole", stats.Documents, stats.Passages, pictures, phrases)
	return c
}

// writable says why a folder, or the nearest one above it that exists, cannot be written to.
func writable(dir string) error {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if errors.Is(err, fs.ErrNotExist) && filepath.Dir(at) != at {
			continue
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is not a folder", at)
		}
		probe, err := os.CreateTemp(at, ".evident-*")
		if err != nil {
			return err
		}
		name := probe.Name()
		return errors.Join(probe.Close(), os.Remove(name))
	}
}
