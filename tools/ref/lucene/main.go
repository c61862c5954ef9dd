// Command lucene writes the texts and questions of a comparison with Lucene, analysed, one a line.
// run.sh calls it, then Lucene, and keeps the lists as goldens.
package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"evident/bm25"
	"evident/internal/lucenecheck"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "lucene:", err)
		os.Exit(1)
	}
}

// run writes the small collection when args name only the output folder, else the real one.
func run(args []string) error {
	if len(args) != 1 && len(args) != 2 {
		return fmt.Errorf("usage: lucene OUTDIR [QADIR]")
	}
	collection := lucenecheck.Small()
	if len(args) == 2 {
		var err error
		if collection, err = lucenecheck.Real(args[1]); err != nil {
			return err
		}
	}
	if err := write(filepath.Join(args[0], "texts"), collection.Texts); err != nil {
		return err
	}
	return write(filepath.Join(args[0], "questions"), collection.Questions)
}

func write(path string, texts []string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriter(f)
	for _, text := range texts {
		fmt.Fprintln(out, strings.Join(bm25.Analyzer{}.Terms(text), " "))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Close()
}
