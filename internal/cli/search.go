package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"evident"
)

// searchOptions are the flags of search.
type searchOptions struct {
	source
	evident.SearchOptions
	query  string
	images bool
	like   string // a picture
	out    string // folder for maps
}

func (a *app) searchCommand() *cobra.Command {
	var o searchOptions
	cmd := &cobra.Command{
		Use:   "search QUERY",
		Short: "Find passages by their words, or pictures by what they show",
		Long: `Find the passages that share a query's words, best first, ranked by BM25. No model is needed.

With --images, find pictures that show what the query says, or with --like, pictures like another
one. --out writes a map for each that is found: where in it the query is seen.`,
		Example: `  evident search --in ~/papers "bridge design"
  evident search --in ~/photos --images "a red car" --out maps/
  evident search --json -k 3 "bridge design" | jq -r '.hits[].path'`,
		Annotations: exitCodes("0 found · 1 nothing found · 2 error · 10 no index"),
		Args: func(cmd *cobra.Command, args []string) error {
			if o.like != "" && len(args) == 0 {
				return nil
			}
			return oneArgument("QUERY", `evident search "bridge design"`)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.like != "" && len(args) > 0 {
				return usageError("search by words or by --like, not by both")
			}
			if o.images || o.like != "" {
				o.query = strings.Join(args, "")
				return a.runSearchImages(cmd.Context(), o)
			}
			if o.out != "" {
				return usageError("--out is for --images: it takes maps of pictures")
			}
			o.query = args[0]
			return a.runSearch(cmd.Context(), o)
		},
	}
	o.addFlags(cmd, false)
	cmd.Flags().IntVarP(&o.Top, "top", "k", 10, "passages or pictures to show")
	cmd.Flags().BoolVar(&o.Explain, "why", false, "show the terms of each score")
	cmd.Flags().BoolVar(&o.images, "images", false, "look for pictures that show the query")
	cmd.Flags().StringVar(&o.like, "like", "", "look for pictures like this one")
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "folder for a map of each picture: where the query is seen")
	addVisionFlag(cmd, &o.vision)
	return cmd
}

func (a *app) runSearch(ctx context.Context, o searchOptions) error {
	if o.Top < 1 {
		return usageError("--top %d: at least 1", o.Top)
	}
	index, err := a.open(ctx, &o.source)
	if err != nil {
		return err
	}
	defer index.Close()
	hits, err := index.Search(ctx, o.query, o.SearchOptions)
	if err != nil {
		return err
	}
	switch {
	case a.out.json:
		err = a.out.printJSON(map[string]any{"query": o.query, "hits": hits})
	case len(hits) == 0:
		a.out.note("nothing found")
	default:
		a.out.hits(hits, true)
	}
	if err == nil && len(hits) == 0 {
		return &statusError{exitNothing}
	}
	return err
}

// foundImage is a picture that was found, and the file of its map.
type foundImage struct {
	evident.ImageHit
	Map string `json:"map,omitempty"`
}

func (a *app) runSearchImages(ctx context.Context, o searchOptions) error {
	switch {
	case o.Top < 1:
		return usageError("--top %d: at least 1", o.Top)
	case o.Explain:
		return usageError("--why is for passages; --out shows where in a picture the query is seen")
	case o.like != "" && o.out != "":
		return usageError("--out needs a query in words")
	}
	query := evident.ImageQuery{Text: o.query}
	if o.like != "" {
		photo, err := evident.OpenPhoto(o.like, evident.PhotoOptions{})
		if err != nil {
			return err
		}
		query.Photo = photo
	}
	index, err := a.open(ctx, &o.source)
	if err != nil {
		return err
	}
	defer index.Close()
	hits, err := index.SearchImages(ctx, query, o.SearchOptions)
	if err != nil {
		return err
	}
	found := make([]foundImage, len(hits))
	for i, h := range hits {
		found[i].ImageHit = h
	}
	if o.out != "" {
		if err := a.drawHits(ctx, index, found, o); err != nil {
			return err
		}
	}
	if a.out.json {
		return a.out.printJSON(map[string]any{"query": o.query, "hits": found})
	}
	for _, h := range found {
		fmt.Fprintf(a.out.Out, "%.2f  %s  %s\n", h.Score, a.out.bold(oneLine(h.Path)),
			a.out.faint(fmt.Sprintf("%d × %d", h.Image.Width, h.Image.Height)))
		if h.Map != "" {
			fmt.Fprintf(a.out.Out, "      map: %s\n", oneLine(h.Map))
		}
	}
	return nil
}

// drawHits writes the map of each picture that was found. One that is gone since is noted, and has
// none.
func (a *app) drawHits(ctx context.Context, index *evident.Index, hits []foundImage, o searchOptions) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("write maps: %w", err)
	}
	vision, err := index.Vision(ctx)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for i := range hits {
		h := &hits[i]
		photo, err := evident.OpenPhoto(h.Path, evident.PhotoOptions{})
		if err != nil {
			a.out.note("no map: %v", err)
			continue
		}
		explanation, err := vision.Explain(ctx, photo, []string{o.query}, evident.ExplainOptions{})
		if err != nil {
			return err
		}
		drawn, err := explanation.Draw(evident.DrawOptions{})
		if err != nil {
			return err
		}
		path := filepath.Join(o.out, uniqueName(names, h.Path)+".png")
		if err := a.writeFile(path, func(w io.Writer) error { return encodePNG(w, drawn) }); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		h.Map = path
	}
	return nil
}
