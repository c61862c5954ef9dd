package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"evident"
)

// askOptions are the flags of ask.
type askOptions struct {
	source
	evident.AskOptions
	question string
	explain  bool
}

func (a *app) askCommand() *cobra.Command {
	var o askOptions
	cmd := &cobra.Command{
		Use:   "ask QUESTION",
		Short: "Answer a question with quotations",
		Long: `Answer a question with exact quotations from documents.

With --in, what is new or changed under PATH is indexed first; without it, the index of --data is
asked. "ask -" reads one question a line from stdin; with --json each gives one line.

Engines: mix finds passages by their words and reads them; phrase finds the nearest of all possible
answers, which "evident index --phrases" has made into vectors; auto does both where there are phrases,
and says what found each place.`,
		Example: `  evident ask --in ~/papers "Who designed the bridge?"
  printf 'Who designed the bridge?\nWhen was it opened?\n' | evident ask --in ~/papers --json -`,
		Annotations: exitCodes("0 answered · 1 no answer found · 2 error · 10 no index · " +
			"12 model missing"),
		Args: oneArgument("QUESTION", `evident ask "Who designed the bridge?"`),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.question = args[0]
			return a.runAsk(cmd.Context(), o)
		},
	}
	o.addFlags(cmd, true)
	flags := cmd.Flags()
	flags.IntVarP(&o.Top, "top", "k", 1, "distinct answers to show")
	flags.IntVar(&o.Passages, "passages", 20, "passages to read")
	flags.Float64Var(&o.Threshold, "threshold", 0, thresholdUsage)
	flags.BoolVar(&o.explain, "why", false, "show the numbers behind each answer")
	flags.StringVar(&o.Engine, "engine", evident.EngineAuto, "the method that answers: auto, mix, phrase")
	addPhraseFlag(cmd, &o.phrase)
	return cmd
}

const thresholdUsage = "abstain below this probability; 0 is the model's own, -1 never abstains"

// check finds wrong values before anything is read.
func (o *askOptions) check() error {
	switch {
	case o.Top < 1:
		return usageError("--top %d: at least 1", o.Top)
	case o.Passages < 1:
		return usageError("--passages %d: at least 1", o.Passages)
	case o.Threshold > 1:
		return usageError("--threshold %g: a probability, at most 1", o.Threshold)
	case !slices.Contains([]string{evident.EngineAuto, evident.EngineMix, evident.EnginePhrase}, o.Engine):
		return usageError("--engine %s: there are auto, mix and phrase", o.Engine)
	}
	if o.question == "-" {
		return nil
	}
	return evident.CheckQuestion(o.question)
}

func (a *app) runAsk(ctx context.Context, o askOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	index, err := a.open(ctx, &o.source)
	if err != nil {
		return err
	}
	defer index.Close()
	if err := a.refreshPhrases(ctx, index, &o); err != nil {
		return phraseHint(err)
	}
	if o.question == "-" {
		return a.askEach(ctx, index, o)
	}
	answer, err := index.Ask(ctx, o.question, o.AskOptions)
	if err != nil {
		return o.hint(err)
	}
	if answer.Uncovered > 0 {
		a.out.note("%s not made into phrases yet; \"evident index --phrases\" does", plural(answer.Uncovered, "document"))
	}
	if a.out.json {
		err = a.out.printJSON(answer)
	} else {
		a.out.answer(answer, o.explain)
	}
	if err == nil && answer.Abstained {
		return &statusError{exitNothing}
	}
	return err
}

// refreshPhrases makes phrases of what --in has found: always for the phrase engine, which needs them,
// and for auto where the index has some.
func (a *app) refreshPhrases(ctx context.Context, index *evident.Index, o *askOptions) error {
	alone := o.Engine == evident.EnginePhrase
	if o.in == "" || !alone && (o.Engine != evident.EngineAuto || !index.HasPhrases()) {
		return nil
	}
	_, err := a.addPhrases(ctx, index, evident.AddPhrasesOptions{})
	if !alone && errors.Is(err, evident.ErrModelMissing) {
		return nil // auto does without
	}
	return err
}

// hint says what can be done about an error of an engine that needs phrases.
func (o *askOptions) hint(err error) error {
	if o.Engine != evident.EnginePhrase {
		return err
	}
	return phraseHint(err)
}

// askEach answers one question a line. A question that cannot be asked is reported on its line and
// does not stop the rest.
func (a *app) askEach(ctx context.Context, index *evident.Index, o askOptions) error {
	asked, answered, failed := 0, 0, false
	for line := range readLines(ctx, a.streams.In) {
		question := strings.TrimSpace(line.text)
		if line.err != nil {
			return line.err
		}
		if question == "" {
			continue
		}
		if asked++; asked > 1 && !a.out.json {
			io.WriteString(a.out.Out, "\n")
		}
		answer, err := index.Ask(ctx, question, o.AskOptions)
		var bad *evident.QuestionError
		if errors.As(err, &bad) {
			failed = true
			a.out.fail(err, a.verbose)
			continue
		}
		if err != nil {
			return o.hint(err)
		}
		if !answer.Abstained {
			answered++
		}
		if err := a.showLine(answer, o.explain); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case failed:
		return &statusError{exitError}
	case answered == 0:
		return &statusError{exitNothing}
	}
	return nil
}

// inputLine is a line of a stream, or why there are no more.
type inputLine struct {
	text string
	err  error
}

// readLines yields the lines of a stream as they come. It ends with the stream or with ctx, also
// while it waits; the read that waits then is given up.
func readLines(ctx context.Context, stream io.Reader) iter.Seq[inputLine] {
	return func(yield func(inputLine) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		lines := make(chan inputLine)
		go func() {
			defer close(lines)
			for buffered := bufio.NewReader(stream); ; {
				text, err := buffered.ReadString('\n')
				line := inputLine{text: text}
				if err != nil && !errors.Is(err, io.EOF) {
					line.err = fmt.Errorf("read questions: %w", err)
				}
				select {
				case lines <- line:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		}()
		for {
			select {
			case line, ok := <-lines:
				if !ok || !yield(line) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (a *app) showLine(answer *evident.Answer, explain bool) error {
	if a.out.json {
		return a.out.printJSONLine(answer)
	}
	io.WriteString(a.out.Out, a.out.faint("? "+oneLine(answer.Question))+"\n")
	a.out.answer(answer, explain)
	return nil
}

// oneArgument demands exactly one argument and shows how it is meant.
func oneArgument(name, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return &hintError{usageError("%s needs %s", cmd.CommandPath(), name), "for example: " + example}
		case len(args) > 1:
			return &hintError{
				usageError("%s takes one %s, not %d", cmd.CommandPath(), name, len(args)),
				"put it in quotes: " + example,
			}
		}
		return nil
	}
}
