package cli

import (
	"context"

	"github.com/spf13/cobra"

	"evident"
)

// searchOptions are the flags of search.
type searchOptions struct {
	source
	evident.SearchOptions
	query string
}

func (a *app) searchCommand() *cobra.Command {
	var o searchOptions
	cmd := &cobra.Command{
		Use:   "search QUERY",
		Short: "Find the passages that share a query's words",
		Long: `Find the passages that share a query's words, best first, ranked by BM25. No model is
needed.`,
		Example: `  evident search --in ~/papers "bridge design"
  evident search --json -k 3 "bridge design" | jq -r '.hits[].path'`,
		Annotations: exitCodes("0 found · 1 nothing found · 2 error · 10 no index"),
		Args:        oneArgument("QUERY", `evident search "bridge design"`),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.query = args[0]
			return a.runSearch(cmd.Context(), o)
		},
	}
	o.addFlags(cmd, false)
	cmd.Flags().IntVarP(&o.Top, "top", "k", 10, "passages to show")
	cmd.Flags().BoolVar(&o.Explain, "why", false, "show the terms of each score")
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
