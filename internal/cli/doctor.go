package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"evident"
)

func (a *app) doctorCommand() *cobra.Command {
	var selfTest bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine processor, models and data folder",
		Long: `Examine processor, built-in models and data folder, and say what is wrong.

The speed of matrix products is measured on one core for a moment. With --self-test a question about a
sample that is inside the program is answered too: no file and no network are needed.`,
		Example: `  evident doctor
  evident doctor --self-test --json`,
		Annotations: exitCodes("0 all well · 2 a check failed"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cache := evident.Options{CacheDir: a.cacheFolder("packed")}
			report, err := evident.Examine(cmd.Context(), a.dataFolder(), cache)
			if err != nil {
				return err
			}
			if selfTest {
				report.Checks = append(report.Checks, evident.SelfTest(cmd.Context(), cache))
			}
			if a.out.json {
				err = a.out.printJSON(report)
			} else {
				a.printExamination(report)
			}
			if err == nil && !report.Well() {
				return &statusError{exitError}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&selfTest, "self-test", false, "also answer a question about a built-in sample")
	return cmd
}

func (a *app) printExamination(e *evident.Examination) {
	out := a.out.Out
	fmt.Fprintf(out, "cpu     %s (%s)\n", e.CPU.Tier, strings.Join(e.CPU.Features, " "))
	for _, precision := range []string{"fp32", "bf16", "int8"} {
		if g, ok := e.GEMM[precision]; ok {
			unit := "GFLOP/s"
			if precision == "int8" {
				unit = "Gop/s"
			}
			fmt.Fprintf(out, "%s    %.0f %s on one core", precision, g.GFLOPS, unit)
			if g.Peak > 0 {
				fmt.Fprintf(out, ", %.0f %% of its measured peak %.0f", 100*g.Fraction, g.Peak)
			}
			fmt.Fprintln(out)
		}
	}
	for _, m := range e.Models {
		fmt.Fprintf(out, "model   %s: %s, %.1f MB\n", m.Name, m.Description, float64(m.Bytes)/1e6)
	}
	for _, c := range e.Checks {
		mark := "ok     "
		if !c.OK {
			mark = "FAILED "
		}
		fmt.Fprintf(out, "%s %s: %s\n", mark, c.Name, c.Detail)
	}
}
