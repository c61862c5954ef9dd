package service

import (
	"context"
	"errors"
	"time"

	"evident/api"
)

// Indexes describes all indexes.
func (s *Service) Indexes() (*api.IndexList, error) {
	list := &api.IndexList{Indexes: []api.Index{}}
	for _, l := range s.all() {
		if !l.enter() {
			continue
		}
		x, err := l.describe()
		l.leave()
		if err != nil {
			return nil, err
		}
		list.Indexes = append(list.Indexes, *x)
	}
	return list, nil
}

// Index describes an index.
func (s *Service) Index(name string) (*api.Index, error) {
	l, err := s.use(name)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	return l.describe()
}

func (l *listing) describe() (*api.Index, error) {
	status, err := l.index.Status()
	if err != nil {
		return nil, l.names.problem(err)
	}
	generation, err := l.index.Generation()
	if err != nil {
		return nil, l.names.problem(err)
	}
	return &api.Index{
		Name: l.index.Name, Documents: status.Documents, Passages: status.Passages,
		Images: status.Images, Bytes: status.Bytes, Generation: generation,
		Roots: status.Roots, Skipped: status.Skipped, Phrases: status.Phrases,
	}, nil
}

// Refresh makes what other processes have indexed visible, and loads what asking it needs, such as the model of
// phrases that were made meanwhile.
func (s *Service) Refresh(ctx context.Context) error {
	var all []error
	for _, l := range s.all() {
		if l.enter() {
			_, err := l.index.Refresh()
			all = append(all, err)
			l.leave()
		}
	}
	if s.ready.Load() {
		all = append(all, s.preload(ctx))
	}
	return errors.Join(all...)
}

// Models lists the models that the default index is asked with, and those that were fetched.
func (s *Service) Models() (*api.ModelList, error) {
	list := &api.ModelList{Models: []api.Model{}, Fetched: []api.FetchedModel{}}
	for _, m := range s.all()[0].index.Models() {
		list.Models = append(list.Models, api.Model{
			Name: m.Name, Role: m.Role, Description: m.Description, Bytes: m.Bytes,
			Classes: m.Classes, Loaded: m.Loaded,
		})
	}
	if s.o.Hub == nil {
		return list, nil
	}
	fetched, err := s.o.Hub.List()
	for _, m := range fetched {
		list.Fetched = append(list.Fetched, fetchedOf(m))
	}
	return list, err
}

// VisionName is the name of the model that pictures and texts are compared with.
func (s *Service) VisionName(ctx context.Context) (string, error) {
	vision, err := s.all()[0].index.Vision(ctx)
	if err != nil {
		return "", s.names.problem(err)
	}
	return vision.Name(), nil
}

// Status says what the service holds, may do and is doing. Access is the caller's to fill in.
func (s *Service) Status() (*api.Status, error) {
	indexes, err := s.Indexes()
	if err != nil {
		return nil, err
	}
	models, err := s.Models()
	if err != nil {
		return nil, err
	}
	missing, ready := s.Ready()
	return &api.Status{
		Version: s.o.Version, StartedAt: s.begun.UTC().Format(time.RFC3339),
		Ready: ready, Missing: missing, Access: "open",
		Indexes: indexes.Indexes, Models: models.Models, Limits: s.Limits(), Load: s.LoadNow(), LeftOut: s.LeftOut(),
	}, nil
}

// Counts returns the sum of documents and pictures in all indexes, for metrics.
func (s *Service) Counts() (documents, images int) {
	for _, l := range s.all() {
		if !l.enter() {
			continue
		}
		if status, err := l.index.Status(); err == nil {
			documents += status.Documents
			images += status.Images
		}
		l.leave()
	}
	return documents, images
}

// IndexNames lists the indexes; the first is the default.
func (s *Service) IndexNames() []string {
	var names []string
	for _, l := range s.all() {
		names = append(names, l.index.Name)
	}
	return names
}

// IndexName resolves the name of an index; "" is the first one.
func (s *Service) IndexName(name string) (string, error) {
	l, err := s.index(name)
	if err != nil {
		return "", err
	}
	return l.index.Name, nil
}
