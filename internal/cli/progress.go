package cli

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"evident"
)

// progress shows how far a long piece of work is: a bar on a terminal, redrawn ten times a second;
// otherwise one line every ten seconds. It writes to stderr and is silent with --quiet and --json,
// unless SIGUSR1 asks.
type progress struct {
	out      *output
	unit     string // what is counted: "files", "questions"
	terminal bool
	width    int // columns of the terminal
	now      func() time.Time
	begun    time.Time
	shown    time.Time // last time something was written
	drawn    bool      // a bar stands on the terminal
	asked    atomic.Bool
	stop     func() // listening to the signal
}

const (
	barInterval  = 100 * time.Millisecond
	lineInterval = 10 * time.Second
	barCells     = 24
)

func (o *output) progress(unit string) *progress {
	now := time.Now()
	p := &progress{out: o, unit: unit, now: time.Now, begun: now, shown: now}
	p.terminal = isTerminal(o.Err) && o.Environment("TERM") != "dumb"
	p.width = terminalWidth(o.Err)
	p.stop = onStatusSignal(func() { p.asked.Store(true) })
	return p
}

// files shows the state of indexing.
func (p *progress) files(s evident.Progress) {
	p.update(s.Done, s.Total, s.Skipped, s.Left)
}

// count shows how many of total are done; the time left is scaled from the time so far.
func (p *progress) count(done, total int) {
	left := time.Duration(0)
	if elapsed := p.now().Sub(p.begun); elapsed >= time.Second && done > 0 {
		left = time.Duration(float64(elapsed) * float64(total-done) / float64(done))
	}
	p.update(done, total, 0, left)
}

func (p *progress) update(done, total, skipped int, left time.Duration) {
	if p.asked.Swap(false) {
		p.takeAway()
		fmt.Fprintln(p.out.Err, p.text(done, total, skipped, left, p.now().Sub(p.begun)))
	}
	if p.out.quiet || p.out.json {
		return
	}
	interval := lineInterval
	if p.terminal {
		interval = barInterval
	}
	now := p.now()
	if now.Sub(p.shown) < interval {
		return
	}
	p.shown = now
	text := p.text(done, total, skipped, left, now.Sub(p.begun))
	if !p.terminal {
		fmt.Fprintln(p.out.Err, text)
		return
	}
	bar := drawBar(done, total) + " " + text
	if runes := []rune(bar); len(runes) >= p.width {
		bar = string(runes[:max(p.width-1, 0)])
	}
	fmt.Fprintf(p.out.Err, "\r\x1b[K%s", bar)
	p.drawn = true
}

// text says the state in words: "512/2048 files, 340/s, 4 skipped, 5s left".
func (p *progress) text(done, total, skipped int, left, elapsed time.Duration) string {
	parts := []string{fmt.Sprintf("%d/%d %s", done, total, p.unit)}
	if seconds := elapsed.Seconds(); seconds >= 0.5 {
		parts = append(parts, perSecond(float64(done)/seconds))
	}
	if skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d skipped", skipped))
	}
	if left > 0 {
		parts = append(parts, left.Round(time.Second).String()+" left")
	}
	return strings.Join(parts, ", ")
}

func perSecond(rate float64) string {
	if rate < 10 {
		return fmt.Sprintf("%.1f/s", rate)
	}
	return fmt.Sprintf("%.0f/s", rate)
}

// drawBar draws a bar with eighths of a cell.
func drawBar(done, total int) string {
	eighths := 0
	if total > 0 {
		eighths = barCells * 8 * min(done, total) / total
	}
	bar := strings.Repeat("█", eighths/8)
	if part := eighths % 8; part > 0 {
		bar += string([]rune(" ▏▎▍▌▋▊▉")[part])
	}
	return "▕" + bar + strings.Repeat(" ", barCells-len([]rune(bar))) + "▏"
}

// done ends the display.
func (p *progress) done() {
	p.stop()
	p.takeAway()
}

// takeAway removes the bar.
func (p *progress) takeAway() {
	if p.drawn {
		fmt.Fprint(p.out.Err, "\r\x1b[K")
		p.drawn = false
	}
}
