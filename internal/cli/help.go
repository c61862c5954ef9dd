package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// exitCodesNote is the annotation that holds a command's exit codes for its help page.
const exitCodesNote = "exit-codes"

// exitCodes returns the annotation with a command's exit codes.
func exitCodes(text string) map[string]string { return map[string]string{exitCodesNote: text} }

// topicNote marks the pages that are no commands.
const topicNote = "topic"

// help writes a command's page: what it does, examples, flags, exit codes.
func (a *app) help(cmd *cobra.Command, _ []string) {
	out := a.streams.Out
	if cmd.Annotations[topicNote] != "" {
		fmt.Fprintln(out, strings.TrimSpace(cmd.Long))
		return
	}
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	fmt.Fprintln(out, strings.TrimSpace(long))
	if cmd.HasParent() {
		usage := cmd.UseLine()
		if !strings.HasSuffix(usage, "[flags]") {
			usage += " [flags]"
		}
		fmt.Fprintf(out, "\nUsage:\n  %s\n", usage)
	}
	if cmd.Example != "" {
		fmt.Fprintf(out, "\nExamples:\n%s\n", cmd.Example)
	}
	writeCommands(out, cmd)
	if flags := cmd.LocalNonPersistentFlags().FlagUsages(); flags != "" && cmd.HasParent() {
		fmt.Fprintf(out, "\nFlags:\n%s", flags)
	}
	everywhere := cmd.InheritedFlags()
	if !cmd.HasParent() {
		everywhere = cmd.PersistentFlags()
	}
	if flags := everywhere.FlagUsages(); flags != "" {
		fmt.Fprintf(out, "\nFlags of every command:\n%s", flags)
	}
	if codes := cmd.Annotations[exitCodesNote]; codes != "" {
		fmt.Fprintf(out, "\nExit codes: %s\n", codes)
	}
	if !cmd.HasParent() {
		fmt.Fprintf(out, "\nRun \"evident help WORD\" for the page of a command or topic.\n")
	}
}

// writeCommands lists the commands below cmd, topics apart.
func writeCommands(out io.Writer, cmd *cobra.Command) {
	var commands, topics []string
	for _, c := range cmd.Commands() {
		line := fmt.Sprintf("  %-12s %s", c.Name(), c.Short)
		switch {
		case c.Annotations[topicNote] != "":
			topics = append(topics, line)
		case !c.Hidden:
			commands = append(commands, line)
		}
	}
	if len(commands) > 0 {
		fmt.Fprintf(out, "\nCommands:\n%s\n", strings.Join(commands, "\n"))
	}
	if len(topics) > 0 {
		fmt.Fprintf(out, "\nTopics:\n%s\n", strings.Join(topics, "\n"))
	}
}

// helpCommand is "evident help WORD".
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [WORD]",
		Short: "Explain a command or a topic",
		Example: `  evident help ask
  evident help exit-codes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			page, rest, err := cmd.Root().Find(args)
			if err != nil || page == nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), strings.Join(args, " "))
			}
			a.help(page, nil)
			return nil
		},
	}
}

// topic is a help page that is no command.
type topic struct{ short, text string }

var topics = map[string]topic{
	"evidence": {"What a quotation points at", `
Evidence is a quotation and where it stands. Every command and the library use one shape:

  source.path     the document; source.sha256 is the hash of its stored text
  source.stale    the file changed since it was indexed; index again
  text.exact      the quotation
  text.prefix     what stands before it in its sentence; text.suffix what follows
  text.byte       [start, end) in bytes of the stored text
  text.rune       the same in Unicode code points
  text.page       page number from 1, where the format has pages
  text.heading    the nearest heading above

The stored text is what "evident show --text PATH" prints. For plain text and Markdown in UTF-8 it
is the file itself, byte for byte; for other formats it is the text taken out of them.

The score of an answer is the probability that it is right, calibrated on questions the model was
not trained on. "why" takes it apart: words shared with the passage, relevance, span.`},
	"formats": {"Which files can be read", `
  txt    plain text; UTF-8, UTF-16 and common older encodings are recognised
  md     Markdown
  html   web pages; text that is not shown is left out
  pdf    with page numbers; scanned pages without a text layer are skipped
  docx   Word documents
  epub   books, in reading order
  csv    a record a line, also separated by tabs or semicolons
  jsonl  a JSON record a line

Pictures: JPEG, PNG, GIF (the first frame), WebP, TIFF and BMP, upright by their EXIF.

A file is recognised by its content, not by its name. What cannot be read (encrypted, damaged,
larger than --max-file-size, not a document) is listed with the reason and skipped; the exit code
is then 3. Hidden files, and folders such as .git and node_modules, are left out unless named.`},
	"masks": {"How a part of a picture is told", `
