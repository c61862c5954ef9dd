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
	for _, l := range s.listed {
		x, err := l.describe()
		if err != nil {
			return nil, err
		}
		list.Indexes = append(list.Indexes, *x)
	}
	return list, nil
}

// Index describes an index.
func (s *Service) Index(name string) (*api.Index, error) {
	l, err := s.index(name)
	if err != nil {
		return nil, err
	}
	return l.describe()
}

func (l *listing) describe() (*api.Index, error) {
	status, err := l.index.Status()
	if err != nil {
		return nil, problem(err)
	}
	generation, err := l.index.Generation()
	if err != nil {
		return nil, problem(err)
	}
	return &api.Index{
		Name: l.index.Name, Documents: status.Documents, Passages: status.Passages,
		Images: status.Images, Bytes: status.Bytes, Generation: generation,
		Roots: status.Roots, Skipped: status.Skipped,
	}, nil
}

// Refresh makes what other processes have indexed visible.
func (s *Service) Refresh() error {
	var all []error
	for _, l := range s.listed {
		_, err := l.index.Refresh()
		all = append(all, err)
	}
	return errors.Join(all...)
}

// Models lists the models that the default index is asked with.
func (s *Service) Models() *api.ModelList {
	list := &api.ModelList{Models: []api.Model{}}
	ready := s.ready.Load()
	for _, m := range s.listed[0].index.Models() {
		list.Models = append(list.Models, api.Model{
			Name: m.Name, Role: m.Role, Description: m.Description, Bytes: m.Bytes,
			Classes: m.Classes, Loaded: ready,
		})
	}
	return list
}

// VisionName is the name of the model that pictures and texts are compared with.
func (s *Service) VisionName(ctx context.Context) (string, error) {
	vision, err := s.listed[0].index.Vision(ctx)
	if err != nil {
		return "", problem(err)
	}
	return vision.Name(), nil
}

// Status says what the service holds, may do and is doing. Access is the caller's to fill in.
func (s *Service) Status() (*api.Status, error) {
	indexes, err := s.Indexes()
	if err != nil {
		return nil, err
	}
	missing, ready := s.Ready()
	return &api.Status{
		Version: s.o.Version, StartedAt: s.begun.UTC().Format(time.RFC3339),
		Ready: ready, Missing: missing, Access: "open",
		Indexes: indexes.Indexes, Models: s.Models().Models, Limits: s.Limits(), Load: s.LoadNow(),
	}, nil
}

// Counts returns the sum of documents and pictures in all indexes, for metrics.
func (s *Service) Counts() (documents, images int) {
	for _, l := range s.listed {
		if status, err := l.index.Status(); err == nil {
			documents += status.Documents
			images += status.Images
		}
	}
	return documents, images
}

// IndexName resolves the name of an index; "" is the first one.
func (s *Service) IndexName(name string) (string, error) {
	l, err := s.index(name)
	if err != nil {
		return "", err
	}
	return l.index.Name, nil
}
