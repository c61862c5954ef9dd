package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"evident"
)

// indexOptions are the flags of index.
type indexOptions struct {
	evident.AddOptions
	fileMiB int64
	vision  string
	paths   []string

	phrase     string // --phrase-model
	phrases    bool
	phrasesSet bool // by the user
	candidates int
	int8       bool

	check, repair bool
}

func (a *app) indexCommand() *cobra.Command {
	var o indexOptions
	cmd := &cobra.Command{
		Use:   "index PATH…",
		Short: "Build or refresh an index of files and folders; check or repair one",
		Long: `Build or refresh an index of files and folders.

Only new and changed files are read; those that are gone are removed. A file that cannot be read is
listed with the reason, and the rest goes on. Ctrl-C keeps what is done; the same command goes on.
Pictures are seen by a vision model, for "evident search --images".

With --phrases, the possible answers of every passage become vectors, for "evident ask --engine phrase"
and auto. This takes a second for some tens of passages; an index that has phrases is kept up to date.

--check reads every file of the index and says which are damaged. --repair makes the index whole with
what can be read of it: it puts damaged files aside, removes none, and lists the documents to read again.`,
		Example: `  evident index ~/papers
  evident index --phrases ~/papers
  evident index --data ./notes.idx notes/ minutes.pdf
  evident index --data ./notes.idx --check`,
		Annotations: exitCodes("0 done · 2 error · 3 done, some files skipped or to be read again · " +
			"11 index locked · 13 damaged · 130 interrupted"),
		Args: indexArgs(&o),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.paths = args
			o.phrasesSet = cmd.Flags().Changed("phrases")
			if instead := a.integrity(&o); instead != nil {
				return instead(cmd.Context())
			}
			return a.runIndex(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.Hidden, "hidden", false, "also files and folders whose name begins with a dot")
	flags.Int64Var(&o.fileMiB, "max-file-size", 64, "skip larger files, in MiB")
	flags.IntVar(&o.PixelsMax, "max-pixels", evident.PixelsMax, "skip larger pictures, unread")
	addVisionFlag(cmd, &o.vision)
	flags.BoolVar(&o.phrases, "phrases", false,
		"also make phrases, vectors of possible answers (default: where the index has some)")
	flags.IntVar(&o.candidates, "candidates", 0, "phrases of a passage; 0 is the model's own number")
	flags.BoolVar(&o.int8, "int8", false, "make phrases with products of bytes: faster, less exact")
	addPhraseFlag(cmd, &o.phrase)
	addIntegrityFlags(cmd, &o)
	return cmd
}

func (a *app) runIndex(ctx context.Context, o indexOptions) error {
	if o.candidates < 0 {
		return usageError("--candidates %d: at least 0", o.candidates)
	}
	if o.fileMiB < 1 {
		return usageError("--max-file-size %d: at least 1", o.fileMiB)
	}
	if o.fileMiB != 64 {
		o.FileBytesMax = o.fileMiB << 20
	}
	vision, err := a.visionOptions(o.vision)
	if err != nil {
		return err
	}
	phrases, err := a.phraseOptions(o.phrase)
	if err != nil {
		return err
	}
	phrases.Int8 = o.int8
	index, err := evident.Open(ctx, a.dataFolder(), evident.Options{
		Create: true, Vision: vision, Phrases: phrases, CacheDir: a.cacheFolder("packed"), StoreKey: a.storeKey(),
	})
	if err != nil {
		return err
	}
	defer index.Close()
	report, err := a.add(ctx, index, o.paths, o.AddOptions)
	if err != nil {
		if report != nil && errors.Is(err, context.Canceled) {
			a.out.note("kept %s", counts(report))
		}
		return err
	}
	if report.Phrases, err = a.indexPhrases(ctx, index, &o); err != nil {
		return err
	}
	if report.Phrases != nil {
		report.Seconds += report.Phrases.Seconds
	}
	if a.out.json {
		err = a.out.printJSON(report)
	} else {
		a.printReport(report)
	}
	switch {
	case err != nil:
		return err
	case len(report.Skipped) > 0:
		return &statusError{exitSkipped}
	case report.Documents+report.Images == 0:
		return nothingToRead(strings.Join(o.paths, " "), report)
	}
	return nil
}

func (a *app) printReport(r *evident.AddReport) {
	fmt.Fprintf(a.out.Out, "%s in %.1f s\n", counts(r), r.Seconds)
	if len(r.Skipped) > 0 {
		fmt.Fprintln(a.out.Out, skipList(r.Skipped, skipListLong))
	}
	next := a.command("ask") + ` "your question"`
	if r.Documents == 0 {
		next = strings.ReplaceAll(next, `ask`, `search --images`)
		next = strings.ReplaceAll(next, `your question`, `what to look for`)
	}
	if r.Documents+r.Images > 0 {
		a.out.note("next: %s", next)
	}
}

// counts says what an index holds and what was done: "412 documents, 9031 passages (3 new), 3
// skipped (2 encrypted PDF, 1 empty)".
func counts(r *evident.AddReport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s", plural(r.Documents, "document"), plural(r.Passages, "passage"))
	if r.Images > 0 {
		fmt.Fprintf(&b, ", %s", plural(r.Images, "picture"))
	}
	if r.Phrases != nil {
		fmt.Fprintf(&b, ", %s", plural(r.Phrases.Phrases, "phrase"))
	}
	var done []string
	for _, d := range []struct {
		n    int
		what string
	}{{r.Added, "new"}, {r.Changed, "changed"}, {r.Unchanged, "unchanged"}, {r.Removed, "removed"}} {
		if d.n > 0 {
			done = append(done, fmt.Sprintf("%d %s", d.n, d.what))
		}
	}
	if len(done) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(done, ", "))
	}
	if len(r.Skipped) > 0 {
		fmt.Fprintf(&b, ", %d skipped (%s)", len(r.Skipped), reasons(r.Skipped))
	}
	return b.String()
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// reasons counts skipped files by reason, the most frequent first.
func reasons(skipped []evident.Skipped) string {
	byReason := map[string]int{}
	for _, s := range skipped {
		byReason[s.Reason]++
	}
	order := slices.SortedFunc(maps.Keys(byReason), func(a, b string) int {
		return cmp.Or(byReason[b]-byReason[a], strings.Compare(a, b))
	})
	const shown = 3
	var parts []string
	rest := 0
	for i, reason := range order {
		if i < shown {
			parts = append(parts, fmt.Sprintf("%d %s", byReason[reason], oneLine(reason)))
		} else {
			rest += byReason[reason]
		}
	}
	if rest > 0 {
		parts = append(parts, fmt.Sprintf("%d for other reasons", rest))
	}
	return strings.Join(parts, ", ")
}

// How many skipped files are listed: all that one would read, or only enough to see what is wrong.
const (
	skipListLong  = 50
	skipListShort = 5
)

// skipList names skipped files, one a line.
func skipList(skipped []evident.Skipped, most int) string {
	var lines []string
	for i, s := range skipped {
		if i == most {
			lines = append(lines, fmt.Sprintf("  and %d more; --json lists all", len(skipped)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("  skipped %s: %s", oneLine(s.Path), oneLine(s.Reason)))
	}
	return strings.Join(lines, "\n")
}
