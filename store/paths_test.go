package store

import (
	"fmt"
	"testing"
)

// TestSurvey: what is met is known as it was read, once; what is not met is told, in order, through replacing,
// removing and merging.
func TestSurvey(t *testing.T) {
	s := create(t)
	w := writer(t, s)
	const documents = 41
	for round := range 10 { // enough batches for a merge
		for n := round; n < documents; n += 1 + round {
			put(t, w, n, 1+n%3)
		}
		w.Remove(fmt.Sprintf("dir/%d.md", round))
		commit(t, w)
	}
	now, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer now.Release()
	files, err := now.Files()
	if err != nil {
		t.Fatal(err)
	}
	v := now.Survey()
	met := 0
	for n := range documents + 5 {
		if n%3 == 0 {
			continue
		}
		path := fmt.Sprintf("dir/%d.md", n)
		want, there := files[path]
		want.SHA256 = ""
		was, known, err := v.Meet(path)
		if err != nil || known != there || was != want {
			t.Errorf("%s is met as %+v, %v, %v, want %+v, %v", path, was, known, err, want, there)
		}
		if _, again, _ := v.Meet(path); again {
			t.Errorf("%s is met twice", path)
		}
		delete(files, path)
		if known {
			met++
		}
	}
	missed, err := v.Missed()
	if err != nil || met == 0 || len(missed) != len(files) || len(missed) == 0 {
		t.Fatalf("%d are met and %d missed of %d, %v", met, len(missed), len(files), err)
	}
	for _, path := range missed {
		if _, ok := files[path]; !ok {
			t.Errorf("%s is missed, and not there or met", path)
		}
	}
}
