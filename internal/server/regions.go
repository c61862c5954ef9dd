package server

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"evident/api"
	"evident/internal/openapi"
	"evident/internal/web"
)

func regionRoutes() []route {
	problems := and(looking, "bad-mask", "empty-index", "other-model")
	return []route{
		{handle: (*Server).regions, Route: openapi.Route{
			Method: "POST", Path: apiPath + "/regions", Tag: "Regions", Access: openapi.Read,
			Summary: "What regions of a picture are: vectors, names that fit, pictures that show the same",
			Doc: "By MaskInversion, or where names are given by what names regions best with the model. With Accept: " +
				"text/event-stream, events: partial (RegionSteps) for each step of MaskInversion, then result or error (a problem).",
			Body: &api.RegionRequest{}, Upload: true, Results: orEvents(ofJSON(&api.RegionResult{}, tookHeader), &api.RegionSteps{}), Problems: problems,
			Example: map[string]any{
				"image": "3f1c0d7a9b2e4455", "labels": []string{"cat", "dog"},
				"masks": []any{map[string]any{"name": "left", "box": []int{10, 10, 120, 200}}},
			},
		}},
		{handle: (*Server).matchRegions, Route: openapi.Route{
			Method: "POST", Path: apiPath + "/regions/match", Tag: "Regions", Access: openapi.Read,
			Summary: "Which region of a picture each expression means",
			Body:    &api.RegionMatchRequest{}, Upload: true, Results: ofJSON(&api.RegionResult{}, tookHeader), Problems: problems,
			Example: map[string]any{
				"image": "3f1c0d7a9b2e4455", "expressions": []string{"the dog on the left"},
				"masks": []any{map[string]any{"box": []int{10, 10, 120, 200}}, map[string]any{"box": []int{150, 10, 300, 200}}},
			},
		}},
		{handle: (*Server).captionRegions, Route: openapi.Route{
			Method: "POST", Path: apiPath + "/regions/caption", Tag: "Regions", Access: openapi.Read,
			Summary: "What regions of a picture show, in words; without masks, what the whole picture does",
			Doc:     "Each caption comes with how surely the region shows it at all, and how well its own map fits the mask.",
			Body:    &api.RegionCaptionRequest{}, Upload: true, Results: ofJSON(&api.RegionResult{}, tookHeader),
			Problems: and(problems, "no-captions"),
			Example: map[string]any{
				"image": "3f1c0d7a9b2e4455", "masks": []any{map[string]any{"box": []int{10, 10, 120, 200}}},
			},
		}},
		{handle: (*Server).exportRegions, Route: openapi.Route{
			Method: "POST", Path: apiPath + "/regions/export", Tag: "Regions", Access: openapi.Read,
			Summary: "Vectors of regions as a file: safetensors in the form that image generators take, or NumPy's",
			Body:    &api.RegionExportRequest{}, Upload: true,
			Results:  []openapi.Result{{Status: 200, Media: "application/octet-stream", Headers: tookHeader}},
			Problems: and(problems, "other-encoder"),
			Example: map[string]any{
				"image": "3f1c0d7a9b2e4455", "file": "npy", "masks": []any{map[string]any{"box": []int{10, 10, 120, 200}}},
			},
		}},
		{handle: (*Server).regionHeat, Route: openapi.Route{
			Method: "GET", Path: apiPath + "/regions/{id}/maps/{n}/heat.png", Tag: "Regions", Access: openapi.Read,
			Summary: "Where a region's vector is seen, in grey", Paths: map[string]openapi.Param{"id": ofKept, "n": ofMap},
			Results: ofBytes("image/png"), Problems: []string{"not-found"},
		}},
	}
}

func (s *Server) regions(c *call) (*reply, error) {
	var r api.RegionRequest
	upload, err := c.decodeUpload(&r)
	if err != nil {
		return nil, err
	}
	if c.wantsEvents() {
		return partly(s, c, func(ctx context.Context, tell func(api.RegionSteps)) (*api.RegionResult, error) {
			return s.service.Regions(ctx, r, upload, tell)
		}), nil
	}
	found, err := s.service.Regions(c.Context(), r, upload, nil)
	if err != nil {
		return nil, err
	}
	return &reply{json: found, took: found.TookMS}, nil
}

