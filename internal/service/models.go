package service

import (
	"context"
	"errors"
	"slices"

	"evident/api"
	"evident/internal/hub"
)

func fetchedOf(m *hub.Model) api.FetchedModel {
	return api.FetchedModel{Name: m.Name.String(), Commit: m.Commit, License: m.License, Bytes: m.Bytes}
}

// StartPull starts a job that fetches a model, or what is missing of it.
func (s *Service) StartPull(r api.ModelRequest) (*api.Job, error) {
	name, err := hub.ParseName(r.Name)
	if err != nil {
		return nil, api.NewProblem("bad-name", err.Error())
	}
	switch {
	case !s.o.Pull || s.o.Hub == nil:
		return nil, api.NewProblem("not-allowed",
			"models are fetched in a terminal, evident model pull "+name.String()+", or by a server started with --allow-pull")
	case s.o.Hub.Offline:
		return nil, api.NewProblem("not-allowed", "fetching is switched off: the server was started with HF_HUB_OFFLINE")
	}
	return s.start(api.Job{Kind: "model", Subject: name.String()}, func(ctx context.Context, k *job) error {
		fetched, err := s.o.Hub.Pull(ctx, name, func(p hub.Progress) {
			k.progress(int(p.Done/1e6), int(p.Total/1e6), 0, 0)
		})
		if err != nil {
			return s.names.hubProblem(err)
		}
		k.update(func(w *api.Job) { m := fetchedOf(fetched); w.Model = &m })
		return nil
	})
}

// hubProblem names what went wrong with a hub. What is not known is the line's, or the hub's fault.
func (n *names) hubProblem(err error) error {
	for code, sentinel := range map[string]error{
		"no-model": hub.ErrNotFound, "hub-token": hub.ErrToken, "bad-model": hub.ErrWeights,
	} {
		if errors.Is(err, sentinel) {
			return n.coded(code, err.Error(), err)
		}
	}
	if code := codeOf(err); code != "internal" {
		return n.problem(err)
	}
	return n.coded("hub-failed", err.Error(), err)
}

// RemoveModel deletes a fetched model with all its revisions, and says what it was.
func (s *Service) RemoveModel(r api.ModelQuery) (*api.FetchedModel, error) {
	name, err := hub.ParseName(r.Name)
	if err != nil {
		return nil, api.NewProblem("bad-name", err.Error())
	}
	missing := api.NewProblem("no-model", "no model "+quoted(r.Name)+" was fetched")
	if s.o.Hub == nil {
		return nil, missing
	}
	all, err := s.o.Hub.List()
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(all, func(m *hub.Model) bool { return m.Name.Repository == name.Repository })
	if at < 0 {
		return nil, missing
	}
	for _, used := range s.o.Used {
		if u, err := hub.ParseName(used); err == nil && u.Repository == name.Repository {
			return nil, api.NewProblem("conflict", "the server answers with "+used)
		}
	}
	if err := s.o.Hub.Remove(name.Repository); err != nil {
		return nil, s.names.problem(err)
	}
	gone := fetchedOf(all[at])
	return &gone, nil
}
