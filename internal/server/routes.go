package server

import (
	"maps"
	"strings"

	"evident/api"
	"evident/internal/openapi"
)

// route is a route and what answers it.
type route struct {
	openapi.Route
	handle func(*Server, *call) (*reply, error)
	stream bool // it may answer for as long as it likes
	once   bool // it takes an idempotency key
}

// muxPath is the path as the mux takes it: "/" means that path alone.
func (r *route) muxPath() string {
	if strings.HasSuffix(r.Path, "/") {
		return r.Path + "{$}"
	}
	return r.Path
}

// Parts of paths.
var (
	ofIndex    = openapi.Param{Doc: "name of an index"}
	ofDocument = openapi.Param{Doc: "id of a document", Pattern: "^[0-9a-f]{16}$"}
	ofPage     = openapi.Param{Doc: "page, from 1", Integer: true}
	ofMap      = openapi.Param{Doc: "number of the map, from 0", Integer: true}
	ofKept     = openapi.Param{Doc: "id of an explanation", Pattern: "^[0-9a-f]{18}$"}
	ofJob      = openapi.Param{Doc: "id of a job", Pattern: "^[0-9a-f]{18}$"}
)

const (
	asJSON   = "application/json"
	apiPath  = "/api/" + api.Version
	docPath  = apiPath + "/indexes/{index}/documents/{id}"
	keptPath = apiPath + "/explanations/{id}"
)

// Headers that some routes take and give.
var (
	onceHeader  = map[string]string{idempotencyKey: "a name for this request: repeated with it, the request is not done twice"}
	tookHeader  = map[string]string{"Server-Timing": "milliseconds by stage"}
	etagHeader  = map[string]string{"ETag": "changes with the content; send it back as If-None-Match"}
	placeHeader = map[string]string{"Location": "path of what was made"}
)

// ofJSON is a result in JSON.
func ofJSON(value any, headers map[string]string) []openapi.Result {
	return []openapi.Result{{Status: 200, Media: asJSON, Type: value, Headers: headers}}
}

// orEvents adds that the result may come as events, some of which carry a partial result.
func orEvents(results []openapi.Result, partial any) []openapi.Result {
	return append(results, openapi.Result{Status: 200, Media: asEvents, Partial: partial})
}

// What the answers of two operations are good for.
var (
	explanationLinks = links(map[string]string{"id": "$response.body#/id"}, map[string]string{"n": "0"},
		"getExplanationsById", "getExplanationsByIdOverlayPng", "getExplanationsByIdPicture",
		"getExplanationsByIdMapsByNHeatPng", "getExplanationsByIdMapsByNRawNpy")
	documentLinks = links(
		map[string]string{"index": "$request.path.index", "id": "$response.body#/documents/0/id"}, map[string]string{"page": "1"},
		"getIndexesByIndexDocumentsById", "getIndexesByIndexDocumentsByIdText", "getIndexesByIndexDocumentsByIdEvidence",
		"getIndexesByIndexDocumentsByIdImage", "getIndexesByIndexDocumentsByIdPagesByPageMarks",
		"getIndexesByIndexDocumentsByIdPagesByPageImagePng")
)

// links lead to operations with the same parameters; the extra ones only where the operation has them.
func links(parameters, extra map[string]string, operations ...string) map[string]openapi.Link {
	out := map[string]openapi.Link{}
	for _, op := range operations {
		l := openapi.Link{Operation: op, Parameters: maps.Clone(parameters)}
		for name, value := range extra {
			if strings.Contains(op, "By"+strings.ToUpper(name[:1])+name[1:]) {
				l.Parameters[name] = value
			}
		}
		out[op] = l
	}
	return out
}

// ofBytes is a result that is no JSON and has an ETag.
func ofBytes(media string) []openapi.Result {
	return []openapi.Result{
		{Status: 200, Media: media, Headers: etagHeader},
		{Status: 304, Doc: "it is as the ETag in If-None-Match says"},
	}
}

