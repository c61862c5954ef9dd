package cli

import (
	"context"

	"github.com/spf13/cobra"

	"evident/internal/mcp"
	"evident/internal/service"
)

func (a *app) mcpCommand() *cobra.Command {
	var s source
	cmd := &cobra.Command{
		Use:   "mcp",
		Short: "Answer a program that speaks the Model Context Protocol",
		Long: `Answer a program that speaks the Model Context Protocol, over stdin and stdout: it can ask the
documents, search them, read them, and see where in a picture a text is seen. All tools only read.

"evident serve" answers the same at /mcp.`,
		Example: `  evident mcp --in ~/papers
  evident mcp --data ~/papers.idx`,
		Annotations: exitCodes("0 the program left · 2 error · 10 no index · 12 model missing"),
		Args:        cobra.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return a.runMCP(cmd.Context(), &s) },
	}
	s.addFlags(cmd, true)
	addVisionFlag(cmd, &s.vision)
	return cmd
}

func (a *app) runMCP(ctx context.Context, from *source) error {
	index, err := a.open(ctx, from)
	if err != nil {
		return err
	}
	defer index.Close()
	s, err := service.New(service.Options{
		Indexes:  []service.Index{{Name: "default", Index: index}},
		CacheDir: a.cacheFolder("pdf"), Version: version(),
	})
	if err != nil {
		return err
	}
	defer s.Close()
	return mcp.Stdio(ctx, mcp.New(s, version()), a.streams.In, a.streams.Out)
}
