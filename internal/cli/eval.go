package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"evident"
	"evident/eval"
)

// evalOptions are the flags of the evaluation tasks.
type evalOptions struct {
	source
	eval.Options
	data        string
	corpus      []string
	predictions string
	plot        string
	passages    int
	engine      string
	candidates  int
	mayAbstain  bool
	failUnder   float64
}

func (a *app) evalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "eval TASK",
		Short: "Measure answers and maps on data sets: squad, pointing, …",
		Long: `Measure answers on files in SQuAD's format, as the data set's official scripts do, and maps and
vectors on sets of photos.

Results are percentages with 95 % confidence intervals (bootstrap). "ece" is the expected
calibration error: how far probabilities are from the share that was right, in points.`,
		Example: `  evident eval squad --data dev-v1.1.json --limit 500
  evident eval squad-open --data dev-v1.1.json --corpus passages.jsonl.gz
  evident eval segmentation --data photos.tar --against rollout,chefer`,
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(a.evalSquadCommand(), a.evalOpenCommand(), a.evalPIQACommand())
	cmd.AddCommand(a.evalPIQASide(piqaContexts), a.evalPIQASide(piqaQuestions))
	for i := range photoTasks {
		cmd.AddCommand(a.evalPhotoCommand(&photoTasks[i]))
	}
	var names []string
	for _, task := range cmd.Commands() {
		if !task.Hidden {
			names = append(names, task.Name())
		}
	}
	cmd.Args = func(_ *cobra.Command, args []string) error {
		tasks := "the tasks are " + strings.Join(names, ", ")
		if len(args) == 0 {
			return &hintError{usageError("evident eval needs a task"), tasks}
		}
		return &hintError{usageError("unknown task %q", args[0]), tasks}
	}
	return cmd
}

const evalExitCodes = "0 done · 1 --fail-under was missed · 2 error · 12 model missing"

func (a *app) evalSquadCommand() *cobra.Command {
	var o evalOptions
	cmd := &cobra.Command{
		Use:   "squad",
		Short: "Read answers from the paragraph of each question",
		Example: `  evident eval squad --data dev-v1.1.json --limit 500
  evident eval squad --data dev-v1.1.json --predictions answers.json`,
		Annotations: exitCodes(evalExitCodes),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runEval(o, func(d *eval.Dataset) (*eval.Report, error) {
				return a.evalSquad(cmd.Context(), d, &o)
			})
		},
	}
	o.addEvalFlags(cmd)
	cmd.Flags().StringVar(&o.predictions, "predictions", "",
		`score this file, {"id": "answer"}, instead of the reader`)
	cmd.Flags().BoolVar(&o.mayAbstain, "may-abstain", false,
		"judge answers as if a paragraph might not hold one, also in a set where each does")
	return cmd
}

func (a *app) evalOpenCommand() *cobra.Command {
	var o evalOptions
	cmd := &cobra.Command{
		Use:   "squad-open",
		Short: "Find and read answers in a whole corpus",
		Long: `Find and read answers in a corpus: JSON Lines with id, title and text, each row one
passage.

The corpus must hold the paragraph of every question, which recall is judged by. Its index is kept
in the cache folder. Figures depend on the corpus: never name them without its size.`,
		Example: `  evident eval squad-open --data dev-v1.1.json --corpus wiki.jsonl.gz
  evident eval squad-open --data dev-v1.1.json --corpus wiki.jsonl.gz,docs.jsonl.gz --limit 1000
  evident eval squad-open --data dev-v1.1.json --corpus wiki.jsonl.gz --engine phrase --candidates 20`,
		Annotations: exitCodes(evalExitCodes),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runEval(o, func(d *eval.Dataset) (*eval.Report, error) {
				return a.evalOpen(cmd.Context(), d, &o)
			})
		},
	}
	o.addEvalFlags(cmd)
	cmd.Flags().StringSliceVar(&o.corpus, "corpus", nil, "corpus files, .jsonl or .jsonl.gz")
	cmd.Flags().IntVar(&o.passages, "passages", 20, "passages to read for each question")
	cmd.Flags().StringVar(&o.engine, "engine", evident.EngineMix, "the method that answers: mix, phrase")
	cmd.Flags().IntVar(&o.candidates, "candidates", 0,
		"phrases of a passage, with --engine phrase; 0 is the model's own number")
	addPhraseFlag(cmd, &o.phrase)
	cmd.Flags().BoolVar(&o.Retrieval, "retrieval-only", false,
		"measure only where the gold passage ranks; no model is needed")
	return cmd
}

