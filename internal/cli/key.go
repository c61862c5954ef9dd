package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"evident/internal/server"
)

func (a *app) keyCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make, list and remove the keys of a server",
		Long: `Make, list and remove the keys that "evident serve" asks for where others reach it.

A key is shown once, when it is made; the file keeps a hash of it. Read keys may ask, search, read and
look; admin keys may also index. Send one as "Authorization: Bearer KEY", or type it on the page.`,
		Example: `  evident key create --admin mine
  evident key list`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&file, "keys", "", "file of the keys (default: keys in the data folder)")
	path := func() string {
		if file != "" {
			return file
		}
		return a.keysFile()
	}
	cmd.AddCommand(a.keyCreateCommand(path), a.keyListCommand(path), a.keyRemoveCommand(path))
	return cmd
}

func (a *app) keyCreateCommand(path func() string) *cobra.Command {
	var admin bool
	cmd := &cobra.Command{
		Use:         "create NAME",
		Short:       "Make a key and show it, this once",
		Example:     `  evident key create --admin mine`,
		Annotations: exitCodes("0 done · 2 error"),
		Args:        oneArgument("NAME", "evident key create mine"),
		RunE: func(_ *cobra.Command, args []string) error {
			token, err := server.NewKey(path(), args[0], admin)
			if err != nil {
				return err
			}
			if a.out.json {
				return a.out.printJSON(map[string]any{"name": args[0], "admin": admin, "key": token})
			}
			fmt.Fprintln(a.out.Out, token)
			a.out.note("keep it: only a hash is in %s", path())
			return nil
		},
	}
	cmd.Flags().BoolVar(&admin, "admin", false, "the key may also index, make and delete")
	return cmd
}

func (a *app) keyListCommand(path func() string) *cobra.Command {
	return &cobra.Command{
		Use:         "list",
		Short:       "List the keys by name",
		Example:     `  evident key list --json`,
		Annotations: exitCodes("0 done · 2 error"),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			keys, err := server.ReadKeys(path())
			if err != nil {
				return &hintError{err, `run "evident key create NAME" first`}
			}
			list := []map[string]any{}
			for _, k := range keys.All() {
				list = append(list, map[string]any{"name": k.Name, "admin": k.Admin})
				if !a.out.json {
					role := "read"
					if k.Admin {
						role = "admin"
					}
					fmt.Fprintf(a.out.Out, "%-6s %s\n", role, k.Name)
				}
			}
			if a.out.json {
				return a.out.printJSON(map[string]any{"keys": list})
			}
			return nil
		},
	}
}

func (a *app) keyRemoveCommand(path func() string) *cobra.Command {
	return &cobra.Command{
		Use:         "rm NAME",
		Short:       "Remove a key; a server that runs must be started again",
		Example:     `  evident key rm mine`,
		Annotations: exitCodes("0 removed · 2 error"),
		Args:        oneArgument("NAME", "evident key rm mine"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := server.RemoveKey(path(), args[0]); err != nil {
				return err
			}
			if a.out.json {
				return a.out.printJSON(map[string]any{"removed": args[0]})
			}
			a.out.note("removed %s", args[0])
			return nil
		},
	}
}
