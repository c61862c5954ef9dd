package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"evident"
	"evident/eval"
	"evident/internal/weights"
)

// piqaOptions are the flags of eval piqa and of its two sides.
type piqaOptions struct {
	evalOptions
	candidates int
	int8       bool
	keep       string
	from, to   string // of a side
}

// The sides of eval piqa: commands that nobody types.
const (
	piqaContexts  = "piqa-contexts"
	piqaQuestions = "piqa-questions"
)

func (a *app) evalPIQACommand() *cobra.Command {
	var o piqaOptions
	cmd := &cobra.Command{
		Use:   "piqa",
		Short: "Answer from vectors of possible answers, made before the question",
		Long: `Phrase-indexed question answering: contexts are encoded by one process and questions by another,
which share no state but a file each; then every question gets the phrase of its own paragraph with the
largest inner product of their vectors. Vectors have two parts, of numbers and of words; "dense_alone" is
what the numbers find alone.

"candidate_recall" is how often a right answer is among a paragraph's phrases at all.`,
		Example: `  evident eval piqa --data dev-v1.1.json --limit 500
  evident eval piqa --data dev-v1.1.json --candidates 20`,
		Annotations: exitCodes(evalExitCodes),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runEval(o.evalOptions, func(d *eval.Dataset) (*eval.Report, error) {
				return a.evalPIQA(cmd.Context(), d.Sample(o.Limit, o.Seed), &o)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "questions in SQuAD's JSON format, .json or .json.gz")
	flags.IntVar(&o.Limit, "limit", 0, "at most so many questions, drawn at random (default: all)")
	flags.Uint64Var(&o.Seed, "seed", 1, "of the draw and of the intervals")
	flags.Float64Var(&o.failUnder, "fail-under", 0, "exit with 1 when F1 is lower, in percent")
	flags.StringVar(&o.keep, "keep", "", "folder to leave the files of both sides in")
	o.addSideFlags(cmd)
	return cmd
}

func (o *piqaOptions) addSideFlags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&o.candidates, "candidates", 0, "phrases of a paragraph; 0 is the model's own number")
	cmd.Flags().BoolVar(&o.int8, "int8", false, "encode with products of bytes: faster, less exact")
	addPhraseFlag(cmd, &o.phrase)
}

// evalPIQASide is a process of eval piqa. It sees its own file only.
func (a *app) evalPIQASide(name string) *cobra.Command {
	var o piqaOptions
	cmd := &cobra.Command{
		Use: name, Short: "One side of eval piqa", Hidden: true, Args: cobra.NoArgs,
		Annotations: exitCodes(evalExitCodes),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := a.options(&o.source)
			if err != nil {
				return err
			}
			opts.Phrases.Int8 = o.int8
			encoder, err := evident.OpenPhraseEncoder(cmd.Context(), opts)
			if err != nil {
				return phraseHint(err)
			}
			if name == piqaContexts {
				return a.encodeContexts(cmd.Context(), encoder, &o)
			}
			return a.encodeQuestions(cmd.Context(), encoder, &o)
		},
	}
	cmd.Flags().StringVar(&o.from, "from", "", "file to read")
	cmd.Flags().StringVar(&o.to, "to", "", "folder to write")
	o.addSideFlags(cmd)
	return cmd
}

// evalPIQA writes a file for either side, runs both sides one after the other, and merges what they
// leave behind.
func (a *app) evalPIQA(ctx context.Context, d *eval.Dataset, o *piqaOptions) (report *eval.Report, err error) {
	dir := o.keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "evident-piqa-*"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	texts := map[string]string{}
	for number, text := range eval.PIQAParagraphs(d) {
		texts[strconv.Itoa(number)] = text
	}
	questions := map[string]string{}
	for _, q := range d.Questions {
		questions[q.ID] = q.Text
	}
	for _, side := range []struct {
		name  string
		texts map[string]string
	}{{piqaContexts, texts}, {piqaQuestions, questions}} {
		if err := a.runSide(ctx, side.name, filepath.Join(dir, side.name), side.texts, o); err != nil {
			return nil, err
		}
	}
	contexts, err := readContexts(filepath.Join(dir, piqaContexts))
	if err != nil {
		return nil, err
	}
	asked, err := readQuestions(filepath.Join(dir, piqaQuestions))
	if err != nil {
		return nil, err
	}
	report, err = eval.RunPIQA(d, contexts, asked, o.Options)
	if err == nil {
		report.Settings = map[string]string{"candidates": "the model's own number"}
		if o.candidates > 0 {
			report.Settings["candidates"] = strconv.Itoa(o.candidates)
		}
	}
	return report, err
}

// runSide runs this program as one side, in a folder of its own.
func (a *app) runSide(ctx context.Context, name, dir string, texts map[string]string, o *piqaOptions) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	from := filepath.Join(dir, "texts.json")
	data, err := json.Marshal(texts)
	if err != nil {
		return err
	}
	if err := os.WriteFile(from, data, 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"eval", name, "--from", from, "--to", dir, "--candidates", strconv.Itoa(o.candidates)}
	if o.phrase != "" {
		args = append(args, "--phrase-model", o.phrase)
	}
	if o.int8 {
		args = append(args, "--int8")
	}
	if a.out.quiet || a.out.json {
		args = append(args, "--quiet")
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = os.Args[0] // a program may be several by its name
	cmd.Stdout, cmd.Stderr = a.out.Err, a.out.Err
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return &statusError{exit.ExitCode()} // it has said why
	case err != nil:
		return fmt.Errorf("run %s: %w", name, err)
	}
	return nil
}