func (o *evalOptions) addEvalFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "questions in SQuAD's JSON format, .json or .json.gz")
	flags.IntVar(&o.Limit, "limit", 0, "at most so many questions, drawn at random (default: all)")
	flags.Uint64Var(&o.Seed, "seed", 1, "of the draw and of the intervals")
	flags.Float64Var(&o.Threshold, "threshold", 0, thresholdUsage)
	flags.Float64Var(&o.failUnder, "fail-under", 0, "exit with 1 when F1 is lower, in percent")
	flags.StringVar(&o.plot, "plot", "", "write a reliability plot to this SVG file")
	o.addModelFlags(cmd)
}

// runEval reads the questions, measures, and shows the report.
func (a *app) runEval(o evalOptions, measure func(*eval.Dataset) (*eval.Report, error)) error {
	if o.data == "" {
		return &hintError{usageError("evident eval needs --data"), "name a file in SQuAD's JSON format"}
	}
	d, err := eval.OpenSQuAD(o.data)
	if err != nil {
		return err
	}
	report, err := measure(d)
	if err != nil {
		return err
	}
	if o.plot != "" {
		if err := writePlot(o.plot, report); err != nil {
			return err
		}
	}
	return a.showReport(report, "f1", o.failUnder)
}

// showReport prints a report and ends with exit code 1 when a metric misses a bar.
func (a *app) showReport(report *eval.Report, metric string, bar float64) error {
	show := report.Table
	if a.out.json {
		show = report.JSON
	}
	if err := show(a.out.Out); err != nil {
		return err
	}
	if report.Metrics[metric] < bar {
		a.out.note("%s %.2f is under %.2f", metric, report.Metrics[metric], bar)
		return &statusError{exitNothing}
	}
	return nil
}

func (a *app) evalSquad(
	ctx context.Context, d *eval.Dataset, o *evalOptions,
) (*eval.Report, error) {
	if o.predictions != "" {
		predictions, err := eval.OpenPredictions(o.predictions)
		if err != nil {
			return nil, err
		}
		return eval.ScorePredictions(d, predictions, o.Options), nil
	}
	opts, err := a.options(&o.source)
	if err != nil {
		return nil, err
	}
	reader, err := evident.OpenReader(ctx, opts)
	if err != nil {
		return nil, err
	}
	// A set where every question has an answer asks for one always, as its official script does.
	reader.Answered = !o.mayAbstain && !d.HasUnanswerable()
	if o.Threshold == 0 {
		o.Threshold = reader.Threshold()
	}
	bar := a.out.progress("questions")
	defer bar.done()
	o.Progress = bar.count
	return eval.RunSQuAD(ctx, d, reader, o.Options)
}

