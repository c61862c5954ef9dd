package filelock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestHolderIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "LOCK")
	before := time.Now().Add(-time.Second)
	held, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Take(path)
	var other *HeldError
	if !errors.As(err, &other) || other.PID != os.Getpid() || other.Since.Before(before) || other.Path != path {
		t.Errorf("got %#v", err)
	}
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}

// A file may be of an older program, empty, or junk.
func TestReadSignature(t *testing.T) {
	since := time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)
	for text, want := range map[string]Holder{
		"": {}, "71\n": {PID: 71}, "71 mill 2026-01-31T15:04:05Z\n": {71, "mill", since},
		"71 - 2026-01-31T15:04:05Z": {71, "", since}, "junk junk junk": {Host: "junk"},
	} {
		if got := read(text); got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
	if text := (Holder{Host: "x"}).String(); text != "another process" {
		t.Errorf("nobody known is %q", text)
	}
}

// FuzzRead takes any bytes of a lock file for a signature: what cannot be read is left out of the message.
func FuzzRead(f *testing.F) {
	f.Add(signature())
	f.Add("71")
	f.Fuzz(func(t *testing.T, text string) {
		if text := (&HeldError{"LOCK", read(text)}).Error(); text == "" {
			t.Error("nobody is named")
		}
	})
}
