package store

import (
	"errors"
	"sync"
	"testing"
)

// TestReadersDuringCommits lets readers of the same store, and of another one that opens the folder
// anew, search while a writer commits, merges and removes files. Every answer must be whole.
func TestReadersDuringCommits(t *testing.T) {
	s := create(t)
	w := writer(t, s)
	put(t, w, 0, 3)
	commit(t, w)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := errors.Join(readOnce(s), readAnew(s.Dir())); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for number := range 61 {
		put(t, w, 1+number%23, 1+number%5)
		commit(t, w)
	}
	close(stop)
	readers.Wait()
}

// readOnce searches one snapshot and reads what it finds, and the document that is always there.
func readOnce(s *Store) error {
	now, err := s.Snapshot()
	if err != nil {
		return err
	}
	defer now.Release()
	hits, err := now.Search("passage number2 of document0 about topic5", 7)
	if err != nil {
		return err
	}
	if len(hits) == 0 {
		return errors.New("nothing found")
	}
	for _, hit := range hits {
		if _, err := now.Passage(hit.Passage); err != nil {
			return err
		}
		if _, err := now.Explain("passage", hit.Passage); err != nil {
			return err
		}
	}
	_, err = now.Document("dir/0.md")
	return err
}

func readAnew(dir string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(readOnce(s), s.Close())
}
