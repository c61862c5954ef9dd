package server

import (
	"net/http"
	"time"

	"evident/api"
	"evident/internal/openapi"
	"evident/internal/service"
)

// Parts of paths of what is made through the server.
var (
	ofSnapshot   = openapi.Param{Doc: "name of a snapshot", Pattern: service.SnapshotName}
	ofEvaluation = openapi.Param{Doc: "id of an evaluation", Pattern: "^[0-9a-f]{18}$"}
)

// inQueue is the result of what becomes a job.
func inQueue() []openapi.Result {
	return []openapi.Result{{Status: 202, Media: asJSON, Type: &api.Job{}, Headers: placeHeader, Doc: "it waits its turn"}}
}

// queueing are the problems of starting a job.
var queueing = []string{"overloaded", "not-ready", "conflict", "idempotency-mismatch"}

func snapshotRoutes() []route {
	inSnapshot := map[string]openapi.Param{"name": ofSnapshot}
	return []route{
		{handle: (*Server).snapshots, Route: openapi.Route{
			Method: "GET", Path: apiPath + "/snapshots", Tag: "Snapshots", Access: openapi.Read,
			Summary: "The snapshots that the server keeps", Results: ofJSON(&api.SnapshotList{}, nil),
		}},
		{handle: (*Server).startSnapshot, once: true, Route: openapi.Route{
			Method: "POST", Path: apiPath + "/snapshots", Tag: "Snapshots", Access: openapi.Admin,
			Summary: "Start a job that writes a checked copy of an index",
			Doc:     "The index may be asked and written to meanwhile.",
			Body:    &api.SnapshotRequest{}, Headers: onceHeader, Results: inQueue(),
			Problems: and(queueing, "no-index", "not-allowed"), Example: map[string]any{"index": "default"},
		}},
		{handle: (*Server).snapshot, stream: true, Route: openapi.Route{
			Method: "GET", Path: apiPath + "/snapshots/{name}", Tag: "Snapshots", Access: openapi.Admin,
			Summary: "The file of a snapshot: tar, with SHA256SUMS of what is in it",
			Doc:     `"evident snapshot restore FILE" makes an index of it. Ranges are answered, so that a download can go on.`,
			Paths:   inSnapshot, Problems: []string{"no-snapshot"},
			Results: []openapi.Result{
				{Status: 200, Media: "application/x-tar", Headers: etagHeader},
				{Status: 206, Media: "application/x-tar", Doc: "the range that was asked for"},
				{Status: 304, Doc: "it is as the ETag in If-None-Match says"},
				{Status: 416, Media: "text/plain", Doc: "the file has no such range"},
			},
		}},
		{handle: (*Server).removeSnapshot, Route: openapi.Route{
			Method: "DELETE", Path: apiPath + "/snapshots/{name}", Tag: "Snapshots", Access: openapi.Admin,
			Summary: "Delete a snapshot", Paths: inSnapshot, Results: ofJSON(&api.Snapshot{}, nil), Problems: []string{"no-snapshot"},
		}},
	}
}

func (s *Server) snapshots(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	return answered(s.service.Snapshots())
}

// answered is a reply of JSON.
func answered[T any](value *T, err error) (*reply, error) {
	if err != nil {
		return nil, err
	}
	return &reply{json: value}, nil
}

// queued is a reply that names the job that was started.
func queued(job *api.Job, err error) (*reply, error) {
	if err != nil {
		return nil, err
	}
	return &reply{
		status: http.StatusAccepted, json: job,
		header: map[string]string{"Location": apiPath + "/jobs/" + job.ID},
	}, nil
}

func (s *Server) startSnapshot(c *call) (*reply, error) {
	var r api.SnapshotRequest
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	return queued(s.service.StartSnapshot(r))
}

