package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"evident"
	"evident/api"
	"evident/internal/filelock"
	"evident/internal/hub"
)

// The exit codes; "evident help exit-codes" prints them.
const (
	exitDone        = 0
	exitNothing     = 1
	exitError       = 2
	exitSkipped     = 3
	exitToken       = 4
	exitNoIndex     = 10
	exitLocked      = 11
	exitNoModel     = 12
	exitDamaged     = 13
	exitInterrupted = 130
)

// statusError ends the program with a code after the result was printed: nothing went wrong.
type statusError struct{ code int }

func (e *statusError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// hintError adds what the user can do about an error.
type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

// wrongUsage is an error in what was typed.
type wrongUsage struct{ text string }

func (e *wrongUsage) Error() string { return e.text }

func usageError(format string, args ...any) error {
	return &wrongUsage{fmt.Sprintf(format, args...)}
}

// outcome is how an error is shown: its exit code, its stable name in JSON, and a hint that names
// the next command.
type outcome struct {
	code int
	name string
	hint string
}

// known lists the errors that have a code of their own; the first match decides.
var known = []struct {
	sentinel error
	outcome
}{
	{context.Canceled, outcome{
		exitInterrupted, "interrupted",
		"what was stored is kept; run the same command again to go on",
	}},
	{context.DeadlineExceeded, outcome{
		exitError, "timeout",
		"raise --timeout, or run the same command again to go on",
	}},
	{evident.ErrNoIndex, outcome{
		exitNoIndex, "no-index",
		`run "evident index PATH" first, or ask with --in PATH`,
	}},
	{evident.ErrLocked, outcome{
		exitLocked, "locked",
		"another evident is indexing into this folder; wait for it, or use another --data",
	}},
	{evident.ErrModelMissing, outcome{
		exitNoModel, "no-model",
		`run "evident doctor" to see which models there are; name a folder with --model DIR`,
	}},
	{evident.ErrDamaged, outcome{
		exitDamaged, "damaged",
		`run "evident index --check" to see what is damaged, "--repair" to mend it; get a damaged model again`,
	}},
	{evident.ErrSnapshotExists, outcome{
		exitError, "exists", "nothing is overwritten; name another file or folder, or remove that one",
	}},
	{evident.ErrOtherModel, outcome{
		exitError, "other-model",
		`run "evident index PATH" again with the same --vision-model; the pictures are then seen anew`,
	}},
	{evident.ErrNoPhrases, outcome{
		exitNoIndex, "no-phrases",
		`run "evident index --phrases PATH" first, or ask with --in PATH`,
	}},
	{evident.ErrNoCaptions, outcome{
		exitError, "no-captions",
		"choose among your own: --captions FILE, one a line; or use the built-in model",
	}},
	{api.ErrKey, outcome{exitToken, "key-needed", "set the key that is asked for (see help environment)"}},
	{evident.ErrUnavailable, outcome{
		exitError, "store-unavailable", "see that most nodes of the cluster run, then run the same command again",
	}},
	{evident.ErrFolderOnly, outcome{
		exitError, "folder-only", "a cluster keeps copies and backups of its own; name a folder with --data",
	}},
	{evident.ErrEmptyIndex, outcome{
		exitError, "empty-index",
		`name a folder with documents; "evident help formats" lists what can be read`,
	}},
	{evident.ErrNoDocument, outcome{
		exitError, "no-document",
		`run "evident status" to see what is indexed`,
	}},
	{hub.ErrNoModel, outcome{
		exitNoModel, "no-model",
		`run "evident model list" to see what was fetched, "evident model pull NAME" to fetch`,
	}},
	{hub.ErrToken, outcome{
		exitToken, "token",
		"accept the model's terms on its page at the hub, then set HF_TOKEN to an access token; a name that does not exist also asks for one",
	}},
	{hub.ErrNotFound, outcome{
		exitError, "not-found", "check the spelling of ORG/NAME, and the revision",
	}},
	{hub.ErrWeights, outcome{
		exitError, "no-safetensors", "look for the same model with safetensors weights, or convert it",
	}},
	{hub.ErrOffline, outcome{exitError, "offline", "unset HF_HUB_OFFLINE to fetch models"}},
	{evident.ErrNotImage, outcome{
		exitError, "not-an-image",
		"pictures are JPEG, PNG, GIF, WebP, TIFF or BMP, told by their content; convert others first",
	}},
	{evident.ErrTruncated, outcome{exitError, "truncated", "the file is incomplete: get it again"}},
	{evident.ErrEmptyMask, outcome{
		exitError, "empty-mask",
		"coordinates are pixels of the upright picture, x to the right and y down, from its upper left corner",
	}},
	{syscall.ENOSPC, outcome{
		exitError, "disk-full",
		"the index is as the last commit left it; make room, then run the same command again",
	}},
	{syscall.EFBIG, outcome{
		exitError, "file-too-large",
		`the file system, or "ulimit -f", allows no larger files; the index is as the last commit left it`,
	}},
	{syscall.EROFS, outcome{
		exitError, "read-only", "nothing can be written there; name another folder, for an index with --data",
	}},
	{fs.ErrPermission, outcome{
		exitError, "permission", "let this user read and write there, or name another folder, for an index with --data",
	}},
	{fs.ErrNotExist, outcome{exitError, "not-found", "check the path"}},
}

// judge finds the outcome of an error.
func judge(err error) outcome {
	o := outcome{exitError, "error", ""}
	for _, k := range known {
		if errors.Is(err, k.sentinel) {
			o = k.outcome
			break
		}
	}
	var question *evident.QuestionError
	var usage *wrongUsage
	var held *filelock.HeldError
	var size *evident.PhotoSizeError
	var text *evident.TextError
	var mask *evident.MaskError
	var hinted *hintError
	if errors.As(err, &question) {
		o = outcome{
			exitError, "bad-question",
			`ask one sentence, for example: evident ask "Who designed the bridge?"`,
		}
	}
	if errors.As(err, &size) {
		o = outcome{exitError, "too-large", fmt.Sprintf("raise --max-pixels to %d", size.Width*size.Height)}
	}
	if errors.As(err, &text) {
		o = outcome{exitError, "bad-text", "say what to look for in a few words"}
		if len(text.Nearest) > 0 {
			o.hint = fmt.Sprintf("did you mean %q?", text.Nearest[0])
		}
	}
	if errors.As(err, &mask) && !errors.Is(err, evident.ErrEmptyMask) {
		o = outcome{exitError, "bad-mask", `"evident help masks" shows how masks are written`}
	}
	if errors.As(err, &held) {
		o = outcome{exitLocked, "locked", "another process is at it; wait for it"}
	}
	if errors.As(err, &usage) {
		o = outcome{exitError, "usage", `run "evident help" for the commands`}
	}
	if errors.As(err, &hinted) {
		o.hint = hinted.hint
	}
	return o
}

// fail shows an error and returns the exit code.
func (o *output) fail(err error, verbose bool) int {
	judged := judge(err)
	if o.json {
		document := map[string]any{"error": map[string]any{
			"code": judged.name, "message": err.Error(), "hint": judged.hint, "exit": judged.code,
		}}
		encoded, _ := json.Marshal(document)
		fmt.Fprintf(o.Err, "%s\n", encoded)
		return judged.code
	}
	fmt.Fprintf(o.Err, "evident: %v\n", err)
	if judged.hint != "" && !o.quiet {
		fmt.Fprintf(o.Err, "hint: %s\n", judged.hint)
	}
	if verbose {
		o.printCauses(err, 1)
	}
	return judged.code
}

// printCauses writes the chain of causes with their types.
func (o *output) printCauses(err error, depth int) {
	var causes []error
	switch e := err.(type) { //nolint:errorlint // the chain itself is walked here
	case interface{ Unwrap() error }:
		causes = []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		causes = e.Unwrap()
	}
	for _, cause := range causes {
		if cause != nil {
			fmt.Fprintf(o.Err, "%*scause: %v (%T)\n", 2*depth, "", cause, cause)
			o.printCauses(cause, depth+1)
		}
	}
}

// nearestFlag returns the flag of the command whose name is most like name, or "".
func nearestFlag(cmd *cobra.Command, name string) string {
	best, distance := "", 3
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := editDistance(name, f.Name); d < distance {
			best, distance = f.Name, d
		}
	})
	return best
}

// editDistance counts the bytes to insert, delete or replace to turn a into b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
