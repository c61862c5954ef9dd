package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"evident"
)

func (a *app) snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Write a checked copy of an index, or make an index of one",
		Long: `Write a checked copy of an index, or make an index of one.

The index may be asked and written to meanwhile. A snapshot is one tar file where its name ends in .tar,
a folder otherwise; "sha256sum -c SHA256SUMS" checks either once unpacked. Nothing is ever overwritten.`,
		Example: `  evident snapshot create papers.tar
  evident snapshot restore papers.tar --data ./papers.idx`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return &hintError{usageError("evident snapshot needs a word: create or restore"), "for example: evident snapshot create papers.tar"}
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "create FILE.tar|FOLDER",
		Short: "Write a checked copy of the index",
		Example: `  evident snapshot create papers.tar
  evident snapshot create --data ./papers.idx /backup/papers`,
		Annotations: exitCodes("0 done · 2 error · 10 no index · 13 the index is damaged · 130 interrupted"),
		Args:        exactlyOne("evident snapshot create"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runSnapshot(cmd.Context(), func(ctx context.Context) (*evident.SnapshotReport, error) {
				index, err := evident.Open(ctx, a.dataFolder(), evident.Options{})
				if err != nil {
					return nil, err
				}
				defer index.Close()
				return index.WriteSnapshot(ctx, args[0], evident.SnapshotOptions{})
			})
		},
	}, &cobra.Command{
		Use:   "restore FILE.tar|FOLDER",
		Short: "Make the index of a snapshot in the data folder, which must be empty",
		Example: `  evident snapshot restore papers.tar
  evident snapshot restore /backup/papers --data ./papers.idx`,
		Annotations: exitCodes("0 done · 2 error · 13 the snapshot is damaged · 130 interrupted"),
		Args:        exactlyOne("evident snapshot restore"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runSnapshot(cmd.Context(), func(ctx context.Context) (*evident.SnapshotReport, error) {
				return evident.RestoreSnapshot(ctx, args[0], a.dataFolder(), evident.SnapshotOptions{})
			})
		},
	})
	return cmd
}

// exactlyOne wants one argument.
func exactlyOne(command string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return &hintError{usageError("%s needs one file or folder", command), "for example: " + command + " papers.tar"}
		}
		return nil
	}
}

// runSnapshot carries one of the commands out and shows the report.
func (a *app) runSnapshot(ctx context.Context, do func(context.Context) (*evident.SnapshotReport, error)) error {
	r, err := do(ctx)
	if err != nil {
		return err
	}
	if a.out.json {
		return a.out.printJSON(r)
	}
	fmt.Fprintf(a.out.Out, "%s, %s, %s: %s, %.1f MB in %.1f s\n  snapshot %s\n  index    %s\n  sha256   %s\n",
		plural(r.Documents, "document"), plural(r.Passages, "passage"), plural(r.Images, "picture"),
		plural(r.Files, "file"), float64(r.Bytes)/1e6, r.Seconds, oneLine(r.Snapshot), oneLine(r.Data), r.SHA256)
	return nil
}