// snapshot sends the file itself, at the pace of whoever fetches it.
func (s *Server) snapshot(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	known, err := s.service.Snapshot(c.PathValue("name"))
	if err != nil {
		return nil, err
	}
	file, err := s.service.OpenSnapshot(known.Name)
	if err != nil {
		return nil, err
	}
	modified, err := time.Parse(time.RFC3339, known.Created)
	if err != nil {
		file.Close()
		return nil, err
	}
	return &reply{stream: func(w http.ResponseWriter) error {
		defer file.Close()
		unlimited(http.NewResponseController(w))
		h := w.Header()
		h.Set("Content-Type", "application/x-tar")
		h.Set("Content-Disposition", `attachment; filename="`+known.Name+`"`)
		h.Set("Cache-Control", "private, no-cache")
		h.Set("ETag", `"`+known.Name+`"`) // a snapshot never changes
		http.ServeContent(w, c.Request, "", modified, file)
		return nil
	}}, nil
}

func (s *Server) removeSnapshot(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	return answered(s.service.RemoveSnapshot(c.PathValue("name")))
}

func indexRoutes() []route {
	return []route{
		{handle: (*Server).makeIndex, once: true, stream: true, Route: openapi.Route{
			Method: "POST", Path: apiPath + "/indexes", Tag: "Documents", Access: openapi.Admin,
			Summary: "Make an index: an empty one, or that of a snapshot",
			Doc:     "It is kept by the server, and served again after a restart. What a snapshot holds is compared with its checksums first.",
			Body:    &api.IndexRequest{}, Headers: onceHeader,
			Results: []openapi.Result{{Status: 201, Media: asJSON, Type: &api.Index{}, Headers: placeHeader}},
			Problems: []string{
				"bad-name", "conflict", "no-snapshot", "not-allowed", "damaged", "idempotency-mismatch",
			},
			Example: map[string]any{"name": "papers"},
		}},
		{handle: (*Server).removeIndex, Route: openapi.Route{
			Method: "DELETE", Path: apiPath + "/indexes/{index}", Tag: "Documents", Access: openapi.Admin,
			Summary: "Delete an index that was made through the server, once nobody asks it any more",
			Paths:   map[string]openapi.Param{"index": ofIndex}, Results: ofJSON(&api.Index{}, nil),
			Problems: []string{"no-index", "conflict", "damaged"},
		}},
	}
}

func (s *Server) makeIndex(c *call) (*reply, error) {
	var r api.IndexRequest
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	made, err := s.service.MakeIndex(c.Context(), r)
	if err != nil {
		return nil, err
	}
	return &reply{
		status: http.StatusCreated, json: made,
		header: map[string]string{"Location": apiPath + "/indexes/" + made.Name},
	}, nil
}

func (s *Server) removeIndex(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	return answered(s.service.RemoveIndex(c.Context(), c.PathValue("index")))
}

func modelRoutes() []route {
	return []route{
		{handle: (*Server).models, Route: openapi.Route{
			Method: "GET", Path: apiPath + "/models", Tag: "Models", Access: openapi.Read,
			Summary: "The models that answer and see, and those that were fetched", Results: ofJSON(&api.ModelList{}, nil),
		}},
		{handle: (*Server).startPull, once: true, Route: openapi.Route{
			Method: "POST", Path: apiPath + "/models", Tag: "Models", Access: openapi.Admin,
			Summary: "Start a job that fetches a model from the hub, or what is missing of it",
			Doc:     "The one request that leaves the machine: a server does it only when started with --allow-pull.",
			Body:    &api.ModelRequest{}, Headers: onceHeader, Results: inQueue(),
			Problems: and(queueing, "bad-name", "not-allowed"), Example: map[string]any{"name": "openai/clip-vit-base-patch32"},
		}},
		{handle: (*Server).removeModel, Route: openapi.Route{
			Method: "DELETE", Path: apiPath + "/models", Tag: "Models", Access: openapi.Admin,
			Summary: "Delete a fetched model with all its revisions", Query: &api.ModelQuery{},
			Results: ofJSON(&api.FetchedModel{}, nil), Problems: []string{"bad-name", "no-model", "conflict", "locked"},
		}},
	}
}

func (s *Server) models(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	return answered(s.service.Models())
}

