//go:build linux

// Command start measures what it costs to have a model ready in a fresh process, and what memory the
// process then has resident:
//
//	start [-model mix-12x384] [-runs 20] [-passages 20]
//
// Each run is a process of its own. The states take turns: "none" keeps no packed weights, "cold" makes
// them, "warm" finds them. Wall time is from the start of the process until it says that the model is
// ready; processor time is the whole process's until then. Least and median are shown: the least is what
// the work costs, the median also what else the machine did.
//
// Then the memory of one process without and with packed weights, before and after it read one batch.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"evident/internal/kernel"
	"evident/mix"
	"evident/models"
)

// sample is what a child process says of itself, as one line of JSON.
type sample struct {
	CPU      float64 // seconds of processor time until the model was ready
	Program  int     // most KiB resident before the model was loaded
	Ready    int     // most KiB resident when it was ready
	Batch    int     // most KiB resident after the batches
	Tokens   int     // of one batch
	State    string  // of the packed weights
	Wall     float64 `json:"-"`
	Verified string  // file of packed weights
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("start: ")
	model := flag.String("model", models.Default, "built-in model")
	runs := flag.Int("runs", 20, "processes of each state")
	passages := flag.Int("passages", 20, "passages of the batch whose memory is measured; 0 for none")
	child := flag.String("child", "", "internal: be the measured process, with this cache folder or \"none\"")
	flag.Parse()
	if *child != "" {
		if err := be(*model, *child, *passages); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := measure(*model, *runs, *passages); err != nil {
		log.Fatal(err)
	}
}

// be is the measured process.
func be(model, cache string, passages int) error {
	s := sample{Program: peak()}
	folder, err := models.Open(model)
	if err != nil {
		return err
	}
	if cache == "none" {
		cache = ""
	}
	reader, err := mix.LoadReader(folder, mix.LoadOptions{CacheDir: cache})
	if err != nil {
		return err
	}
	s.CPU, s.Ready = cpu(), peak()
	s.State, s.Verified = string(reader.Packed().State), reader.Packed().Path
	fmt.Println("ready")
	if passages > 0 {
		texts := make([]string, passages)
		for i := range texts {
			texts[i] = strings.Repeat(fmt.Sprintf("Bridge %d was designed by its builder. ", i), 14)
		}
		for range 3 {
			readings, err := reader.Read(context.Background(), "Who designed the bridge?", texts)
			if err != nil {
				return err
			}
			s.Tokens = 0
			for _, r := range readings {
				s.Tokens += len(r.Tokens)
			}
		}
	}
	s.Batch = peak()
	return json.NewEncoder(os.Stdout).Encode(s)
}

// cpu returns the process's seconds of processor time so far.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// peak returns the most KiB that were resident so far.
func peak() int {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	_, after, _ := strings.Cut(string(data), "VmHWM:")
	n := 0
	if _, err := fmt.Sscan(after, &n); err != nil {
		log.Fatalf("read /proc/self/status: %v", err)
	}
	return n
}

// run starts one child and waits for it.
func run(model, cache string, passages int) (s sample, err error) {
	c := exec.Command("/proc/self/exe", "-model", model, "-child", cache, "-passages", fmt.Sprint(passages))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return s, err
	}
	begun := time.Now()
	if err := c.Start(); err != nil {
		return s, err
	}
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		return s, fmt.Errorf("the measured process: %w", err)
	}
	s.Wall = time.Since(begun).Seconds()
	if err := json.NewDecoder(lines).Decode(&s); err != nil {
		return s, err
	}
	return s, c.Wait()
}

func measure(model string, runs, passages int) error {
	dir, err := os.MkdirTemp("", "evident-start-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	states := []string{"none", "cold", "warm"}
	all := map[string][]sample{}
	for range runs {
		for _, state := range states {
			cache := dir
			switch state {
			case "none":
				cache = "none"
			case "cold":
				if err := os.RemoveAll(dir); err != nil {
					return err
				}
			}
			s, err := run(model, cache, 0)
			if err != nil {
				return err
			}
			if want := map[string]string{"none": "off", "cold": "made", "warm": "used"}[state]; s.State != want {
				return fmt.Errorf("a %s start: packed weights are %q", state, s.State)
			}
			all[state] = append(all[state], s)
		}
	}
	fmt.Printf("%s on %s, %d processes of each state, taking turns\n\n", model, kernel.Best(), runs)
	fmt.Println("state  wall ms: least  median    cpu ms: least  median    resident MB")
	for _, state := range states {
		wall, cpu := sorted(all[state], func(s sample) float64 { return s.Wall }), sorted(all[state],
			func(s sample) float64 { return s.CPU })
		last := all[state][runs-1]
		fmt.Printf("%-5s  %14.1f %7.1f %16.1f %7.1f %14.1f\n", state, 1e3*wall[0], 1e3*wall[runs/2],
			1e3*cpu[0], 1e3*cpu[runs/2], megabytes(last.Ready))
	}
	if passages == 0 {
		return nil
	}
	return memory(model, dir, passages)
}

func sorted(all []sample, of func(sample) float64) []float64 {
	var values []float64
	for _, s := range all {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values
}

func megabytes(kib int) float64 { return float64(kib) * 1024 / 1e6 }

func memory(model, dir string, passages int) error {
	fmt.Printf("\nmost resident, MB    program  model ready  after reading\n")
	for _, cache := range []string{"none", dir} {
		s, err := run(model, cache, passages)
		if err != nil {
			return err
		}
		fmt.Printf("%-20s %7.1f %12.1f %14.1f   batch of %d tokens", s.State, megabytes(s.Program),
			megabytes(s.Ready), megabytes(s.Batch), s.Tokens)
		if info, err := os.Stat(s.Verified); err == nil {
			fmt.Printf(", weights %.1f MB in %s", float64(info.Size())/1e6, filepath.Base(s.Verified))
		}
		fmt.Println()
	}
	return nil
}
