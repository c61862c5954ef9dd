// Command serve asks a running evident server as many clients at once do, and says how it bore it:
//
//	evident index --phrases docs && evident serve &
//	go run ./bench/serve -address http://127.0.0.1:8317 -clients 64 -seconds 60 -engine phrase
//
// First one client asks alone, for the time of an idle server; then all ask at once. A request that the
// server turns away with 503 and Retry-After is counted and asked again after that time; anything else
// that is no answer is an error, and the program ends with 1.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// questions are asked in turn.
var questions = []string{
	"Who designed the bridge?", "When was it opened?", "How many people live here?", "Which tier is used?",
	"What does the index hold?", "Where are the offsets?", "Why does it abstain?", "What is a passage?",
}

// load is what one run saw.
type load struct {
	mu       sync.Mutex
	took     []time.Duration
	turned   int
	problems []string
}

func main() {
	address := flag.String("address", "http://127.0.0.1:8317", "of the server")
	clients := flag.Int("clients", 64, "that ask at the same time")
	seconds := flag.Int("seconds", 60, "that they ask for")
	engine := flag.String("engine", "auto", "that answers: auto, mix or phrase")
	flag.Parse()
	of := server{*address, *engine}
	idle := of.ask(1, 10*time.Second)
	before := of.memory()
	begun := make(chan float64, 1) // once all have asked for a while: what is held from then on must not grow
	duration := time.Duration(*seconds) * time.Second
	time.AfterFunc(duration/3, func() { begun <- of.memory() })
	busy := of.ask(*clients, duration)
	after := of.memory()
	fmt.Printf("idle   1 client:   %s\n", idle)
	fmt.Printf("busy  %2d clients:  %s\n", *clients, busy)
	fmt.Printf("p99 busy / p99 idle: %.1f\n", float64(busy.quantile(0.99))/float64(idle.quantile(0.99)))
	fmt.Printf("resident memory: %.0f MB idle, %.0f MB after a third, %.0f MB at the end\n", before/1e6, <-begun/1e6, after/1e6)
	for _, p := range busy.problems[:min(len(busy.problems), 5)] {
		fmt.Println("error:", p)
	}
	if len(busy.problems)+len(idle.problems) > 0 || len(busy.took) == 0 {
		os.Exit(1)
	}
}

// String gives the figures of a run.
func (l *load) String() string {
	return fmt.Sprintf("%d answers, p50 %v, p99 %v, turned away %d, errors %d",
		len(l.took), l.quantile(0.5), l.quantile(0.99), l.turned, len(l.problems))
}

func (l *load) quantile(q float64) time.Duration {
	if len(l.took) == 0 {
		return 0
	}
	slices.Sort(l.took)
	return l.took[min(len(l.took)-1, int(q*float64(len(l.took))))].Round(time.Millisecond)
}

// server is what is asked, and how.
type server struct{ address, engine string }

// ask lets clients ask until the time is over; requests that run are waited for.
func (s server) ask(clients int, duration time.Duration) *load {
	l := &load{}
	ctx, stop := context.WithTimeout(context.Background(), duration)
	defer stop()
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	client := &http.Client{Transport: transport, Timeout: 2 * time.Minute}
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				l.one(ctx, client, s, questions[n%len(questions)])
			}
		})
	}
	all.Wait()
	return l
}

// one asks one question.
func (l *load) one(ctx context.Context, client *http.Client, s server, question string) {
	body, _ := json.Marshal(map[string]string{"question": question, "engine": s.engine}) // a text always encodes
	begun := time.Now()
	response, err := client.Post(s.address+"/api/v1/ask", "application/json", bytes.NewReader(body))
	if err != nil {
		l.fault(err.Error())
		return
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	wait, waitErr := strconv.Atoi(response.Header.Get("Retry-After"))
	switch {
	case err != nil:
		l.fault(err.Error())
	case response.StatusCode == http.StatusOK:
		l.mu.Lock()
		l.took = append(l.took, time.Since(begun))
		l.mu.Unlock()
	case response.StatusCode == http.StatusServiceUnavailable && waitErr == nil:
		l.mu.Lock()
		l.turned++
		l.mu.Unlock()
		select {
		case <-time.After(time.Duration(wait) * time.Second):
		case <-ctx.Done():
		}
	default:
		l.fault(fmt.Sprintf("%s: %.200s", response.Status, content))
	}
}

func (l *load) fault(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problems = append(l.problems, text)
}

var resident = regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`)

// memory reads the server's resident memory from its metrics; 0 where it does not say.
func (s server) memory() float64 {
	response, err := http.Get(s.address + "/metrics")
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	found := resident.FindSubmatch(text)
	if found == nil {
		return 0
	}
	bytes, _ := strconv.ParseFloat(string(found[1]), 64)
	return bytes
}