// Problems of computations, of what asks an index, and of pictures.
var (
	computing = []string{"overloaded", "not-ready"}
	asking    = append([]string{"no-index", "empty-index", "damaged", "no-model"}, computing...)
	engines   = []string{"bad-question", "no-phrases", "other-model"}
	looking   = append([]string{
		"no-index", "no-document", "not-an-image", "image-too-large", "bad-text", "ambiguous", "damaged", "no-model",
	}, computing...)
	reading = []string{"no-index", "no-document", "damaged"}
)

func and(codes []string, more ...string) []string {
	return append(append([]string{}, codes...), more...)
}

// routes is all there is. It is filled in a function because describing a route needs the others.
var routes = append(apiRoutes(), append(openAIRoutes(), append(operationRoutes(), pageRoutes()...)...)...)

func apiRoutes() []route {
	var all []route
	for _, part := range [][]route{
		askRoutes(), imageRoutes(), regionRoutes(), documentRoutes(), indexRoutes(), jobRoutes(), modelRoutes(), snapshotRoutes(),
		evaluationRoutes(),
	} {
		all = append(all, part...)
	}
	return all
}

func askRoutes() []route {
	return []route{
		{handle: (*Server).askQuery, Route: openapi.Route{
			Method: "GET", Path: apiPath + "/ask", Tag: "Ask", Access: openapi.Read,
			Summary: "Answer a question; as a link that can be shared",
			Query:   &api.AskRequest{}, Results: orEvents(ofJSON(&api.Answer{}, tookHeader), &api.Answer{}), Problems: and(asking, engines...),
		}},
		{handle: (*Server).askBody, Route: openapi.Route{
			Method: "POST", Path: apiPath + "/ask", Tag: "Ask", Access: openapi.Read,
			Summary: "Answer a question with exact quotations",
			Doc: "Abstaining is an answer: 200 with abstained true, a reason, and the nearest passages. With Accept: " +
				"text/event-stream, events: partial (an answer) for what is known so far, then result (the answer) or error (a problem).",
			Body: &api.AskRequest{}, Results: orEvents(ofJSON(&api.Answer{}, tookHeader), &api.Answer{}), Problems: and(asking, engines...),
			Example: map[string]any{"question": "Who designed the bridge?"},
		}},
		{handle: (*Server).searchQuery, Route: openapi.Route{
			Method: "GET", Path: apiPath + "/search", Tag: "Search", Access: openapi.Read,
			Summary: "Find passages; as a link that can be shared",
			Query:   &api.SearchRequest{}, Results: ofJSON(&api.SearchResult{}, tookHeader),
			Problems: and(asking, "bad-question"),
		}},
		{handle: (*Server).searchBody, Route: openapi.Route{
			Method: "POST", Path: apiPath + "/search", Tag: "Search", Access: openapi.Read,
			Summary: "Find the passages that share a query's words, best first by BM25",
			Body:    &api.SearchRequest{}, Results: ofJSON(&api.SearchResult{}, tookHeader), Problems: and(asking, "bad-question"),
			Example: map[string]any{"query": "bridge valley", "top": 5},
		}},
		{handle: (*Server).searchImagesQuery, Route: openapi.Route{
			Method: "GET", Path: apiPath + "/search/images", Tag: "Search", Access: openapi.Read,
			Summary: "Find pictures; as a link that can be shared",
			Query:   &api.ImageSearchRequest{}, Results: ofJSON(&api.ImageSearchResult{}, tookHeader),
			Problems: and(looking, "empty-index", "other-model"),
		}},
		{handle: (*Server).searchImagesBody, Route: openapi.Route{
			Method: "POST", Path: apiPath + "/search/images", Tag: "Search", Access: openapi.Read,
			Summary: "Find pictures that show what a text says, or that are like a picture",
			Body:    &api.ImageSearchRequest{}, Upload: true, Results: ofJSON(&api.ImageSearchResult{}, tookHeader),
			Problems: and(looking, "empty-index", "other-model"),
			Example:  map[string]any{"query": "a red car", "top": 12},
		}},
	}
}

