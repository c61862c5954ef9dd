package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) statusCommand() *cobra.Command {
	var s source
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say what an index holds and where it lies",
		Example: `  evident status
  evident status --data ./notes.idx --json`,
		Annotations: exitCodes("0 done · 2 error · 10 no index"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			index, err := a.open(cmd.Context(), &s)
			if err != nil {
				return err
			}
			defer index.Close()
			status, err := index.Status()
			if err != nil {
				return err
			}
			if a.out.json {
				return a.out.printJSON(status)
			}
			phrases := ""
			if status.Phrases > 0 {
				phrases = plural(status.Phrases, "phrase") + ", "
			}
			size := fmt.Sprintf("%.1f MB on disk", float64(status.Bytes)/1e6)
			if status.Bytes == 0 {
				size = "on a cluster"
			}
			fmt.Fprintf(a.out.Out, "%s\n  %s, %s, %s, %s%s\n", status.Data,
				plural(status.Documents, "document"), plural(status.Passages, "passage"),
				plural(status.Images, "picture"), phrases, size)
			for _, root := range status.Roots {
				fmt.Fprintf(a.out.Out, "  from %s\n", oneLine(root))
			}
			if len(status.Skipped) > 0 {
				fmt.Fprintln(a.out.Out, skipList(status.Skipped, skipListLong))
			}
			return nil
		},
	}
	s.addFlags(cmd, false)
	return cmd
}

// versionInfo says which program this is.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Example: `  evident version
  evident version --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionInfo{
				Version: version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
			}
			if build, ok := debug.ReadBuildInfo(); ok {
				for _, s := range build.Settings {
					if s.Key == "vcs.revision" {
						v.Revision = s.Value
					}
				}
			}
			if a.out.json {
				return a.out.printJSON(v)
			}
			fmt.Fprintf(a.out.Out, "evident %s %s %s\n", v.Version, v.Platform, v.Go)
			return nil
		},
	}
}
