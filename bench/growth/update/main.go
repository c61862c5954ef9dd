//go:build linux

// Command update measures what it takes to index a folder again after one file in a hundred has changed.
//
//	update -texts FILE -n N -work DIR [-turns N]
//
// FILE is what "growth texts" wrote. Its first N passages become text files in DIR/files, as many passages each as
// belong together, which are indexed with everything that "evident index" does. Besides the time it tells that of the
// processors, for others may compute at the same time.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"evident"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("update: ")
	texts := flag.String("texts", "", "file of passages")
	n := flag.Int("n", 1_000_000, "passages")
	work := flag.String("work", "", "folder for files and index")
	turns := flag.Int("turns", 3, "updates")
	flag.Parse()
	if err := run(*texts, *work, *n, *turns); err != nil {
		log.Fatal(err)
	}
}

func run(texts, work string, n, turns int) (err error) {
	files, data := filepath.Join(work, "files"), filepath.Join(work, "updated")
	if err := errors.Join(os.RemoveAll(files), os.RemoveAll(data)); err != nil {
		return err
	}
	paths, err := writeFiles(texts, files, n)
	if err != nil {
		return err
	}
	ctx := context.Background()
	x, err := evident.Open(ctx, data, evident.Options{Create: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	add := func() (*evident.AddReport, spent, error) {
		begun := now()
		report, err := x.Add(ctx, []string{files}, evident.AddOptions{Workers: 1})
		ended := now()
		return report, spent{ended.wall - begun.wall, ended.cpu - begun.cpu}, err
	}
	report, full, err := add()
	if err != nil {
		return err
	}
	fmt.Printf("%d files, %d passages: %.2f s, of processors %.2f s\n", report.Documents, report.Passages,
		full.wall.Seconds(), full.cpu.Seconds())
	for turn := range turns {
		changed := 0
		for i := turn; i < len(paths); i += 100 {
			if err := appendLine(paths[i], fmt.Sprintf("\nChanged in turn %d.\n", turn)); err != nil {
				return err
			}
			changed++
		}
		report, took, err := add()
		if err != nil {
			return err
		}
		if report.Changed != changed {
			return fmt.Errorf("%d files were changed, %d were read again", changed, report.Changed)
		}
		fmt.Printf("%d files changed: %.2f s, %.2f %% of the full time; of processors %.2f s, %.2f %%\n", changed,
			took.wall.Seconds(), 100*float64(took.wall)/float64(full.wall),
			took.cpu.Seconds(), 100*float64(took.cpu)/float64(full.cpu))
	}
	return nil
}

// spent is time on the clock, and of all processors.
type spent struct{ wall, cpu time.Duration }

func now() spent {
	var wall, cpu unix.Timespec
	err := errors.Join(unix.ClockGettime(unix.CLOCK_MONOTONIC, &wall), unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &cpu))
	if err != nil {
		panic(err)
	}
	return spent{time.Duration(wall.Nano()), time.Duration(cpu.Nano())}
}

// writeFiles writes passages of one path into one file.
func writeFiles(texts, dir string, n int) (paths []string, err error) {
	f, err := os.Open(texts)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var text strings.Builder
	path := ""
	flush := func() error {
		if path == "" {
			return nil
		}
		paths = append(paths, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		defer text.Reset()
		return os.WriteFile(path, []byte(text.String()), 0o644)
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 1<<20), 1<<26)
	for i := 0; i < n && lines.Scan(); i++ {
		name, rest, _ := strings.Cut(lines.Text(), "\t")
		_, paragraph, _ := strings.Cut(rest, "\t")
		if next := filepath.Join(dir, name); next != path {
			if err := flush(); err != nil {
				return nil, err
			}
			path = next
		}
		text.WriteString(paragraph + "\n\n")
	}
	return paths, errors.Join(lines.Err(), flush())
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}
