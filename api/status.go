package api

// Status is what the server holds, may do and is doing.
type Status struct {
	Version   string  `json:"version"`
	StartedAt string  `json:"started_at" doc:"time, RFC 3339"`
	Ready     bool    `json:"ready"`
	Missing   string  `json:"missing,omitempty" doc:"why it is not ready"`
	Access    string  `json:"access" enum:"open,keys" doc:"open: no key is asked for"`
	Indexes   []Index `json:"indexes"`
	Models    []Model `json:"models"`
	Limits    Limits  `json:"limits"`
	Load      Load    `json:"load"`
	// LeftOut is what a server cannot use of what was made through it before.
	LeftOut []Skipped `json:"left_out,omitempty" doc:"files and folders that were made through the server and cannot be read any more: they are as they were, on its disk"`
}

// Model is a model that the server answers or sees with.
type Model struct {
	Name        string   `json:"name"`
	Role        string   `json:"role" enum:"reader,vision,phrases"`
	Description string   `json:"description"`
	Bytes       int64    `json:"bytes,omitempty" doc:"of its weights"`
	Loaded      bool     `json:"loaded" doc:"it is in memory; the first request loads it otherwise"`
	Classes     []string `json:"classes,omitempty" doc:"the only texts that an image classifier knows"`
}

// ModelList is the models of the server: those in use, and those that were fetched from a hub. Which are used is
// said when the server is started.
type ModelList struct {
	Models  []Model        `json:"models"`
	Fetched []FetchedModel `json:"fetched"`
}

// FetchedModel is a model that was fetched from a hub.
type FetchedModel struct {
	Name    string `json:"name" doc:"ORG/NAME, or ORG/NAME@REVISION"`
	Commit  string `json:"commit"`
	License string `json:"license,omitempty" doc:"as the hub told"`
	Bytes   int64  `json:"bytes" doc:"of all files"`
}

// ModelRequest fetches a model from the hub.
type ModelRequest struct {
	Name string `json:"name" doc:"ORG/NAME, or ORG/NAME@REVISION" min:"1" max:"300"`
}

// ModelQuery names a fetched model.
type ModelQuery struct {
	Name string `json:"name" doc:"ORG/NAME; all revisions go" min:"1" max:"300"`
}

// Limits are what a request may cost.
type Limits struct {
	BodyBytes      int64    `json:"body_bytes"`
	ImagePixels    int      `json:"image_pixels" doc:"checked before decoding"`
	QuestionWords  int      `json:"question_words"`
	Computations   int      `json:"computations" doc:"at the same time"`
	Queue          int      `json:"queue" doc:"computations that may wait; more are turned away with 503"`
	RequestSeconds float64  `json:"request_seconds"`
	Folders        []string `json:"folders" doc:"what may be indexed through the server"`
	Pulls          bool     `json:"pulls" doc:"models may be fetched through the server"`
}

// Load is what the server is doing.
type Load struct {
	Computing int `json:"computing"`
	Waiting   int `json:"waiting"`
	Jobs      int `json:"jobs" doc:"waiting or running"`
}

// Health says whether the server lives or is ready.
type Health struct {
	Status  string `json:"status" enum:"ok,unavailable"`
	Missing string `json:"missing,omitempty" doc:"why it is unavailable"`
	LeftOut int    `json:"left_out,omitempty" doc:"of what was made through the server: how much cannot be read any more; /api/v1/status names it"`
}

// Build is the program.
type Build struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}
