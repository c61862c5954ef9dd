package server

import (
	"net/http"
	"runtime"

	"evident/api"
	"evident/internal/openapi"
)

func (s *Server) status(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	status, err := s.service.Status()
	if err != nil {
		return nil, err
	}
	if s.o.Keys != nil {
		status.Access = "keys"
	}
	return &reply{json: status}, nil
}

func (s *Server) livez(*call) (*reply, error) {
	return &reply{json: api.Health{Status: "ok"}}, nil
}

func (s *Server) readyz(*call) (*reply, error) {
	if missing, ready := s.service.Ready(); !ready {
		return &reply{
			status: http.StatusServiceUnavailable, json: api.Health{Status: "unavailable", Missing: missing},
			header: map[string]string{"Retry-After": "2"},
		}, nil
	}
	return &reply{json: api.Health{Status: "ok", LeftOut: len(s.service.LeftOut())}}, nil
}

func (s *Server) version(*call) (*reply, error) {
	return &reply{json: api.Build{
		Version: s.o.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
	}}, nil
}

func (s *Server) metrics(*call) (*reply, error) {
	documents, images := s.service.Counts()
	text, err := s.o.Metrics.write(s.service.LoadNow(), documents, images)
	if err != nil {
		return nil, err
	}
	return &reply{media: "text/plain; version=0.0.4; charset=utf-8", bytes: text}, nil
}

func (s *Server) openAPI(*call) (*reply, error) {
	return &reply{media: asJSON, bytes: s.described}, nil
}

func (s *Server) openAPIYAML(*call) (*reply, error) {
	return &reply{media: "application/yaml", bytes: s.asYAML}, nil
}

const description = `Questions about documents are answered with exact quotations; pictures are found, and it is shown
where in them a text is seen. Nothing leaves the machine.

Offsets count bytes of the stored text. Errors are application/problem+json with a stable code; the type
is a page of this server. Fields of answers are only added.`

// describe writes the descriptions.
func (s *Server) describe() (err error) {
	described := []openapi.Route{}
	for _, r := range routes {
		if r.Tag != pagesTag {
			described = append(described, r.Route)
		}
	}
	document := openapi.Document(openapi.Info{
		Title: "evident", Version: api.Version, Description: description,
	}, described)
	if s.described, err = encode(document); err != nil {
		return err
	}
	s.asYAML, err = openapi.YAML(s.described)
	return err
}
