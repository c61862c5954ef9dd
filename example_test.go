package evident_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"evident"
	"evident/internal/readertest"
)

// A folder is indexed, then searched; the hit says which bytes of the file it is.
func Example() {
	dir, err := os.MkdirTemp("", "evident")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "valley.txt")
	text := "The bridge, designed by Lise Maurer, spans the Aare."
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	data := filepath.Join(dir, "data")
	index, err := evident.Open(ctx, data, evident.Options{Create: true})
	if err != nil {
		log.Fatal(err)
	}
	defer index.Close()
	report, err := index.Add(ctx, []string{file}, evident.AddOptions{})
	if err != nil {
		log.Fatal(err)
	}
	hits, err := index.Search(ctx, "who designed the bridge", evident.SearchOptions{Top: 1})
	if err != nil {
		log.Fatal(err)
	}
	hit := hits[0]
	fmt.Println(report.Documents, "document")
	fmt.Println(text[hit.Passage.Byte[0]:hit.Passage.Byte[1]] == hit.Passage.Text)
	fmt.Println(filepath.Base(hit.Path), hit.Passage.Byte)
	// Output:
	// 1 document
	// true
	// valley.txt [0 52]
}

// An answer is a quotation with its place; abstaining is a result, not an error.
func ExampleIndex_Ask() {
	dir, err := os.MkdirTemp("", "evident")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "valley.txt")
	text := "The bridge, designed by Lise Maurer, spans the Aare."
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}
	// A small random model keeps the example quick; leave Model out for the built-in one.
	if err := readertest.Write(dir, 7); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	index, err := evident.Open(ctx, filepath.Join(dir, "data"), evident.Options{
		Create: true, Model: os.DirFS(dir),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer index.Close()
	if _, err := index.Add(ctx, []string{file}, evident.AddOptions{}); err != nil {
		log.Fatal(err)
	}
	answer, err := index.Ask(ctx, "Who designed the bridge?", evident.AskOptions{Threshold: -1})
	if err != nil {
		log.Fatal(err)
	}
	best := answer.Answers[0]
	span := best.Evidence.Text.Byte
	fmt.Println(text[span[0]:span[1]] == best.Text)

	answer, err = index.Ask(ctx, "Who designed the bridge?", evident.AskOptions{Threshold: 1})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Abstained, len(answer.Answers), len(answer.Nearest))
	// Output:
	// true
	// true 0 1
}

// Errors that a caller branches on match with errors.Is.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "evident")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	_, err = evident.Open(context.Background(), dir, evident.Options{})
	fmt.Println(errors.Is(err, evident.ErrNoIndex))
	// Output: true
}
