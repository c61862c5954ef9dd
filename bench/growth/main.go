//go:build linux

// Command growth measures how an index grows, beside Lucene in the same run; bench/growth/run does all of it.
//
//	growth texts     -qa DIR -n N -work DIR
//	growth compare   -work DIR -lucene COMMAND [-sizes N,N,…] [-rounds N] [-keep]
//	growth plot      -work DIR -plot FILE [-sizes N,N,…]
//	growth readers   -work DIR -n N
//	growth reopen    -work DIR -n N
//	growth index|search …   what compare runs as processes of their own
//
// texts writes passages (see texts.go for how there are a million of them) and questions. compare indexes the first
// N of them with evident's store and with Lucene, each in a process of its own and in turns, and lets both answer
// the questions in turns, on one thread, warm; times of questions are CPU times, so that what else the machine does
// counts little. readers asks while nothing else happens and while a writer adds and merges. reopen kills a writer and opens.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

type options struct {
	qa, work, lucene, plot string
	n, rounds, questions   int
	sizes                  string
	keep                   bool
}

func (o *options) texts() string     { return filepath.Join(o.work, "texts") }
func (o *options) questionS() string { return filepath.Join(o.work, "questions") }

func main() {
	log.SetFlags(0)
	log.SetPrefix("growth: ")
	if len(os.Args) < 2 {
		log.Fatal("usage: growth texts|compare|plot|readers|reopen …")
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

func run(command string, args []string) error {
	switch command {
	case "index":
		return runIndex(args)
	case "search":
		return searchOurs(args[0], args[1])
	case "write":
		return writeOn(args)
	case "read":
		return readOn(args)
	case "open":
		return openOnce(args[0])
	}
	var o options
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	flags.StringVar(&o.qa, "qa", "", "folder of the question-answering data")
	flags.StringVar(&o.work, "work", "", "folder for texts, questions and indexes")
	flags.StringVar(&o.lucene, "lucene", "", "command that runs LuceneGrowth")
	flags.StringVar(&o.plot, "plot", "", "SVG to write")
	flags.StringVar(&o.sizes, "sizes", "10000,100000,1000000", "numbers of passages")
	flags.IntVar(&o.n, "n", 1_000_000, "passages")
	flags.IntVar(&o.rounds, "rounds", 3, "turns of indexing; there are four times as many of searching")
	flags.IntVar(&o.questions, "questions", 500, "questions of each of the two kinds")
	flags.BoolVar(&o.keep, "keep", false, "only search, in the indexes that compare has made before")
	_ = flags.Parse(args)
	switch command {
	case "texts":
		if err := writeTexts(o.texts(), o.qa, o.n); err != nil {
			return err
		}
		return writeQuestions(o.questionS(), o.qa, o.questions)
	case "compare":
		return compare(&o)
	case "plot":
		return plot(&o)
	case "readers":
		return readers(&o)
	case "reopen":
		return reopen(&o)
	}
	return fmt.Errorf("unknown command %q", command)
}

// runIndex is the process that makes our index: TEXTS DIR N.
func runIndex(args []string) error {
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	made, err := indexOurs(args[0], args[1], n)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(made)
}

// numbers reads a list like "10,100".
func numbers(list string) ([]int, error) {
	var all []int
	for _, digits := range strings.Split(list, ",") {
		n, err := strconv.Atoi(digits)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}
