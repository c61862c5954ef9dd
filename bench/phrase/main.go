//go:build unix

// Command phrase measures what encoding costs: passages with their candidates, and questions, in CPU
// time of one thread, the least of several runs.
//
//	go run ./bench/phrase -model FOLDER -corpus passages.jsonl.gz
package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"evident/efficientqa"
	"evident/eval"
	"evident/models"
	"evident/nn"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("phrase: ")
	model := flag.String("model", "", "folder of a phrase encoder; the built-in one without it")
	corpus := flag.String("corpus", "", "JSON Lines with id, title, text")
	n := flag.Int("n", 64, "passages of a run")
	runs := flag.Int("runs", 5, "runs, of which the fastest counts")
	profile := flag.String("profile", "", "write a CPU profile to this file")
	flag.Parse()
	if err := run(*model, *corpus, *n, *runs, *profile); err != nil {
		log.Fatal(err)
	}
}

func run(model, corpus string, n, runs int, profile string) error {
	runtime.GOMAXPROCS(1)
	rows, err := eval.OpenCorpus(corpus)
	if err != nil {
		return err
	}
	var texts []string
	for i := range n {
		texts = append(texts, rows[len(rows)*i/n].Text)
	}
	var folder fs.FS
	if model != "" {
		folder = os.DirFS(model)
	} else if folder, err = models.Open(models.Phrase); err != nil {
		return err
	}
	if profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	fmt.Println("| precision | K | CPU ms a passage | passages/s a core | CPU s for 1,000 | CPU ms a question |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, precision := range []nn.Precision{nn.Auto, nn.Int8} {
		encoder, err := efficientqa.LoadEncoder(folder, efficientqa.LoadOptions{Precision: precision, Base: models.Open})
		if err != nil {
			return err
		}
		question, err := least(20*runs, func() error {
			_, err := encoder.Question(context.Background(), "Who designed the bridge that was opened in 1931?")
			return err
		})
		if err != nil {
			return err
		}
		for _, k := range []int{20, 50, 100} {
			took, err := least(runs, func() error {
				_, err := encoder.Phrases(context.Background(), texts, k)
				return err
			})
			if err != nil {
				return err
			}
			each := took.Seconds() / float64(n)
			fmt.Printf("| %v | %d | %.1f | %.1f | %.1f | %.1f |\n", precision.Native(), k, 1000*each, 1/each, 1000*each,
				1000*question.Seconds())
		}
	}
	return nil
}

// least returns the shortest CPU time of some runs, after one that does not count.
func least(runs int, f func() error) (time.Duration, error) {
	if err := f(); err != nil {
		return 0, err
	}
	best := time.Duration(1<<63 - 1)
	for range runs {
		before := processTime()
		if err := f(); err != nil {
			return 0, err
		}
		best = min(best, processTime()-before)
	}
	return best, nil
}

// processTime is the CPU time of all threads so far.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatalf("read CPU time: %v", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