func imageRoutes() []route {
	return []route{
		{handle: (*Server).explain, once: true, Route: openapi.Route{
			Method: "POST", Path: apiPath + "/explanations", Tag: "Explain", Access: openapi.Read,
			Summary: "Show where in a picture each text is seen, by LeGrad",
			Doc:     "The maps can be fetched while the explanation is kept; the oldest are let go first.",
			Body:    &api.ExplainRequest{}, Upload: true, Headers: onceHeader,
			Results: []openapi.Result{{
				Status: 201, Media: asJSON, Type: &api.Explanation{}, Headers: placeHeader, Links: explanationLinks,
			}},
			Problems: and(looking, "conflict", "idempotency-mismatch"),
			Example:  map[string]any{"image": "3f1c0d7a9b2e4455", "texts": []string{"a cat", "a remote control"}},
		}},
		{handle: (*Server).explanation, Route: openapi.Route{
			Method: "GET", Path: keptPath, Tag: "Explain", Access: openapi.Read,
			Summary: "An explanation that is still kept", Paths: map[string]openapi.Param{"id": ofKept},
			Results: ofJSON(&api.Explanation{}, nil), Problems: []string{"not-found"},
		}},
		{handle: (*Server).overlay, Route: openapi.Route{
			Method: "GET", Path: keptPath + "/overlay.png", Tag: "Explain", Access: openapi.Read,
			Summary: "The maps over the picture", Paths: map[string]openapi.Param{"id": ofKept},
			Query: &api.OverlayQuery{}, Results: ofBytes("image/png"), Problems: and(computing, "not-found"),
		}},
		{handle: (*Server).picture, Route: openapi.Route{
			Method: "GET", Path: keptPath + "/picture", Tag: "Explain", Access: openapi.Read,
			Summary: "The picture of an explanation, upright, as JPEG", Paths: map[string]openapi.Param{"id": ofKept},
			Results: ofBytes("image/jpeg"), Problems: and(computing, "not-found"),
		}},
		{handle: (*Server).heat, Route: openapi.Route{
			Method: "GET", Path: keptPath + "/maps/{n}/heat.png", Tag: "Explain", Access: openapi.Read,
			Summary: "A map in grey, on the scale that all texts of the explanation share",
			Paths:   map[string]openapi.Param{"id": ofKept, "n": ofMap},
			Results: ofBytes("image/png"), Problems: and(computing, "not-found"),
		}},
		{handle: (*Server).rawMap, Route: openapi.Route{
			Method: "GET", Path: keptPath + "/maps/{n}/raw.npy", Tag: "Explain", Access: openapi.Read,
			Summary: "A map as it was computed: NumPy float32 [height, width]",
			Paths:   map[string]openapi.Param{"id": ofKept, "n": ofMap},
			Results: ofBytes("application/octet-stream"), Problems: []string{"not-found"},
		}},
		{handle: (*Server).embed, Route: openapi.Route{
			Method: "POST", Path: apiPath + "/embeddings", Tag: "Explain", Access: openapi.Read,
			Summary: "Vectors of texts, or of a picture; they compare",
			Body:    &api.EmbeddingRequest{}, Upload: true, Results: ofJSON(&api.EmbeddingResult{}, nil), Problems: looking,
			Example: map[string]any{"texts": []string{"a cat"}},
		}},
	}
}