// Files of a side: the vectors of each text as one tensor, and the phrases and words they stand for.
const (
	piqaVectors = "vectors.safetensors"
	piqaSparse  = "sparse.safetensors"
	piqaPhrases = "phrases.json"
	piqaWords   = "words.json"
)

// contextPhrases is what the tensors of a context stand for.
type contextPhrases struct {
	Phrases []string `json:"phrases"` // of each row
	Words   []string `json:"words"`   // of each column of the sparse ones
}

func readTexts(path string) (map[string]string, error) {
	var texts map[string]string
	err := readJSON(path, &texts)
	return texts, err
}

// contextBatch is the number of contexts between two reports of progress.
const contextBatch = 16

func (a *app) encodeContexts(ctx context.Context, encoder *evident.PhraseEncoder, o *piqaOptions) error {
	texts, err := readTexts(o.from)
	if err != nil {
		return err
	}
	bar := a.out.progress("contexts")
	defer bar.done()
	names := slices.Sorted(maps.Keys(texts))
	phrases, dense, sparse := map[string]contextPhrases{}, map[string]weights.Tensor{}, map[string]weights.Tensor{}
	for at := 0; at < len(names); at += contextBatch {
		batch := names[at:min(at+contextBatch, len(names))]
		var of []string
		for _, name := range batch {
			of = append(of, texts[name])
		}
		encoded, err := encoder.Contexts(ctx, of, o.candidates)
		if err != nil {
			return err
		}
		for i, name := range batch {
			list := contextPhrases{Phrases: []string{}, Words: encoded[i].Words}
			var rows, words []float32
			for _, p := range encoded[i].Phrases {
				list.Phrases = append(list.Phrases, p.Text)
				rows, words = append(rows, p.Vector...), append(words, p.Words...)
			}
			phrases[name] = list // a context without words has no phrases, but was seen
			if n := len(list.Phrases); n > 0 {
				dense[name] = weights.FromFloat32(rows, n, len(rows)/n)
				sparse[name] = weights.FromFloat32(words, n, len(words)/n)
			}
		}
		bar.count(at+len(batch), len(names))
	}
	return errors.Join(writeJSON(filepath.Join(o.to, piqaPhrases), phrases),
		writeVectors(filepath.Join(o.to, piqaVectors), dense), writeVectors(filepath.Join(o.to, piqaSparse), sparse))
}

func writeJSON(path string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func (a *app) encodeQuestions(ctx context.Context, encoder *evident.PhraseEncoder, o *piqaOptions) error {
	texts, err := readTexts(o.from)
	if err != nil {
		return err
	}
	bar := a.out.progress("questions")
	defer bar.done()
	tensors, words := map[string]weights.Tensor{}, map[string]map[string]float64{}
	for i, name := range slices.Sorted(maps.Keys(texts)) {
		vector, sparse, err := encoder.Question(ctx, texts[name])
		if err != nil {
			return err
		}
		words[name] = sparse
		tensors[name] = weights.FromFloat32(vector, 1, len(vector))
		bar.count(i+1, len(texts))
	}
	return errors.Join(writeJSON(filepath.Join(o.to, piqaWords), words), writeVectors(filepath.Join(o.to, piqaVectors), tensors))
}

func writeVectors(path string, tensors map[string]weights.Tensor) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(weights.Write(f, tensors, nil), f.Close())
}

// readVectors returns the rows of every text of a side.
func readVectors(path string) (map[string][][]float32, error) {
	file, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	all := map[string][][]float32{}
	for name := range file.Names() {
		raw, err := file.Raw(name)
		if err != nil {
			return nil, err
		}
		if len(raw.Shape) != 2 || raw.Shape[0] == 0 {
			return nil, fmt.Errorf("read vectors of %s: they are %v", name, raw.Shape)
		}
		values, err := file.Float32(name, raw.Shape...)
		if err != nil {
			return nil, err
		}
		for i := range raw.Shape[0] {
			all[name] = append(all[name], values[i*raw.Shape[1]:][:raw.Shape[1]])
		}
	}
	return all, nil
}

// readContexts joins the phrases of the context side with their vectors.
func readContexts(dir string) (map[int]eval.PIQAContext, error) {
	var phrases map[string]contextPhrases
	if err := readJSON(filepath.Join(dir, piqaPhrases), &phrases); err != nil {
		return nil, err
	}
	vectors, err := readVectors(filepath.Join(dir, piqaVectors))
	if err != nil {
		return nil, err
	}
	sparse, err := readVectors(filepath.Join(dir, piqaSparse))
	if err != nil {
		return nil, err
	}
	contexts := map[int]eval.PIQAContext{}
	for name, list := range phrases {
		number, err := strconv.Atoi(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", piqaPhrases, err)
		}
		contexts[number] = eval.PIQAContext{
			Phrases: list.Phrases, Vectors: vectors[name], Words: list.Words, Sparse: sparse[name],
		}
	}
	return contexts, nil
}

// readQuestions joins the vectors of the question side with their words.
func readQuestions(dir string) (map[string]eval.PIQAQuestion, error) {
	var words map[string]map[string]float64
	if err := readJSON(filepath.Join(dir, piqaWords), &words); err != nil {
		return nil, err
	}
	vectors, err := readVectors(filepath.Join(dir, piqaVectors))
	if err != nil {
		return nil, err
	}
	questions := map[string]eval.PIQAQuestion{}
	for id, rows := range vectors {
		questions[id] = eval.PIQAQuestion{Vector: rows[0], Words: words[id]}
	}
	return questions, nil
}

func readJSON(path string, value any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
