package cli

import (
	"bytes"
	"testing"
	"time"

	"evident"
)

// stopwatch is a clock that tests move.
type stopwatch struct{ now time.Time }

func (s *stopwatch) after(d time.Duration) { s.now = s.now.Add(d) }

func newProgress(terminal bool) (*progress, *stopwatch, *bytes.Buffer) {
	var written bytes.Buffer
	clock := &stopwatch{time.Unix(1_000_000, 0)}
	return &progress{
		out: &output{Streams: Streams{Err: &written}}, unit: "files", terminal: terminal, width: 80,
		now: func() time.Time { return clock.now }, begun: clock.now, shown: clock.now,
		stop: func() {},
	}, clock, &written
}

func TestProgressOnATerminal(t *testing.T) {
	p, clock, written := newProgress(true)
	p.files(evident.Progress{Done: 1, Total: 8})
	if written.Len() > 0 {
		t.Errorf("drawn at once: %q", written)
	}
	clock.after(2 * time.Second)
	p.files(evident.Progress{Done: 3, Total: 8, Skipped: 1, Left: 5 * time.Second})
	want := "\r\x1b[K▕█████████               ▏ 3/8 files, 1.5/s, 1 skipped, 5s left"
	if written.String() != want {
		t.Errorf("bar  %q\nwant %q", written, want)
	}
	written.Reset()
	clock.after(time.Millisecond)
	p.files(evident.Progress{Done: 4, Total: 8})
	if written.Len() > 0 {
		t.Errorf("redrawn within a millisecond: %q", written)
	}
	p.done()
	if written.String() != "\r\x1b[K" {
		t.Errorf("not taken away: %q", written)
	}
}

func TestProgressInALog(t *testing.T) {
	p, clock, written := newProgress(false)
	clock.after(9 * time.Second)
	p.count(1, 100)
	if written.Len() > 0 {
		t.Errorf("written before ten seconds: %q", written)
	}
	clock.after(time.Second)
	p.count(20, 100)
	clock.after(time.Second)
	p.count(21, 100)
	p.done()
	if want := "20/100 files, 2.0/s, 40s left\n"; written.String() != want {
		t.Errorf("log %q, want %q", written, want)
	}
}

func TestProgressWhenAsked(t *testing.T) {
	p, _, written := newProgress(false)
	p.out.quiet = true
	p.asked.Store(true)
	p.count(3, 7)
	p.count(4, 7)
	if want := "3/7 files\n"; written.String() != want {
		t.Errorf("asked: %q, want %q", written, want)
	}
}

func TestProgressFitsTheTerminal(t *testing.T) {
	for width := range 90 {
		p, clock, written := newProgress(true)
		p.width = width
		clock.after(time.Second)
		p.files(evident.Progress{Done: 7, Total: 11, Left: time.Hour})
		if n := len([]rune(written.String())) - len("\r\x1b[K"); n > max(width-1, 0) {
			t.Errorf("width %d: %d columns", width, n)
		}
	}
}

func TestDrawBar(t *testing.T) {
	for done := range 1001 {
		if n := len([]rune(drawBar(done, 1000))); n != barCells+2 {
			t.Fatalf("%d of 1000: %d cells", done, n)
		}
	}
	if drawBar(0, 0) == drawBar(1, 1) {
		t.Error("nothing of nothing is drawn as done")
	}
}

func TestOneLineDisarmsText(t *testing.T) {
	got := oneLine("a\x1b[31m\tb\r\nc\u202ed \u00a0e")
	if want := "a [31m b c d e"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestContextIsCutAtWords(t *testing.T) {
	if got, want := before("the bridge, designed by ", 12), "… designed by "; got != want {
		t.Errorf("before: %q, want %q", got, want)
	}
	if got, want := after(" and opened in 1931", 11), " and opened …"; got != want {
		t.Errorf("after: %q, want %q", got, want)
	}
	if got := before("(", 5) + "X" + after(")", 5); got != "(X)" {
		t.Errorf("close by: %q", got)
	}
}
