// Package cli is the command line of evident: it reads flags, calls package evident, and shows
// results as text or JSON.
//
// Rules that hold for every command: results go to stdout, everything else to stderr; --json
// prints one JSON document, errors included; each command is a struct of options and a plain run
// function; hints and exit codes are added here and nowhere else (see errors.go).
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Streams is what the program talks to.
type Streams struct {
	In          io.Reader
	Out, Err    io.Writer
	Environment func(name string) string
}

// Main runs the program and returns its exit code.
func Main(streams Streams, args []string) (code int) {
	defer func() {
		if cause := recover(); cause != nil {
			fmt.Fprintf(streams.Err, "evident: crashed: %v\n%s", cause, debug.Stack())
			fmt.Fprintln(streams.Err, "hint: this is a fault of evident; please report these lines")
			code = exitError
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	a := &app{streams: streams, out: &output{Streams: streams}}
	root := a.rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if a.cancel != nil {
		a.cancel()
	}
	var status *statusError
	if errors.As(err, &status) {
		return status.code
	}
	if err == nil {
		return exitDone
	}
	if a.json = a.json || wantsJSON(args); a.json {
		a.out.json = true
	}
	return a.out.fail(a.storeHint(err), a.verbose)
}

// wantsJSON finds --json by hand: flags before it may be the very thing that was wrong.
func wantsJSON(args []string) bool {
	for _, arg := range args {
		if arg == "--" {
			return false
		}
		if arg == "--json" || arg == "--json=true" {
			return true
		}
	}
	return false
}

// app is the state that all commands share: global flags and streams.
type app struct {
	streams Streams
	out     *output

	json    bool
	quiet   bool
	verbose bool
	color   string
	data    string // folder of the index, or the address of --store
	store   string
	timeout time.Duration
	cancel  context.CancelFunc
}

const rootLong = `evident answers questions about your documents with exact quotations: the words as
they stand in the file, where they stand, and how likely the answer is right. It finds pictures, and
shows where in them a text is seen. Nothing leaves this machine.`

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:               "evident",
		Short:             "Answer questions about documents with exact quotations",
		Long:              rootLong,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              cobra.ArbitraryArgs,
		PersistentPreRunE: a.prepare,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return a.welcome()
		},
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "print one JSON document on stdout")
	flags.StringVarP(&a.data, "data", "d", "", "data folder of the index (see help environment)")
	flags.StringVar(&a.store, "store", "", "collection on a cluster, instead of a data folder: weaviate://HOST,HOST,HOST/NAME")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "no progress, no hints")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "on errors, show every cause")
	flags.StringVar(&a.color, "color", "auto", "auto, always or never")
	flags.DurationVar(&a.timeout, "timeout", 0, "give up after this time, for example 30s")
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(a.help)
	root.SetOut(a.streams.Out)
	root.SetErr(a.streams.Err)
	root.AddCommand(
		a.askCommand(), a.indexCommand(), a.searchCommand(), a.showCommand(), a.explainCommand(), a.regionCommand(),
		a.evalCommand(), a.statusCommand(), a.snapshotCommand(), a.doctorCommand(), a.modelCommand(),
		a.serveCommand(), a.keyCommand(), a.mcpCommand(), a.manCommand(), a.versionCommand(),
	)
	root.AddCommand(topicCommands()...)
	root.SetHelpCommand(a.helpCommand())
	root.CompletionOptions.HiddenDefaultCmd = false
	return root
}

// prepare runs after flags are read and before any command.
func (a *app) prepare(cmd *cobra.Command, _ []string) error {
	a.out.json, a.out.quiet = a.json, a.quiet
	terminal := isTerminal(a.streams.Out)
	switch a.color {
	case "always":
		a.out.color = true
	case "never":
	case "auto":
		plain := a.streams.Environment("NO_COLOR") != "" || a.streams.Environment("TERM") == "dumb"
		a.out.color = terminal && !plain
	default:
		return usageError("--color is auto, always or never, not %q", a.color)
	}
	if err := a.useStore(); err != nil {
		return err
	}
	if a.timeout < 0 {
		return usageError("--timeout %v is negative", a.timeout)
	}
	if a.timeout > 0 {
		ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
		a.cancel = cancel
		cmd.SetContext(ctx)
	}
	return nil
}

const welcomeText = `evident answers questions about your documents with exact quotations.

Try:
  evident ask --in PATH "your question"   index what is new under PATH, then answer
  evident search --in PATH "some words"   the passages that match best
  evident explain photo.jpg "a dog"       where in a picture a text is seen
  evident help                            all commands and topics
`

func (a *app) welcome() error {
	_, err := io.WriteString(a.streams.Out, welcomeText)
	return err
}

// unknownCommand is the error for a first word that is no command.
func unknownCommand(cmd *cobra.Command, word string) error {
	hint := `run "evident help" for the commands`
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %q?", cmd.CommandPath()+" "+near[0])
	}
	return &hintError{usageError("unknown command %q", word), hint}
}

// flagError explains a flag that could not be read, and names the nearest one that exists.
func flagError(cmd *cobra.Command, err error) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "unknown flag: --"); ok {
		if near := nearestFlag(cmd, name); near != "" {
			return &hintError{usageError("%s", text), fmt.Sprintf("did you mean --%s?", near)}
		}
	}
	hint := fmt.Sprintf("run %q for the flags", cmd.CommandPath()+" --help")
	return &hintError{usageError("%s", text), hint}
}
