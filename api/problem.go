package api

import "errors"

// Problem says why a request failed: application/problem+json of RFC 9457. It is an error; it matches
// the sentinel of its code with [errors.Is].
type Problem struct {
	Type      string         `json:"type" doc:"address of a page about the code"`
	Title     string         `json:"title" doc:"the same for every problem of the code"`
	Status    int            `json:"status" doc:"of HTTP"`
	Detail    string         `json:"detail" doc:"what was being done, and to what"`
	Instance  string         `json:"instance,omitempty" doc:"path of the request"`
	Code      string         `json:"code" doc:"stable; branch on it"`
	Hint      string         `json:"hint,omitempty" doc:"what to do about it"`
	Errors    []ProblemField `json:"errors,omitempty" doc:"what is wrong where in the request"`
	RequestID string         `json:"request_id,omitempty" doc:"finds the request in the log"`

	Err error `json:"-"` // the cause; stays on its side of the wire
}

// ProblemField is one fault of a request.
type ProblemField struct {
	Where   string `json:"where" doc:"body, query, path or header, and the field's JSON pointer or name"`
	Message string `json:"message"`
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// Unwrap returns the cause, and the sentinel of the code.
func (p *Problem) Unwrap() []error {
	var causes []error
	if p.Err != nil {
		causes = append(causes, p.Err)
	}
	if k, ok := KindOf(p.Code); ok && k.Sentinel != nil {
		causes = append(causes, k.Sentinel)
	}
	return causes
}

// The errors that callers branch on, with errors.Is. Package evident has them under the same names.
var (
	// ErrNoIndex says that a data folder holds no index, or that a server has none of the name.
	ErrNoIndex = errors.New("no index")
	// ErrLocked says that another process writes to the index.
	ErrLocked = errors.New("index is locked by another process")
	// ErrDamaged says that a file of the index or of a model is not what it was written as.
	ErrDamaged = errors.New("file is damaged")
	// ErrModelMissing says that there are no weights where they are looked for.
	ErrModelMissing = errors.New("model is missing")
	// ErrEmptyIndex says that nothing was indexed that could be asked or looked at.
	ErrEmptyIndex = errors.New("the index holds no documents")
	// ErrOtherModel says that pictures or phrases of an index were made with another model than is asked.
	ErrOtherModel = errors.New("the index was made with another model")
	// ErrNoPhrases says that an index has no phrases, which one of the engines needs.
	ErrNoPhrases = errors.New("the index holds no phrases")
	// ErrNoCaptions says that a model cannot write captions.
	ErrNoCaptions = errors.New("the model has no decoder of captions")
	// ErrUnavailable says that the cluster which holds an index does not answer, or not with enough copies.
	ErrUnavailable = errors.New("the cluster is not available")
	// ErrNoDocument says that a document is not in the index.
	ErrNoDocument = errors.New("no such document in the index")
	// ErrNotImage says that a file is no picture of a known kind.
	ErrNotImage = errors.New("not an image")
	// ErrSpan says that a span is not within a stored text, or cuts a character.
	ErrSpan = errors.New("no such span of the stored text")
	// ErrNoPage says that a document has no such page, or that its format has no pages to look at.
	ErrNoPage = errors.New("no such page")
	// ErrStale says that a file has changed since it was indexed.
	ErrStale = errors.New("the file has changed since it was indexed")
	// ErrBusy says that the server has as much to do as it takes on.
	ErrBusy = errors.New("the server is busy")
	// ErrKey says that a key is needed, or a better one.
	ErrKey = errors.New("a key is needed")
)

// Kind is a kind of problem: what /docs/errors/CODE explains.
type Kind struct {
	Code     string
	Status   int
	Title    string
	Hint     string // what a person or a program can do
	Sentinel error  // may be nil
}

// Kinds lists every kind of problem, by code.
var Kinds = []Kind{
	{
		"ambiguous", 422, "It is not clear what is meant",
		"Give exactly one of the things that the detail names.", nil,
	},
	{"bad-cursor", 422, "The cursor is none that was given out", "Take the cursor from the page before.", nil},
	{
		"bad-mask", 422, "A mask cannot be used",
		"Masks are in pixels of the picture, and hold at least one.", nil,
	},
	{
		"bad-model", 422, "The model cannot be used",
		"Weights are read as safetensors only; see which files the hub has.", nil,
	},
	{
		"bad-name", 422, "It cannot be called so",
		"Names have letters, digits, dots and dashes; those of models are ORG/NAME.", nil,
	},
	{"bad-question", 422, "The question cannot be asked", `Ask one sentence of at most 200 words.`, nil},
	{
		"bad-span", 422, "There is no such span",
		"Spans are half-open, count bytes of the stored text, and cut no character.", ErrSpan,
	},
	{"bad-text", 422, "The text cannot be looked for", "Say what to look for in a few words.", nil},
	{"body-too-large", 413, "The body is too large", "Send less, or raise --max-body.", nil},
	{"cancelled", 499, "The client went away", "Nothing to do: the computation was stopped.", nil},
	{"conflict", 409, "The state does not allow it", "Look at the state first.", nil},
	{
		"cross-origin", 403, "A page of another origin may not do this",
		"Call from a program, or from evident's own pages.", nil,
	},
	{
		"damaged", 500, "A file is damaged",
		`"evident index --check" says what is damaged, "--repair" mends it; get a damaged model again.`, ErrDamaged,
	},
	{
		"empty-index", 422, "There is nothing to ask or to look at",
		`Index a folder: "evident index PATH", or the page Library.`, ErrEmptyIndex,
	},
	{"folder-not-allowed", 403, "The folder may not be indexed", "Start the server with --allow FOLDER.", nil},
	{"forbidden", 403, "The key does not allow it", "Use an admin key.", ErrKey},
	{
		"host-not-allowed", 403, "The name in the Host header is not this server's",
		"Use the printed address, or start with --host NAME.", nil,
	},
	{
		"hub-failed", 502, "The model hub does not answer as it should",
		"Try again; what was fetched so far is kept.", nil,
	},
	{
		"hub-token", 403, "The hub wants a token for the model",
		"Start the server with HF_TOKEN set, after the model's terms were accepted on the hub.", nil,
	},
	{
		"idempotency-mismatch", 422, "The idempotency key was used for another request",
		"Use a new key for a new request.", nil,
	},
	{"image-too-large", 413, "The picture has too many pixels", "Scale it down, or raise --max-pixels.", nil},
	{"internal", 500, "The server made a mistake", "Report it with the request_id and the log.", nil},
	{"invalid-request", 400, "The request is not what the description asks for", "Compare with /docs.", nil},
	{"key-needed", 401, "A key is needed", "Send the header Authorization: Bearer KEY.", ErrKey},
	{
		"locked", 409, "The index is being written to",
		"Wait for the job, or for the other process, and try again.", ErrLocked,
	},
	{"method-not-allowed", 405, "The path does not take this method", "See the header Allow.", nil},
	{
		"no-captions", 422, "The model cannot write captions",
		"Use the built-in model, or put the decoder that training/caption makes into the model's folder.", ErrNoCaptions,
	},
	{"no-document", 404, "There is no such document", "List the documents of the index.", ErrNoDocument},
	{"no-index", 404, "There is no such index", "List the indexes.", ErrNoIndex},
	{"no-model", 404, "There is no such model", "List the models.", ErrModelMissing},
	{
		"no-page", 404, "There is no such page",
		"Pages are counted from 1; only PDF has pages to look at.", ErrNoPage,
	},
	{
		"no-phrases", 422, "The index holds no phrases",
		`Make some: "evident index --phrases PATH", or a job with phrases.`, ErrNoPhrases,
	},
	{
		"no-set", 404, "There is no such set",
		"GET /api/v1/evaluations lists the sets; --evaluate names them when the server is started.", nil,
	},
	{
		"no-snapshot", 404, "There is no such snapshot",
		"GET /api/v1/snapshots lists them.", nil,
	},
	{
		"not-allowed", 403, "The server was not started for this",
		"The detail names the flag of evident serve that allows it.", nil,
	},
	{
		"not-an-image", 422, "The file is no picture",
		"Pictures are JPEG, PNG, GIF, WebP, TIFF or BMP, told by their content.", ErrNotImage,
	},
	{"not-found", 404, "There is nothing at this path", "See /docs for the paths.", nil},
	{"not-ready", 503, "The server is not ready", "Wait, and look at /readyz.", ErrBusy},
	{
		"other-encoder", 422, "Generators of this form know another encoder",
		"Start the server with --vision-model and the encoder that the detail names, or ask for the form plain.", nil,
	},
	{
		"other-model", 409, "The index was made with another model",
		"Index again with the model in use.", ErrOtherModel,
	},
	{
		"overloaded", 503, "The server has as much to do as it takes on",
		"Try again after the seconds of Retry-After.", ErrBusy,
	},
	{
		"store-unavailable", 503, "The cluster that holds the index does not answer",
		"See that most of its nodes run, then try again.", ErrUnavailable,
	},
	{"stale", 409, "The file has changed since it was indexed", "Index again.", ErrStale},
	{"timeout", 503, "The request took too long", "Ask for less, or raise --request-timeout.", ErrBusy},
	{
		"unsupported-type", 415, "The body is of a kind that is not read here",
		"Send application/json, or multipart/form-data where /docs says so.", nil,
	},
}

// KindOf returns the kind of a code.
func KindOf(code string) (Kind, bool) {
	for _, k := range Kinds {
		if k.Code == code {
			return k, true
		}
	}
	return Kind{}, false
}

// NewProblem returns a problem of a code, which must be of [Kinds].
func NewProblem(code, detail string) *Problem {
	k, ok := KindOf(code)
	if !ok {
		panic("no kind of problem is called " + code)
	}
	return &Problem{
		Type: "/docs/errors/" + k.Code, Title: k.Title, Status: k.Status,
		Code: k.Code, Detail: detail, Hint: k.Hint,
	}
}

// Because sets the cause and returns the problem.
func (p *Problem) Because(err error) *Problem {
	p.Err = err
	return p
}
