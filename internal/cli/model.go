package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"evident/internal/hub"
)

func (a *app) modelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Fetch models from a hub, list and remove them",
		Long: `Fetch models from a Hugging Face hub, list and remove them. The built-in models need none of this.

A fetched model is named wherever --model takes a folder: --model ORG/NAME.`,
		Example: `  evident model pull openai/clip-vit-base-patch32
  evident model list`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.modelPullCommand(), a.modelListCommand(), a.modelShowCommand(), a.modelRemoveCommand())
	return cmd
}

// modelInfo is a fetched model in JSON.
type modelInfo struct {
	Name    string          `json:"name"`
	Commit  string          `json:"commit"`
	License string          `json:"license,omitempty"`
	Folder  string          `json:"folder"`
	Bytes   int64           `json:"bytes"`
	Files   []hub.ModelFile `json:"files,omitempty"`
}

func infoOf(m *hub.Model) modelInfo {
	return modelInfo{m.Name.String(), m.Commit, m.License, m.Dir, m.Bytes, m.Files}
}

func (a *app) modelPullCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pull NAME",
		Short: "Fetch a model, or what is missing of it",
		Long: `Fetch a model from the hub, or what is missing of it. A fetch that broke off goes on where it
stopped; every file is checked against the hub's hash. Only safetensors weights are taken, never a
form that can run code.

NAME is ORG/NAME, or ORG/NAME@REVISION for a branch, a tag or a commit.`,
		Example: `  evident model pull openai/clip-vit-base-patch32
  HF_TOKEN=… evident model pull org/gated-model@v1.0`,
		Annotations: exitCodes("0 done · 2 error · 4 a token is needed · 11 being fetched by another process"),
		Args:        oneArgument("NAME", "evident model pull openai/clip-vit-base-patch32"),
		RunE:        func(cmd *cobra.Command, args []string) error { return a.runModelPull(cmd.Context(), args[0]) },
	}
}

func (a *app) runModelPull(ctx context.Context, text string) error {
	name, err := hub.ParseName(text)
	if err != nil {
		return usageError("%v", err)
	}
	h, err := a.hub()
	if err != nil {
		return err
	}
	bar := a.out.progress("MB")
	m, err := h.Pull(ctx, name, func(p hub.Progress) { bar.count(int(p.Done/1e6), int(p.Total/1e6)) })
	bar.done()
	if err != nil {
		return err
	}
	if a.out.json {
		return a.out.printJSON(infoOf(m))
	}
	fmt.Fprintf(a.out.Out, "%s  %.1f MB%s\n  %s\n", m.Name, float64(m.Bytes)/1e6, licence(m), m.Dir)
	return nil
}

func licence(m *hub.Model) string {
	if m.License == "" {
		return ""
	}
	return "  license " + oneLine(m.License)
}

func (a *app) modelListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the models that were fetched",
		Long: `List the models that were fetched, those of the Hugging Face tools included where the folder
is shared.`,
		Example:     `  evident model list --json | jq -r '.models[].name'`,
		Annotations: exitCodes("0 done · 2 error"),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			h, err := a.hub()
			if err != nil {
				return err
			}
			models, err := h.List()
			if err != nil {
				return err
			}
			if a.out.json {
				infos := []modelInfo{}
				for _, m := range models {
					info := infoOf(m)
					info.Files = nil
					infos = append(infos, info)
				}
				return a.out.printJSON(map[string]any{"folder": h.Folder, "models": infos})
			}
			for _, m := range models {
				fmt.Fprintf(a.out.Out, "%-48s %9.1f MB%s\n", m.Name, float64(m.Bytes)/1e6, licence(m))
			}
			if len(models) == 0 {
				a.out.note("no models in %s; the built-in ones need no fetching", h.Folder)
			}
			return nil
		},
	}
}

func (a *app) modelShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "show NAME",
		Short:       "Say what a fetched model consists of and where it lies",
		Example:     `  evident model show openai/clip-vit-base-patch32`,
		Annotations: exitCodes("0 done · 2 error · 12 not fetched"),
		Args:        oneArgument("NAME", "evident model show openai/clip-vit-base-patch32"),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := a.fetched(args[0])
			if err != nil {
				return err
			}
			if a.out.json {
				return a.out.printJSON(infoOf(m))
			}
			fmt.Fprintf(a.out.Out, "%s  %.1f MB%s\n  commit %s\n  %s\n", m.Name, float64(m.Bytes)/1e6, licence(m), m.Commit, m.Dir)
			for _, f := range m.Files {
				fmt.Fprintf(a.out.Out, "  %10.1f MB  %s\n", float64(f.Bytes)/1e6, oneLine(f.Path))
			}
			return nil
		},
	}
}

func (a *app) modelRemoveCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:         "rm NAME",
		Short:       "Remove a fetched model with all its revisions",
		Example:     `  evident model rm --yes openai/clip-vit-base-patch32`,
		Annotations: exitCodes("0 removed · 1 kept, as answered · 2 error · 11 being fetched · 12 not fetched"),
		Args:        oneArgument("NAME", "evident model rm openai/clip-vit-base-patch32"),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := a.fetched(args[0])
			if err != nil {
				return err
			}
			h, err := a.hub()
			if err != nil {
				return err
			}
			if !yes {
				size := float64(m.Bytes) / 1e6
				if err := a.confirm("remove %s, %.1f MB, from %s?", m.Name.Repository, size, h.Folder); err != nil {
					return err
				}
			}
			if err := h.Remove(m.Name.Repository); err != nil {
				return err
			}
			if a.out.json {
				return a.out.printJSON(map[string]any{"removed": m.Name.Repository})
			}
			a.out.note("removed %s", m.Name.Repository)
			return nil
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// confirm asks the user. Where nobody can answer it is an error that names --yes; "no" ends the
// program with exit code 1.
func (a *app) confirm(format string, args ...any) error {
	if !isTerminal(a.streams.In) || !isTerminal(a.streams.Err) {
		return &hintError{usageError("nobody to ask: "+format, args...), "say --yes"}
	}
	fmt.Fprintf(a.streams.Err, format+" [y/N] ", args...)
	line, err := bufio.NewReader(a.streams.In).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	if err != nil || answer != "y" && answer != "yes" {
		return &statusError{exitNothing}
	}
	return nil
}

// hub is the folder of fetched models, and where they come from: HF_HOME's own where that is set,
// so that both tools share what they fetch, else one in our cache.
func (a *app) hub() (*hub.Hub, error) {
	environment := a.streams.Environment
	h := &hub.Hub{
		Folder:   filepath.Join(a.home("cache"), "models"),
		Endpoint: environment("HF_ENDPOINT"),
		Token:    environment("HF_TOKEN"),
	}
	switch strings.ToUpper(environment("HF_HUB_OFFLINE")) {
	case "1", "TRUE", "YES", "ON":
		h.Offline = true
	}
	home := environment("HF_HOME")
	if home == "" {
		return h, nil
	}
	h.Folder = filepath.Join(home, "hub")
	if h.Token != "" {
		return h, nil
	}
	token, err := os.ReadFile(filepath.Join(home, "token")) // where the Hugging Face login leaves it
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("read token: %w", err)
	}
	h.Token = strings.TrimSpace(string(token))
	return h, nil
}

// fetched returns the fetched model of a name.
func (a *app) fetched(text string) (*hub.Model, error) {
	name, err := hub.ParseName(text)
	if err != nil {
		return nil, usageError("%v", err)
	}
	h, err := a.hub()
	if err != nil {
		return nil, err
	}
	return h.Find(name)
}
