//go:build linux

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"evident/efficientqa"
	"evident/eval"
	"evident/models"
	"evident/nn"
)

// real encodes passages of a corpus, evenly drawn, and questions. Priors are left out: the peers have none.
func real(o *options) error {
	var folder fs.FS = os.DirFS(o.model)
	if o.model == "" {
		var err error
		if folder, err = models.Open(models.Phrase); err != nil {
			return err
		}
	}
	encoder, err := efficientqa.LoadEncoder(folder, efficientqa.LoadOptions{Precision: nn.Int8, Base: models.Open})
	if err != nil {
		return err
	}
	rows, err := eval.OpenCorpus(o.corpus)
	if err != nil {
		return err
	}
	ctx := context.Background()
	vectors, queries := &set{dim: encoder.Dim()}, &set{dim: encoder.Dim()}
	const batch = 32
	n := min(o.passages, len(rows))
	for from := 0; from < n; from += batch {
		var texts []string
		for i := from; i < min(from+batch, n); i++ {
			texts = append(texts, rows[len(rows)*i/n].Text)
		}
		all, err := encoder.Phrases(ctx, texts, o.k)
		if err != nil {
			return err
		}
		for _, phrases := range all {
			for _, p := range phrases {
				vectors.append(p.Vector...)
			}
		}
	}
	questions, err := eval.OpenSQuAD(o.questions)
	if err != nil {
		return err
	}
	for _, q := range questions.Sample(200, 1).Questions {
		v, err := encoder.Question(ctx, q.Text)
		if err != nil {
			return err
		}
		queries.append(v...)
	}
	fmt.Printf("%d phrases of %d passages, %d questions\n", vectors.len(), n, queries.len())
	if err := vectors.write(o.out, "vectors.f32"); err != nil {
		return err
	}
	return queries.write(o.out, "queries.f32")
}
