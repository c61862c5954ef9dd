package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages, a file a command",
		Long: `Write the manual pages into a folder, a file a command: they say what "evident help" says.

For the shells, "evident completion bash|zsh|fish|powershell" prints what completes commands and flags.`,
		Example: `  evident man /usr/local/share/man/man1
  evident completion bash > /etc/bash_completion.d/evident`,
		Annotations: exitCodes("0 done · 2 error"),
		Args:        oneArgument("DIR", "evident man man1"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("write manual: %w", err)
			}
			pages := 0
			err := eachCommand(cmd.Root(), func(c *cobra.Command) error {
				pages++
				name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
				var page strings.Builder
				writeMan(&page, c)
				return os.WriteFile(filepath.Join(args[0], name), []byte(page.String()), 0o644)
			})
			if err != nil {
				return fmt.Errorf("write manual: %w", err)
			}
			if a.out.json {
				return a.out.printJSON(map[string]any{"folder": args[0], "pages": pages})
			}
			a.out.note("wrote %d pages into %s", pages, args[0])
			return nil
		},
	}
}

// eachCommand calls visit with a command and all below it that are shown.
func eachCommand(c *cobra.Command, visit func(*cobra.Command) error) error {
	if c.Hidden || c.Annotations[topicNote] != "" {
		return nil
	}
	if err := visit(c); err != nil {
		return err
	}
	for _, inner := range c.Commands() {
		if err := eachCommand(inner, visit); err != nil {
			return err
		}
	}
	return nil
}

// writeMan writes a command's page in the man macros.
func writeMan(w io.Writer, c *cobra.Command) {
	name := strings.ReplaceAll(c.CommandPath(), " ", "-")
	fmt.Fprintf(w, ".TH %s 1 \"\" \"evident\" \"evident\"\n", roffQuoted(strings.ToUpper(name)))
	fmt.Fprintf(w, ".SH NAME\n%s \\- %s\n", roff(name), roff(c.Short))
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	long := c.Long
	if long == "" {
		long = c.Short + "."
	}
	fmt.Fprintf(w, ".SH DESCRIPTION\n%s\n", roffText(long))
	if inner := c.Commands(); len(inner) > 0 {
		fmt.Fprint(w, ".SH COMMANDS\n")
		for _, i := range inner {
			if !i.Hidden {
				fmt.Fprintf(w, ".TP\n.B %s\n%s\n", roff(i.Name()), roff(i.Short))
			}
		}
	}
	writeManFlags(w, "OPTIONS", c.NonInheritedFlags())
	writeManFlags(w, "OPTIONS OF EVERY COMMAND", c.InheritedFlags())
	if codes := c.Annotations[exitCodesNote]; codes != "" {
		fmt.Fprintf(w, ".SH EXIT STATUS\n%s\n", roffText(codes))
	}
	if c.Example != "" {
		fmt.Fprintf(w, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(c.Example))
	}
	if !c.HasParent() {
		for _, topic := range topicCommands() {
			fmt.Fprintf(w, ".SH %s\n.nf\n%s\n.fi\n", strings.ToUpper(topic.Name()), roff(strings.TrimSpace(topic.Long)))
		}
	}
}

func writeManFlags(w io.Writer, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(w, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		names := "--" + f.Name
		if f.Shorthand != "" {
			names = "-" + f.Shorthand + ", " + names
		}
		if kind != "" {
			names += " " + kind
		}
		fmt.Fprintf(w, ".TP\n.B %s\n%s\n", roff(names), roff(usage))
	})
}

// roff writes a text so that no letter of it is an instruction.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// roffText writes paragraphs.
func roffText(text string) string {
	return strings.ReplaceAll(roff(strings.TrimSpace(text)), "\n\n", "\n.PP\n")
}

func roffQuoted(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }
