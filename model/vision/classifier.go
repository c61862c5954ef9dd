package vision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"evident/model/vit"
)

// classifier makes vectors of the names of classes: rows of an image classifier's head.
type classifier struct {
	names []string // as the model calls them: "tench, Tinca tinca"
	width int
	rows  []float32 // [len(names), width]
	bias  []float32 // [len(names)]
}

// ClassError says that a text is none of a classifier's classes.
type ClassError struct {
	Text    string
	Classes []string // all there are
	Near    []string // those that contain the text
}

func (e *ClassError) Error() string {
	named, among := e.Near, "near it are"
	if len(named) == 0 {
		named, among = e.Classes, "among them"
	}
	return fmt.Sprintf("%q is none of the model's %d classes; %s %q", e.Text, len(e.Classes), among, named[:min(5, len(named))])
}

// EncodeTexts implements [vit.TextEncoder]. A text is a class's name or one of its names, in any case.
func (c *classifier) EncodeTexts(ctx context.Context, texts []string) ([]vit.Text, error) {
	out := make([]vit.Text, len(texts))
	for i, text := range texts {
		at := c.find(text)
		if at < 0 {
			return nil, fmt.Errorf("encode texts: %w", &ClassError{text, c.names, c.near(text)})
		}
		row := c.rows[at*c.width:][:c.width]
		out[i] = vit.Text{
			Vector: slices.Clone(row), Embedding: vit.Normalise(slices.Clone(row)), Bias: c.bias[at],
		}
	}
	return out, ctx.Err()
}

// find returns the class that has the name, or -1: its whole name counts before one of several.
func (c *classifier) find(text string) int {
	text = strings.TrimSpace(text)
	for at, name := range c.names {
		if strings.EqualFold(name, text) {
			return at
		}
	}
	for at, name := range c.names {
		for one := range strings.SplitSeq(name, ",") {
			if strings.EqualFold(strings.TrimSpace(one), text) {
				return at
			}
		}
	}
	return -1
}

func (c *classifier) near(text string) (near []string) {
	text = strings.ToLower(strings.TrimSpace(text))
	for _, name := range c.names {
		if text != "" && strings.Contains(strings.ToLower(name), text) {
			near = append(near, name)
		}
	}
	return near
}