func (a *app) evalOpen(
	ctx context.Context, d *eval.Dataset, o *evalOptions,
) (*eval.Report, error) {
	if len(o.corpus) == 0 {
		return nil, &hintError{
			usageError("evident eval squad-open needs --corpus"), "name a .jsonl file with id, title, text",
		}
	}
	if o.engine != evident.EngineMix && o.engine != evident.EnginePhrase {
		return nil, usageError("--engine %s: there are mix and phrase", o.engine)
	}
	rows, err := eval.OpenCorpus(o.corpus...)
	if err != nil {
		return nil, err
	}
	opts, err := a.options(&o.source)
	if err != nil {
		return nil, err
	}
	dir, err := a.corpusFolder(o.corpus)
	if err != nil {
		return nil, err
	}
	texts := make([]evident.CorpusRow, len(rows))
	for i, row := range rows {
		texts[i] = evident.CorpusRow{ID: row.ID, Title: row.Title, Text: row.Text}
	}
	corpus, err := evident.OpenCorpus(ctx, dir, texts, opts)
	if err != nil {
		return nil, err
	}
	defer corpus.Close()
	if o.engine == evident.EnginePhrase {
		return a.evalOpenPhrases(ctx, d, rows, corpus, o)
	}
	if !o.Retrieval { // say so now if the model cannot be loaded, not at the first question
		if err := corpus.LoadReader(); err != nil {
			return nil, err
		}
	}
	bar := a.out.progress("questions")
	defer bar.done()
	o.Progress = bar.count
	return eval.RunOpen(ctx, d, rows, &corpusAnswerer{corpus, o.passages}, o.Options)
}

// evalOpenPhrases is evalOpen with the phrase engine.
func (a *app) evalOpenPhrases(
	ctx context.Context, d *eval.Dataset, rows []eval.CorpusRow, corpus *evident.Corpus, o *evalOptions,
) (*eval.Report, error) {
	making := a.out.progress("passages")
	made, err := corpus.AddPhrases(ctx, evident.AddPhrasesOptions{
		Candidates: o.candidates,
		Progress:   func(p evident.PhraseProgress) { making.update(p.Done, p.Total, 0, p.Left) },
	})
	making.done()
	if err != nil {
		return nil, phraseHint(err)
	}
	bar := a.out.progress("questions")
	defer bar.done()
	o.Progress = bar.count
	report, err := eval.RunOpen(ctx, d, rows, &phraseAnswerer{corpus}, o.Options)
	if err != nil {
		return nil, err
	}
	report.Metrics["phrases"] = float64(made.Phrases)
	report.Settings = map[string]string{"engine": evident.EnginePhrase}
	return report, nil
}

// phraseAnswerer lets package eval ask the phrases of a corpus.
type phraseAnswerer struct{ *evident.Corpus }

func (c *phraseAnswerer) Answer(ctx context.Context, question string) (eval.Found, error) {
	answer, probability, err := c.AnswerByPhrase(ctx, question)
	return eval.Found{Answer: answer, Probability: probability}, err
}

func (c *phraseAnswerer) Retrieve(ctx context.Context, question string, k int) ([]int, error) {
	return c.RetrieveByPhrase(ctx, question, k)
}

// corpusFolder is where the index of corpus files is kept: it follows from their names, sizes and
// times, so that a changed file gets a new index.
func (a *app) corpusFolder(files []string) (string, error) {
	hash := sha256.New()
	for _, file := range files {
		full, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		info, err := os.Stat(full)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%q %d %d\n", full, info.Size(), info.ModTime().UnixNano())
	}
	name := "corpus-" + hex.EncodeToString(hash.Sum(nil)[:8])
	return filepath.Join(a.home("cache"), name), nil
}

// corpusAnswerer lets package eval ask a corpus.
type corpusAnswerer struct {
	*evident.Corpus
	passages int
}

func (c *corpusAnswerer) Answer(ctx context.Context, question string) (eval.Found, error) {
	answer, probability, err := c.Corpus.Answer(ctx, question, c.passages)
	return eval.Found{Answer: answer, Probability: probability}, err
}

func writePlot(path string, report *eval.Report) error {
	if len(report.Bins) == 0 {
		return usageError("--plot: predictions from a file have no probabilities")
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("Reliability on %s", report.Task)
	plot := &eval.ReliabilityPlot{Title: title, Bins: report.Bins}
	if err := plot.WriteSVG(f); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Close()
}
