package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"evident"
)

func addIntegrityFlags(cmd *cobra.Command, o *indexOptions) {
	cmd.Flags().BoolVar(&o.check, "check", false, "read every file of the index and say what is damaged")
	cmd.Flags().BoolVar(&o.repair, "repair", false, "mend a damaged index; nothing is removed")
}

// indexArgs wants paths to index, or none when the index is only looked at.
func indexArgs(o *indexOptions) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case o.check || o.repair:
			if o.check && o.repair || len(args) > 0 {
				return usageError("--check and --repair stand alone: the one looks, the other mends the index of --data")
			}
		case len(args) == 0:
			return &hintError{usageError("evident index needs PATH"), "for example: evident index ~/papers"}
		}
		return nil
	}
}

// integrity returns what to do instead of indexing, or nil.
func (a *app) integrity(o *indexOptions) func(context.Context) error {
	switch {
	case o.check:
		return a.runCheck
	case o.repair:
		return func(ctx context.Context) error { return a.runRepair(ctx, o) }
	}
	return nil
}

// runCheck is "index --check".
func (a *app) runCheck(ctx context.Context) error {
	report, err := evident.CheckIndex(ctx, a.dataFolder(), evident.IntegrityOptions{})
	if err != nil {
		return err
	}
	if a.out.json {
		err = a.out.printJSON(report)
	} else {
		a.printFaults(report)
	}
	if err != nil || report.Whole() {
		return err
	}
	a.out.note("hint: run %q to mend it; damaged files are put aside, none is removed", a.command("index --repair"))
	return &statusError{exitDamaged}
}

// command is a command line for the index in use.
func (a *app) command(words string) string {
	switch {
	case a.store != "":
		words += " --store " + a.store
	case a.data != "":
		words += " --data " + a.data
	}
	return "evident " + words
}

func (a *app) printFaults(r *evident.IntegrityReport) {
	state := "whole"
	if !r.Whole() {
		state = plural(len(r.Faults), "fault")
	}
	fmt.Fprintf(a.out.Out, "%s: %s, %.1f MB read in %.1f s: %s\n",
		oneLine(r.Data), plural(r.Files, "file"), float64(r.Bytes)/1e6, r.Seconds, state)
	for _, f := range r.Faults {
		fmt.Fprintf(a.out.Out, "  damaged %s: %s\n    %s\n", oneLine(f.File), oneLine(f.Detail), f.Remedy)
		a.printLost(f.Lost, f.LostUnnamed)
	}
}

// printLost lists documents that must be read again.
func (a *app) printLost(paths []string, unnamed int) {
	for i, path := range paths {
		if i == skipListLong {
			fmt.Fprintf(a.out.Out, "    and %d more; --json lists all\n", len(paths)-i)
			break
		}
		fmt.Fprintf(a.out.Out, "    read again %s\n", oneLine(path))
	}
	if unnamed > 0 {
		fmt.Fprintf(a.out.Out, "    read again %s whose names are lost\n", plural(unnamed, "document"))
	}
}

// runRepair is "index --repair".
func (a *app) runRepair(ctx context.Context, o *indexOptions) error {
	report, err := evident.RepairIndex(ctx, a.dataFolder(), evident.IntegrityOptions{})
	if err != nil {
		return err
	}
	if report.Phrases {
		if report.Phrases, err = a.repairPhrases(ctx, o); err != nil {
			return err
		}
	}
	if a.out.json {
		err = a.out.printJSON(report)
	} else {
		a.printRepair(report)
	}
	if err != nil || len(report.ReadAgain)+report.ReadUnnamed == 0 {
		return err
	}
	return &statusError{exitSkipped}
}

// repairPhrases makes the phrases again that a repair has put aside, and says whether they are still
// missing for want of a model.
func (a *app) repairPhrases(ctx context.Context, o *indexOptions) (missing bool, err error) {
	phrases, err := a.phraseOptions(o.phrase)
	if err != nil {
		return true, err
	}
	phrases.Int8 = o.int8
	index, err := evident.Open(ctx, a.dataFolder(), evident.Options{
		Phrases: phrases, CacheDir: a.cacheFolder("packed"),
	})
	if err != nil {
		return true, err
	}
	defer index.Close()
	made, err := a.addPhrases(ctx, index, evident.AddPhrasesOptions{Candidates: o.candidates})
	switch {
	case errors.Is(err, evident.ErrModelMissing):
		return true, nil
	case err != nil:
		return true, phraseHint(fmt.Errorf("make phrases: %w", err))
	}
	a.out.note("made phrases of %s in %.1f s", plural(made.Passages, "passage"), made.Seconds)
	return false, nil
}

func (a *app) printRepair(r *evident.RepairReport) {
	a.printFaults(&r.IntegrityReport)
	if r.Whole() {
		return
	}
	if len(r.Rebuilt) > 0 {
		fmt.Fprintf(a.out.Out, "rebuilt %s\n", strings.Join(r.Rebuilt, ", "))
	}
	if r.Aside != "" {
		fmt.Fprintf(a.out.Out, "put %s aside in %s\n", strings.Join(r.Moved, ", "), oneLine(r.Aside))
	}
	if r.Phrases {
		a.out.note("next: %s makes the phrases again", a.command("index --phrases PATH"))
	}
	if n := len(r.ReadAgain) + r.ReadUnnamed; n > 0 {
		roots := strings.Join(r.Roots, " ")
		if roots == "" {
			roots = "PATH"
		}
		a.out.note("next: %s reads %s again", a.command("index "+roots), plural(n, "document"))
	}
}