A mask says for each pixel of a picture whether it is inside. --mask takes, any number of times:

  dog.png          black and white, 0 and 1, or transparent where it is outside; of any size
  objects.png#3    of a PNG with a palette the object with index 3; #all is each object
  masks.json       one region, a list, or {"masks": [...]}; also COCO's "annotations"
  '{"box": ...}'   the same, typed; - reads it from stdin

--box LEFT,TOP,RIGHT,BOTTOM is a rectangle. A region in JSON may have a "name", and has one of

  "rle": {"size": [height, width], "counts": ...}   COCO's run lengths, as a list or compressed
  "segmentation": ...                               COCO's run lengths or polygons
  "polygon": [x, y, x, y, ...]                      "polygons": several of them
  "box": [left, top, right, bottom]                 "bbox": [left, top, width, height]
  "circle": [x, y, radius]                          "points": [[x, y], ...], "radius": r

Coordinates are pixels of the upright picture, from its upper left corner. What lies outside is cut
off; a mask with nothing inside the picture is an error. A mask of the whole picture is allowed: its
vector is one whose map is as even as it gets. --masks-out writes masks as JSON or PNG.`},
	"environment": {"Variables and folders", `
  EVIDENT_DATA      index of commands without --data, --store and --in: a folder, or an address as
                    of --store
  EVIDENT_STORE_KEY API key of a cluster that asks for one
  EVIDENT_CACHE     folder for what can be made again, instead of the one below; "off" keeps no
                    packed weights and no compiled PDF engine
  EVIDENT_CPU       use a slower kind of arithmetic, for tests: avx512_bf16, avx512, avx2, generic
  NO_COLOR          no colour, whatever its value; TERM=dumb does the same and hides the bar
  XDG_DATA_HOME     indexes lie in evident/NAME below it; default ~/.local/share
  XDG_CACHE_HOME    what can be made again lies in evident below it; default ~/.cache
  HF_HOME           fetched models lie in hub below it, shared with the Hugging Face tools;
                    default $XDG_CACHE_HOME/evident/models
  HF_ENDPOINT       the hub that models come from; default https://huggingface.co
  HF_TOKEN          access token for models that ask for one; default: the file token in HF_HOME
  HF_HUB_OFFLINE    1: fetch nothing
  HTTPS_PROXY       proxy to the hub; SSL_CERT_FILE names certificates to trust

Without --data, "ask --in PATH" keeps its index in $XDG_DATA_HOME/evident/NAME-HASH, where NAME is
the last part of PATH and HASH stands for all of it; other commands use
$XDG_DATA_HOME/evident/default.
Weights in the form this processor multiplies are kept in packed below the cache folder, those of a
--model folder beside the model as evident-PRECISION.packed where it can be written to: a model then
loads several times faster. "evident doctor" tells whether they are used.
On macOS and Windows the platform's own folders are used. Uninstalling is deleting the program and
these folders.`},
	"exit-codes": {"What the exit codes mean", `
    0  done; for ask and search: something was found
    1  ran well, but nothing was found, or a --fail-under bar was missed
    2  wrong usage, or any other error
    3  done, but some files were skipped (they are listed)
    4  a token is needed (see help environment)
   10  no index in the data folder
   11  another process is writing to the index
   12  a model is missing
   13  a file of the index or of a model is damaged
  130  interrupted; what was stored is kept

More codes may come. With --json the last line on stderr is
{"error": {"code", "message", "hint", "exit"}}.`},
	"models": {"Where answers come from", `
Three models are built in; nothing is downloaded:

  mix-12x384   the joint reader: 12 layers, width 384
  mix-6x384    the reader of --fast: about half the time, somewhat less accurate
  vision-192   sees pictures and texts: explain, search --images

"evident doctor" lists them. --model DIR reads with another one: a folder with config.json,
model.safetensors, vocab.txt and reader.json, as training/mix writes it. "explain --model DIR" and
"index --vision-model DIR" see with another one: OpenCLIP's, CLIP and SigLIP of Hugging Face, or an
image classifier of timm. DIR may also be the name of a model that "evident model pull ORG/NAME"
fetched from a hub. Weights are read from safetensors only, never from a format that can run code.`},
}

func topicCommands() []*cobra.Command {
	var commands []*cobra.Command
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		t := topics[name]
		commands = append(commands, &cobra.Command{
			Use: name, Short: t.short, Long: t.text, Hidden: true,
			Annotations: map[string]string{topicNote: "yes"},
			Args:        cobra.NoArgs,
			Run:         func(cmd *cobra.Command, _ []string) { _ = cmd.Help() },
		})
	}
	return commands
}