func documentRoutes() []route {
	inDocument := map[string]openapi.Param{"index": ofIndex, "id": ofDocument}
	inPage := map[string]openapi.Param{"index": ofIndex, "id": ofDocument, "page": ofPage}
	return []route{
		{handle: (*Server).indexes, Route: openapi.Route{
			Method: "GET", Path: apiPath + "/indexes", Tag: "Documents", Access: openapi.Read,
			Summary: "All indexes", Results: ofJSON(&api.IndexList{}, nil), Problems: []string{"damaged"},
		}},
		{handle: (*Server).index, Route: openapi.Route{
			Method: "GET", Path: apiPath + "/indexes/{index}", Tag: "Documents", Access: openapi.Read,
			Summary: "What an index holds, and what was skipped and why",
			Paths:   map[string]openapi.Param{"index": ofIndex},
			Results: ofJSON(&api.Index{}, nil), Problems: []string{"no-index", "damaged"},
		}},
		{handle: (*Server).documents, Route: openapi.Route{
			Method: "GET", Path: apiPath + "/indexes/{index}/documents", Tag: "Documents", Access: openapi.Read,
			Summary: "The documents and pictures of an index, a page at a time",
			Paths:   map[string]openapi.Param{"index": ofIndex}, Query: &api.DocumentQuery{},
			Results: []openapi.Result{{
				Status: 200, Media: asJSON, Type: &api.DocumentList{},
				Headers: map[string]string{"Link": "the next page, as rel=next"}, Links: documentLinks,
			}},
			Problems: []string{"no-index", "damaged", "bad-cursor"},
		}},
		{handle: (*Server).document, Route: openapi.Route{
			Method: "GET", Path: docPath, Tag: "Documents", Access: openapi.Read, Summary: "A document",
			Paths: inDocument, Results: append(ofJSON(&api.Document{}, etagHeader),
				openapi.Result{Status: 304, Doc: "it is as the ETag in If-None-Match says"}), Problems: reading,
		}},
		{handle: (*Server).text, Route: openapi.Route{
			Method: "GET", Path: docPath + "/text", Tag: "Documents", Access: openapi.Read,
			Summary: "The stored text, in which all offsets count bytes",
			Paths:   inDocument, Results: ofBytes("text/plain"), Problems: reading,
		}},
		{handle: (*Server).evidence, Route: openapi.Route{
			Method: "GET", Path: docPath + "/evidence", Tag: "Documents", Access: openapi.Read,
			Summary: "A span of the stored text as evidence: quotation, sentence, page",
			Paths:   inDocument, Query: &api.SpanQuery{}, Results: ofJSON(&api.Evidence{}, nil), Problems: and(reading, "bad-span"),
		}},
		{handle: (*Server).image, Route: openapi.Route{
			Method: "GET", Path: docPath + "/image", Tag: "Documents", Access: openapi.Read,
			Summary: "A picture of the index, upright, as JPEG",
			Paths:   inDocument, Query: &sizeQuery{}, Results: ofBytes("image/jpeg"), Problems: looking,
		}},
		{handle: (*Server).pageImage, Route: openapi.Route{
			Method: "GET", Path: docPath + "/pages/{page}/image.png", Tag: "Documents", Access: openapi.Read,
			Summary: "A page of a PDF as it looks", Paths: inPage, Query: &widthQuery{},
			Results: ofBytes("image/png"), Problems: and(reading, "no-page", "stale", "overloaded"),
		}},
		{handle: (*Server).pageMarks, Route: openapi.Route{
			Method: "GET", Path: docPath + "/pages/{page}/marks", Tag: "Documents", Access: openapi.Read,
			Summary: "Where on a page's image a span of the stored text stands",
			Paths:   inPage, Query: &api.SpanQuery{}, Results: ofJSON(&api.PageMarks{}, nil),
			Problems: and(reading, "no-page", "stale", "overloaded"),
		}},
	}
}

