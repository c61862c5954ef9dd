package efficientqa

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evident/models"
	"evident/vector"
)

// trained returns a trained encoder: the built-in one, or that of EVIDENT_TEST_PHRASE.
func trained(t *testing.T) *Encoder {
	t.Helper()
	var folder fs.FS
	if name := os.Getenv("EVIDENT_TEST_PHRASE"); name != "" {
		folder = os.DirFS(name)
	} else {
		var err error
		if folder, err = models.Open(models.Phrase); err != nil {
			t.Skipf("NOT TESTED: %v, and EVIDENT_TEST_PHRASE names no folder", err)
		}
	}
	return load(t, folder, LoadOptions{Base: models.Open})
}

// paragraphs returns those of this repository's documents that have some length.
func paragraphs(t *testing.T, most int) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../docs/*.md", "../docs/format/*.md", "../docs/adr/*.md", "../models/*/README.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for paragraph := range strings.SplitSeq(string(data), "\n\n") {
				if len(paragraph) > 300 && !strings.Contains(paragraph, "|") {
					all = append(all, paragraph)
				}
			}
		}
	}
	if len(all) < most {
		t.Fatalf("%d paragraphs, want %d", len(all), most)
	}
	return all[:most]
}

// TestRecallOfPhrases: among real phrase vectors, lists with codes find what an exact search finds but for
// one in twenty at most, with as many lists as by default.
func TestRecallOfPhrases(t *testing.T) {
	e, ctx := trained(t), context.Background()
	texts := paragraphs(t, 66)
	phrases, err := e.Phrases(ctx, texts, 0)
	if err != nil {
		t.Fatal(err)
	}
	index, err := vector.Create(t.TempDir(), vector.Settings{Dim: e.Dim(), Fine: true, ListsFrom: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	w, err := index.Writer()
	if err != nil {
		t.Fatal(err)
	}
	for i, list := range phrases {
		var items []vector.Item
		for j, p := range list {
			items = append(items, vector.Item{ID: uint64(j), Vector: p.Vector, Prior: p.Prior})
		}
		if err := w.Put(fmt.Sprint(i), items); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Commit(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if changed, err := index.Improve(ctx); err != nil || !changed {
		t.Fatalf("no lists were made: %v", err)
	}
	recall := recallOf(t, e, index, texts)
	t.Logf("recall@10 %.3f", recall)
	if recall < 0.95 {
		t.Errorf("recall@10 is %.3f, want 0.95", recall)
	}
}

// recallOf asks the first sentence of every third text and compares with an exact search.
func recallOf(t *testing.T, e *Encoder, index *vector.Index, texts []string) float64 {
	t.Helper()
	same, all := 0, 0
	for i := 0; i < len(texts); i += 3 {
		sentence, _, _ := strings.Cut(texts[i], ". ")
		asked, err := e.Question(t.Context(), sentence)
		if err != nil {
			t.Fatal(err)
		}
		var found [2][]vector.Hit
		for n, exact := range []bool{true, false} {
			q := &vector.Query{Vector: asked, K: 10, PriorWeight: 1, Exact: exact}
			if found[n], err = index.Search(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		for _, h := range found[0] {
			all++
			if slices.Contains(found[1], h) {
				same++
			}
		}
	}
	return float64(same) / float64(all)
}
