//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"evident/document"
	"evident/store"
)

// indexed is what making an index took.
type indexed struct {
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"`  // seconds of all threads
	Peak    int64   `json:"peak"` // resident bytes, mapped files included
	Anon    int64   `json:"anon"` // peak of those that are not of files; 0 where it is not told
	Bytes   int64   `json:"bytes"`
	Parts   int     `json:"parts"` // segments, or batches
}

// indexOurs makes an index of the first n passages of a file of texts.
func indexOurs(texts, dir string, n int) (*indexed, error) {
	begun := time.Now()
	s, err := store.Create(dir, store.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := putAll(s, texts, n); err != nil {
		return nil, err
	}
	stats, err := s.Stats()
	if err != nil {
		return nil, err
	}
	made := &indexed{
		Seconds: time.Since(begun).Seconds(), CPU: cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID).Seconds(),
		Peak: statusBytes("VmHWM"), Bytes: sizeOf(dir), Parts: stats.Batches,
	}
	if stats.Passages != n {
		return nil, fmt.Errorf("%d passages of %d", stats.Passages, n)
	}
	return made, nil
}

// putAll adds passages, a document at a time, in one commit.
func putAll(s *store.Store, texts string, n int) (err error) {
	w, err := s.Writer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	d := &gathering{put: func(doc *document.Document, passages []document.Passage) error {
		return w.Put(doc, passages, store.FileStat{Size: int64(len(doc.Text))})
	}}
	if err := eachRow(texts, n, d.add); err != nil {
		return err
	}
	if err := d.flush(); err != nil {
		return err
	}
	return w.Commit()
}

// gathering makes documents of rows that follow each other.
type gathering struct {
	put  func(*document.Document, []document.Passage) error
	rows []row
}

func (g *gathering) add(r row) error {
	if len(g.rows) > 0 && g.rows[0].path != r.path {
		if err := g.flush(); err != nil {
			return err
		}
	}
	g.rows = append(g.rows, r)
	return nil
}

func (g *gathering) flush() error {
	if len(g.rows) == 0 {
		return nil
	}
	doc, passages := documentOf(g.rows)
	g.rows = g.rows[:0]
	return g.put(doc, passages)
}

// documentOf makes a document whose passages are rows.
func documentOf(rows []row) (*document.Document, []document.Passage) {
	doc := &document.Document{Path: rows[0].path, Format: "text", Title: rows[0].title}
	var text strings.Builder
	var passages []document.Passage
	for _, r := range rows {
		if text.Len() > 0 {
			text.WriteString("\n\n")
		}
		span := document.ByteSpan{Start: text.Len(), End: text.Len() + len(r.text)}
		text.WriteString(r.text)
		doc.Blocks = append(doc.Blocks, span)
		passages = append(passages, document.Passage{Span: span})
	}
	doc.Text = text.String()
	return doc, passages
}

// searchOurs searches when it is told to: a line "run K" is answered by the nanoseconds of CPU that each
// question took, "fetch K" by those of reading the best passages as well, "hits K" by their numbers.
func searchOurs(dir, questions string) error {
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	now, err := s.Snapshot()
	if err != nil {
		return err
	}
	defer now.Release()
	asked, err := readQuestions(questions)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		word, digits, _ := strings.Cut(lines.Text(), " ")
		k, err := strconv.Atoi(digits)
		if err != nil {
			return err
		}
		var answer any
		if word == "hits" {
			answer, err = hitsOf(now, asked, k)
		} else {
			answer, err = timesOf(now, asked, k, word == "fetch")
		}
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
			return err
		}
	}
	return nil
}

func timesOf(now *store.Snapshot, asked []question, k int, fetch bool) ([]int64, error) {
	runtime.GC()
	times := make([]int64, len(asked))
	for i, q := range asked {
		before := cpuTime(unix.CLOCK_THREAD_CPUTIME_ID)
		hits, err := now.Search(q.text, k)
		if err != nil {
			return nil, err
		}
		if fetch {
			for _, h := range hits {
				if _, err := now.Passage(h.Passage); err != nil {
					return nil, err
				}
			}
		}
		times[i] = int64(cpuTime(unix.CLOCK_THREAD_CPUTIME_ID) - before)
	}
	return times, nil
}

func hitsOf(now *store.Snapshot, asked []question, k int) ([][]int64, error) {
	all := make([][]int64, len(asked))
	for i, q := range asked {
		hits, err := now.Search(q.text, k)
		if err != nil {
			return nil, err
		}
		for _, h := range hits {
			all[i] = append(all[i], int64(uint32(h.Passage)))
		}
	}
	return all, nil
}

// question is what is asked, and of which kind it is.
type question struct{ kind, text string }

func readQuestions(path string) ([]question, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []question
	for line := range strings.Lines(string(data)) {
		kind, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		all = append(all, question{kind, text})
	}
	return all, nil
}

func cpuTime(clock int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// statusBytes reads a field of /proc/self/status.
func statusBytes(field string) int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	var kib int64
	for line := range strings.Lines(string(data)) {
		_, _ = fmt.Sscanf(line, field+": %d kB", &kib)
	}
	return kib << 10
}

// sizeOf adds up the files of a folder.
func sizeOf(dir string) int64 {
	total := int64(0)
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			total += info.Size()
		}
	}
	return total
}