func jobRoutes() []route {
	inJob := map[string]openapi.Param{"id": ofJob}
	return []route{
		{handle: (*Server).startJob, once: true, Route: openapi.Route{
			Method: "POST", Path: apiPath + "/jobs", Tag: "Jobs", Access: openapi.Admin,
			Summary: "Start a job: index what is new and changed",
			Body:    &api.JobRequest{}, Headers: onceHeader,
			Results: inQueue(),
			Problems: []string{
				"no-index", "empty-index", "folder-not-allowed", "overloaded", "not-ready", "damaged", "conflict",
				"idempotency-mismatch",
			},
			Example: map[string]any{"kind": "index"},
		}},
		{handle: (*Server).jobs, Route: openapi.Route{
			Method: "GET", Path: apiPath + "/jobs", Tag: "Jobs", Access: openapi.Read,
			Summary: "The jobs that are remembered, newest first", Results: ofJSON(&api.JobList{}, nil),
		}},
		{handle: (*Server).job, stream: true, Route: openapi.Route{
			Method: "GET", Path: apiPath + "/jobs/{id}", Tag: "Jobs", Access: openapi.Read,
			Summary: "A job; with Accept: text/event-stream, its states as they come",
			Doc:     "Events: progress (a job), then result (a job) or error (a problem).",
			Paths:   inJob, Problems: []string{"not-found"},
			Results: append(ofJSON(&api.Job{}, nil), openapi.Result{Status: 200, Media: asEvents}),
		}},
		{handle: (*Server).cancelJob, Route: openapi.Route{
			Method: "DELETE", Path: apiPath + "/jobs/{id}", Tag: "Jobs", Access: openapi.Admin,
			Summary: "Stop a job, wait for its end, and forget it; what it has done is kept", Paths: inJob,
			Results: ofJSON(&api.Job{}, nil), Problems: []string{"not-found"},
		}},
	}
}

func openAIRoutes() []route {
	return []route{
		{handle: (*Server).openAIEmbeddings, Route: openapi.Route{
			Method: "POST", Path: "/v1/embeddings", Tag: "As others speak", Access: openapi.Read,
			Summary: "Vectors of texts, in the form that many programs speak",
			Body:    &api.OpenAIEmbeddingRequest{}, Results: ofJSON(&api.OpenAIEmbeddingList{}, nil), Problems: looking,
			Example: map[string]any{"model": "vision-192", "input": "a cat"},
		}},
		{handle: (*Server).openAIModels, Route: openapi.Route{
			Method: "GET", Path: "/v1/models", Tag: "As others speak", Access: openapi.Read,
			Summary: "The models, in the form that many programs speak", Results: ofJSON(&api.OpenAIModelList{}, nil),
		}},
	}
}

func operationRoutes() []route {
	health := []openapi.Result{
		{Status: 200, Media: asJSON, Type: &api.Health{}},
		{Status: 503, Media: asJSON, Type: &api.Health{}, Doc: "it is not ready, and why"},
	}
	get := func(
		path, summary string, access openapi.Access, results []openapi.Result,
		handle func(*Server, *call) (*reply, error),
	) route {
		return route{handle: handle, Route: openapi.Route{
			Method: "GET", Path: path, Tag: "Operation", Summary: summary, Access: access, Results: results,
		}}
	}
	plain := func(media string) []openapi.Result { return []openapi.Result{{Status: 200, Media: media}} }
	return []route{
		get(apiPath+"/status", "What the server holds, may do and is doing", openapi.Read, ofJSON(&api.Status{}, nil), (*Server).status),
		get("/livez", "The process answers", openapi.Open, ofJSON(&api.Health{}, nil), (*Server).livez),
		get("/readyz", "The models are loaded and the index is open", openapi.Open, health, (*Server).readyz),
		get("/healthz", "The same as /readyz", openapi.Open, health, (*Server).readyz),
		get("/metrics", "Figures for Prometheus", openapi.Read, plain("text/plain"), (*Server).metrics),
		get("/version", "The program", openapi.Open, ofJSON(&api.Build{}, nil), (*Server).version),
		get("/openapi.json", "This description", openapi.Open, plain(asJSON), (*Server).openAPI),
		get("/openapi.yaml", "This description as YAML", openapi.Open, plain("application/yaml"), (*Server).openAPIYAML),
	}
}

// sizeQuery bounds a picture.
type sizeQuery struct {
	Side int `json:"side,omitempty" min:"16" max:"4096" doc:"longest side in pixels; 1600 by default"`
}

// widthQuery bounds a page.
type widthQuery struct {
	Width int `json:"width,omitempty" min:"64" max:"3000" doc:"in pixels; 1200 by default"`
}
