package evident_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evident"
	"evident/document"
)

// shelf is an index of a text, a Markdown file, and a PDF where one is given.
func shelf(t *testing.T, pdf []byte) (*evident.Index, string) {
	t.Helper()
	folder := t.TempDir()
	for name, content := range map[string]string{
		"b.txt": "Grüße aus dem Tal. The bridge was built by Lise Maurer.\n", "a.md": "# Rules\n\nNobody may cross.\n\n## Fines\n\nTwo crowns.\n",
		"columns.pdf": string(pdf),
	} {
		if content == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	index, err := evident.Open(t.Context(), filepath.Join(t.TempDir(), "index"), evident.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	if _, err := index.Add(t.Context(), []string{folder}, evident.AddOptions{}); err != nil {
		t.Fatal(err)
	}
	return index, folder
}

func TestDocuments(t *testing.T) {
	index, folder := shelf(t, nil)
	before, err := index.Generation()
	if err != nil {
		t.Fatal(err)
	}
	list, err := index.Documents(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	ids := map[string]bool{}
	for i, name := range []string{"a.md", "b.txt"} {
		d := list[i]
		shown, err := index.Show(t.Context(), d.Path)
		if err != nil || filepath.Base(d.Path) != name || d.ID != shown.Source.ID || d.SHA256 != shown.Source.SHA256 || d.Bytes != shown.Bytes {
			t.Errorf("%+v is listed, %+v is shown, %v", d, shown, err)
		}
		ids[d.ID] = true
	}
	if len(ids) != 2 {
		t.Error("two documents share an id")
	}
	if err := os.WriteFile(filepath.Join(folder, "c.txt"), []byte("More."), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := index.Add(t.Context(), []string{folder}, evident.AddOptions{}); err != nil {
		t.Fatal(err)
	}
	if after, err := index.Generation(); err != nil || after <= before {
		t.Errorf("generation %d after %d, %v", after, before, err)
	}
}

func TestQuote(t *testing.T) {
	index, _ := shelf(t, nil)
	text := "Grüße aus dem Tal. The bridge was built by Lise Maurer.\n"
	at := strings.Index(text, "Lise")
	e, err := index.Quote(t.Context(), "b.txt", document.ByteSpan{Start: at, End: at + 4})
	if err != nil || e.Text.Exact != "Lise" || e.Text.Prefix != "The bridge was built by " || e.Text.Rune[0] != at-2 {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := index.Quote(t.Context(), "a.md", document.ByteSpan{Start: 40, End: 45}); err != nil || e.Text.Heading != "Fines" {
		t.Errorf("%+v, %v", e, err)
	}
	for _, bad := range []document.ByteSpan{{Start: 3, End: 6}, {Start: 0, End: 3}, {Start: -1, End: 4}, {Start: 4, End: 4}, {Start: 9, End: 4}, {Start: 0, End: 999}} {
		if _, err := index.Quote(t.Context(), "b.txt", bad); !errors.Is(err, evident.ErrSpan) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// TestPageMarks finds words on the picture of a page, where they stand, also words that occur twice and
// words that a hyphen broke.
func TestPageMarks(t *testing.T) {
	pdf, err := os.ReadFile(filepath.Join("internal", "extract", "testdata", "columns.pdf"))
	if err != nil {
		t.Fatal(err)
	}
	index, folder := shelf(t, pdf)
	d, err := index.Show(t.Context(), "columns.pdf")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Starts) != 1 || d.Starts[0] != 0 {
		t.Errorf("pages begin at %v", d.Starts)
	}
	marks := func(start int, words string) *evident.PageMarks {
		t.Helper()
		m, err := index.PageMarks(t.Context(), "columns.pdf", 1, document.ByteSpan{Start: start, End: start + len(words)}, evident.PageOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := strings.Index(d.Text, "bridge")
	second := first + 1 + strings.Index(d.Text[first+1:], "bridge")
	one, two := marks(first, "bridge").Boxes, marks(second, "bridge").Boxes
	if len(one) != 1 || len(two) != 1 || two[0].Y <= one[0].Y || one[0].X < 0 || one[0].Width <= 0 || one[0].Height > 0.05 {
		t.Errorf("the first stands at %+v, the second at %+v", one, two)
	}
	broken := strings.Index(d.Text, "stiffness")
	if boxes := marks(broken, "stiffness").Boxes; len(boxes) != 2 {
		t.Errorf("a word on two lines has the boxes %+v", boxes)
	}
	right := strings.Index(d.Text, "The toll")
	if boxes := marks(right, "The toll").Boxes; len(boxes) != 1 || boxes[0].X < 0.5 {
		t.Errorf("a word of the right column stands at %+v", boxes)
	}
	im, err := index.PageImage(t.Context(), "columns.pdf", 1, evident.PageOptions{Width: 300})
	if err != nil || im.Bounds().Dx() != 300 || im.Bounds().Dy() < 350 {
		t.Errorf("the page is %v, %v", im.Bounds(), err)
	}
	for _, page := range []int{0, 2} {
		if _, err := index.PageImage(t.Context(), "columns.pdf", page, evident.PageOptions{}); !errors.Is(err, evident.ErrNoPage) {
			t.Errorf("page %d: %v", page, err)
		}
	}
	if _, err := index.PageImage(t.Context(), "b.txt", 1, evident.PageOptions{}); !errors.Is(err, evident.ErrNoPage) {
		t.Errorf("a text: %v", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "columns.pdf"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := index.PageImage(t.Context(), "columns.pdf", 1, evident.PageOptions{}); !errors.Is(err, evident.ErrStale) {
		t.Errorf("of a changed file: %v", err)
	}
}

func TestSelfTest(t *testing.T) {
	check := evident.SelfTest(t.Context(), evident.Options{})
	if !check.OK && strings.Contains(check.Detail, "not built into") {
		t.Skipf("NOT TESTED: %s", check.Detail)
	}
	if !check.OK || !strings.Contains(check.Detail, "Lise Maurer") {
		t.Errorf("got %+v", check)
	}
}