func (s *Server) matchRegions(c *call) (*reply, error) {
	var r api.RegionMatchRequest
	upload, err := c.decodeUpload(&r)
	if err != nil {
		return nil, err
	}
	found, err := s.service.MatchRegions(c.Context(), r, upload)
	if err != nil {
		return nil, err
	}
	return &reply{json: found, took: found.TookMS}, nil
}

func (s *Server) captionRegions(c *call) (*reply, error) {
	var r api.RegionCaptionRequest
	upload, err := c.decodeUpload(&r)
	if err != nil {
		return nil, err
	}
	found, err := s.service.CaptionRegions(c.Context(), r, upload)
	if err != nil {
		return nil, err
	}
	return &reply{json: found, took: found.TookMS}, nil
}

func (s *Server) exportRegions(c *call) (*reply, error) {
	var r api.RegionExportRequest
	upload, err := c.decodeUpload(&r)
	if err != nil {
		return nil, err
	}
	file, took, err := s.service.ExportRegions(c.Context(), r, upload)
	if err != nil {
		return nil, err
	}
	name := "regions." + or(r.File, "safetensors")
	return &reply{
		media: "application/octet-stream", bytes: file, took: took,
		header: map[string]string{"Content-Disposition": `attachment; filename="` + name + `"`},
	}, nil
}

func (s *Server) regionHeat(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	heat, err := s.service.RegionHeat(c.PathValue("id"), c.number("n"))
	if err != nil {
		return nil, err
	}
	return ofContent("image/png", heat), nil
}

// regionPage shows a picture to paint on; without JavaScript a box is typed instead.
func (s *Server) regionPage(c *call) (*reply, error) {
	id := c.FormValue("image")
	in, err := s.in(c.FormValue("index"))
	if err != nil {
		return nil, err
	}
	if id == "" {
		tiles, next, err := s.pictures(c, in, "/region")
		if err != nil {
			return nil, err
		}
		return s.show(c, 0, "region", "Region", web.RegionPage{In: in, Tiles: tiles, Next: next})
	}
	d, _, err := s.service.Document(c.Context(), in.Name, id)
	if err != nil {
		return nil, err
	}
	if d.Image == nil {
		return nil, api.NewProblem("not-an-image", d.Source.Path+" is no picture")
	}
	body := web.RegionOf(in, d, c.FormValue("labels"), c.FormValue("box"))
	body.Forms = s.forms(c.Context(), in.Name)
	var status int
	if box, ok := web.ParseBox(body.Box); ok {
		err = s.findRegion(c.Context(), &body, []api.RegionMask{{Name: "box", Box: box}})
		if c.Context().Err() != nil {
			return nil, err
		}
		body.Problem, status = s.problemOf(err)
	}
	return s.show(c, status, "region", body.Name, body)
}

// findRegion fills a page with what is found of regions, and with what they show in words where the model can say.
func (s *Server) findRegion(ctx context.Context, body *web.RegionPage, masks []api.RegionMask) error {
	found, err := s.service.Regions(ctx, api.RegionRequest{
		Image: body.ID, Index: body.In.Name, Masks: masks, Labels: linesOf(body.Labels), Similar: similarShown,
	}, nil, nil)
	if err != nil {
		return err
	}
	body.Found(found)
	said, err := s.service.CaptionRegions(ctx, api.RegionCaptionRequest{
		Image: body.ID, Index: body.In.Name, Masks: masks, Count: captionsShown,
	}, nil)
	if errors.Is(err, api.ErrNoCaptions) {
		return nil
	}
	if err == nil {
		body.Said(said)
	}
	return err
}

// forms lists how image generators take vectors. A page without them is still one to paint on.
func (s *Server) forms(ctx context.Context, index string) []web.Form {
	forms, fits, err := s.service.Forms(ctx, index)
	if err != nil {
		return nil
	}
	var shown []web.Form
	for i, f := range forms {
		one := web.Form{Name: f.Name, For: f.For}
		if !fits[i] {
			one.Misfit = f.Encoder
		}
		shown = append(shown, one)
	}
	slices.SortStableFunc(shown, func(a, b web.Form) int { return cmp.Compare(min(1, len(a.Misfit)), min(1, len(b.Misfit))) })
	return shown
}

// similarShown is how many pictures that show the same a page lists.
const similarShown = 4

// captionsShown is how many captions of a region a page lists.
const captionsShown = 3
