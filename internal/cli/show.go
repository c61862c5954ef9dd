package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"evident"
)

// showOptions are the flags of show.
type showOptions struct {
	source
	path string
	text bool
}

func (a *app) showCommand() *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show PATH",
		Short: "Show a document as it is stored",
		Long: `Show a document as it is stored. PATH may be an ending that only one document has.

Without --in and --data, the index is the one that "ask --in" made of the document or of a folder
above it, else the default one.

With --text the stored text is printed as it is: the bytes that the offsets of evidence count in.`,
		Example: `  evident show reports/valley.pdf
  evident show --text valley.pdf | tail -c +10232 | head -c 11`,
		Annotations: exitCodes("0 done · 2 error · 10 no index"),
		Args:        oneArgument("PATH", "evident show reports/valley.pdf"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.path = args[0]
			return a.runShow(cmd.Context(), o)
		},
	}
	o.addFlags(cmd, false)
	cmd.Flags().BoolVar(&o.text, "text", false, "print the stored text, byte for byte")
	return cmd
}

func (a *app) runShow(ctx context.Context, o showOptions) error {
	index, err := a.openFor(ctx, &o)
	if err != nil {
		return err
	}
	defer index.Close()
	d, err := index.Show(ctx, o.path)
	if err != nil {
		return err
	}
	switch {
	case o.text:
		_, err = io.WriteString(a.out.Out, d.Text)
	case a.out.json:
		err = a.out.printJSON(d)
	default:
		a.printDocument(d)
	}
	return err
}

// openFor opens the index of --in or --data. Without them it is the one that "ask --in" made of the
// document or of a folder above it, the nearest first, so that what an answer points at can be shown.
func (a *app) openFor(ctx context.Context, o *showOptions) (*evident.Index, error) {
	full, err := filepath.Abs(o.path)
	if err != nil {
		return nil, err
	}
	named := o.in != "" || a.data != "" || a.streams.Environment("EVIDENT_DATA") != ""
	for at, above := full, ""; !named && at != above; at = filepath.Dir(at) {
		above = at
		dir, err := a.folderOf(at)
		if err != nil {
			return nil, err
		}
		index, err := evident.Open(ctx, dir, evident.Options{})
		if err != nil {
			continue
		}
		if _, err := index.Show(ctx, full); err == nil {
			return index, nil
		}
		index.Close()
	}
	return a.open(ctx, &o.source)
}

func (a *app) printDocument(d *evident.Document) {
	out := a.out.Out
	fmt.Fprintln(out, a.out.bold(oneLine(d.Source.Path)))
	if d.Source.Title != "" {
		fmt.Fprintf(out, "  title     %s\n", oneLine(d.Source.Title))
	}
	fmt.Fprintf(out, "  format    %s\n", d.Format)
	if d.Image != nil {
		fmt.Fprintf(out, "  picture   %d × %d\n", d.Image.Width, d.Image.Height)
	} else {
		fmt.Fprintf(out, "  text      %d bytes, sha256 %s\n", d.Bytes, d.Source.SHA256)
	}
	if d.Pages > 0 {
		fmt.Fprintf(out, "  pages     %d\n", d.Pages)
	}
	if d.Image == nil {
		fmt.Fprintf(out, "  passages  %d\n", d.Passages)
	}
	if d.Source.Stale {
		fmt.Fprintln(out, "  changed since it was indexed")
	}
	for _, h := range d.Headings {
		fmt.Fprintf(out, "  %8d  %*s%s\n", h.Byte, 2*max(h.Level-1, 0), "", oneLine(h.Text))
	}
}