func (s *Server) startPull(c *call) (*reply, error) {
	var r api.ModelRequest
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	return queued(s.service.StartPull(r))
}

func (s *Server) removeModel(c *call) (*reply, error) {
	var q api.ModelQuery
	if err := c.query(&q); err != nil {
		return nil, err
	}
	return answered(s.service.RemoveModel(q))
}

func evaluationRoutes() []route {
	path := apiPath + "/evaluations"
	inEvaluation := map[string]openapi.Param{"id": ofEvaluation}
	return []route{
		{handle: (*Server).evaluations, Route: openapi.Route{
			Method: "GET", Path: path, Tag: "Evaluations", Access: openapi.Read,
			Summary: "The sets that can be measured on, and what was measured", Results: ofJSON(&api.EvaluationList{}, nil),
		}},
		{handle: (*Server).startEvaluation, once: true, Route: openapi.Route{
			Method: "POST", Path: path, Tag: "Evaluations", Access: openapi.Admin,
			Summary: "Start a job that measures answers or maps on a set",
			Doc:     "Sets are named when the server is started, with --evaluate. Whoever asks meanwhile waits for one item at most.",
			Body:    &api.EvaluationRequest{}, Headers: onceHeader, Results: inQueue(),
			Problems: and(queueing, "no-index", "no-set", "ambiguous"), Example: map[string]any{"task": "ask", "set": "questions", "limit": 100},
		}},
		{handle: (*Server).evaluation, Route: openapi.Route{
			Method: "GET", Path: path + "/{id}", Tag: "Evaluations", Access: openapi.Read,
			Summary: "What was measured", Paths: inEvaluation,
			Results: ofJSON(&api.Evaluation{}, nil), Problems: []string{"not-found"},
		}},
		{handle: (*Server).evaluationItems, Route: openapi.Route{
			Method: "GET", Path: path + "/{id}/items", Tag: "Evaluations", Access: openapi.Read,
			Summary: "The questions of an evaluation and how each was judged", Paths: inEvaluation,
			Query: &api.EvaluationItemQuery{}, Results: ofJSON(&api.EvaluationItemList{}, nil), Problems: []string{"not-found", "bad-cursor"},
		}},
		{handle: (*Server).compareEvaluations, Route: openapi.Route{
			Method: "GET", Path: path + "/{id}/comparison", Tag: "Evaluations", Access: openapi.Read,
			Summary: "How an evaluation differs from another: questions first, then figures with intervals",
			Paths:   inEvaluation, Query: &api.EvaluationComparisonQuery{},
			Results: ofJSON(&api.EvaluationComparison{}, nil), Problems: []string{"not-found", "conflict"},
		}},
		{handle: (*Server).removeEvaluation, Route: openapi.Route{
			Method: "DELETE", Path: path + "/{id}", Tag: "Evaluations", Access: openapi.Admin,
			Summary: "Forget what was measured", Paths: inEvaluation,
			Results: ofJSON(&api.Evaluation{}, nil), Problems: []string{"not-found"},
		}},
	}
}

func (s *Server) evaluations(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	return &reply{json: s.service.Evaluations()}, nil
}

func (s *Server) startEvaluation(c *call) (*reply, error) {
	var r api.EvaluationRequest
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	return queued(s.service.StartEvaluation(r))
}

func (s *Server) evaluation(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	return answered(s.service.Evaluation(c.PathValue("id")))
}

func (s *Server) evaluationItems(c *call) (*reply, error) {
	var q api.EvaluationItemQuery
	if err := c.query(&q); err != nil {
		return nil, err
	}
	return answered(s.service.EvaluationItems(c.PathValue("id"), q))
}

func (s *Server) compareEvaluations(c *call) (*reply, error) {
	var q api.EvaluationComparisonQuery
	if err := c.query(&q); err != nil {
		return nil, err
	}
	return answered(s.service.CompareEvaluations(c.PathValue("id"), q.With))
}

func (s *Server) removeEvaluation(c *call) (*reply, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	return answered(s.service.RemoveEvaluation(c.PathValue("id")))
}
