// Package client asks a server of evident, with the methods and types of package evident: code can
// move between the library and the server.
//
//	c, err := client.New("http://127.0.0.1:8317", client.Options{})
//	answer, err := c.Ask(ctx, api.AskRequest{Question: "Who designed the bridge?"})
//
// Errors are [*api.Problem]; they match the sentinels of package api, which are those of package
// evident, with errors.Is. It carries no models: a program that asks is a few megabytes.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"evident/api"
)

// Options are the settings of a [Client]. The zero value sends no key.
type Options struct {
	Key     string       // of the server; "" for none
	HTTP    *http.Client // nil means http.DefaultClient
	Retries int          // of requests that a busy server turned away; 0 means 3, below 0 none
}

// Client asks a server. It is safe for concurrent use.
type Client struct {
	base string
	o    Options
}

// New returns a client of the server at an address such as http://127.0.0.1:8317.
func New(address string, o Options) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("server %q: not an address such as http://127.0.0.1:8317", address)
	}
	if o.HTTP == nil {
		o.HTTP = http.DefaultClient
	}
	o.Retries = cmp.Or(o.Retries, 3)
	return &Client{strings.TrimSuffix(u.String(), "/"), o}, nil
}

const prefix = "/api/" + api.Version

// Ask answers a question from the documents of the server.
func (c *Client) Ask(ctx context.Context, r api.AskRequest) (*api.Answer, error) {
	return post[api.Answer](ctx, c, prefix+"/ask", r)
}

// Search returns the passages that share a query's words, best first.
func (c *Client) Search(ctx context.Context, r api.SearchRequest) (*api.SearchResult, error) {
	return post[api.SearchResult](ctx, c, prefix+"/search", r)
}

// SearchImages returns the pictures that a request fits. With image, the file of a picture, they are
// those like it.
func (c *Client) SearchImages(
	ctx context.Context, r api.ImageSearchRequest, image io.Reader,
) (*api.ImageSearchResult, error) {
	return postImage[api.ImageSearchResult](ctx, c, prefix+"/search/images", r, image)
}

// Explain shows where in a picture texts are seen: in one of the index, or in image, the file of one.
func (c *Client) Explain(
	ctx context.Context, r api.ExplainRequest, image io.Reader,
) (*api.Explanation, error) {
	return postImage[api.Explanation](ctx, c, prefix+"/explanations", r, image)
}

// Overlay returns the PNG of an explanation that the server still keeps.
func (c *Client) Overlay(ctx context.Context, id string, q api.OverlayQuery) ([]byte, error) {
	values, err := query(q)
	if err != nil {
		return nil, err
	}
	return c.bytes(ctx, prefix+"/explanations/"+url.PathEscape(id)+"/overlay.png?"+values)
}

// Embed returns vectors of texts, or of a picture.
func (c *Client) Embed(
	ctx context.Context, r api.EmbeddingRequest, image io.Reader,
) (*api.EmbeddingResult, error) {
	return postImage[api.EmbeddingResult](ctx, c, prefix+"/embeddings", r, image)
}

// Regions says what regions of a picture are: one of the index, or image, the file of one.
func (c *Client) Regions(
	ctx context.Context, r api.RegionRequest, image io.Reader,
) (*api.RegionResult, error) {
	return postImage[api.RegionResult](ctx, c, prefix+"/regions", r, image)
}

// MatchRegions says which region of a picture each expression means.
func (c *Client) MatchRegions(
	ctx context.Context, r api.RegionMatchRequest, image io.Reader,
) (*api.RegionResult, error) {
	return postImage[api.RegionResult](ctx, c, prefix+"/regions/match", r, image)
}

// CaptionRegions says in words what regions of a picture show, or without masks what the whole picture does.
func (c *Client) CaptionRegions(
	ctx context.Context, r api.RegionCaptionRequest, image io.Reader,
) (*api.RegionResult, error) {
	return postImage[api.RegionResult](ctx, c, prefix+"/regions/caption", r, image)
}

// ExportRegions returns vectors of regions as a file: safetensors in the form that image generators take, or NumPy's.
func (c *Client) ExportRegions(ctx context.Context, r api.RegionExportRequest, image io.Reader) ([]byte, error) {
	p, err := payloadOf(r, image)
	if err != nil {
		return nil, err
	}
	return c.roundTrip(ctx, http.MethodPost, prefix+"/regions/export", p)
}

// Document returns a document of an index by its id.
func (c *Client) Document(ctx context.Context, index, id string) (*api.Document, error) {
	return get[api.Document](ctx, c, documentPath(index, id))
}

// Text returns the stored text of a document, in which all offsets count bytes.
func (c *Client) Text(ctx context.Context, index, id string) (string, error) {
	text, err := c.bytes(ctx, documentPath(index, id)+"/text")
	return string(text), err
}

// Evidence returns the bytes [start, end) of a document's stored text as evidence.
func (c *Client) Evidence(ctx context.Context, index, id string, start, end int) (*api.Evidence, error) {
	return get[api.Evidence](ctx, c, fmt.Sprintf("%s/evidence?start=%d&end=%d", documentPath(index, id), start, end))
}

func documentPath(index, id string) string {
	return prefix + "/indexes/" + url.PathEscape(index) + "/documents/" + url.PathEscape(id)
}

// Status says what the server holds, may do and is doing.
func (c *Client) Status(ctx context.Context) (*api.Status, error) {
	return get[api.Status](ctx, c, prefix+"/status")
}

// StartJob starts a job. It is done once, also where the request has to be repeated, when key names it;
// "" makes a name.
func (c *Client) StartJob(ctx context.Context, r api.JobRequest, key string) (*api.Job, error) {
	return start(ctx, c, prefix+"/jobs", r, key)
}

// start sends what becomes a job.
func start(ctx context.Context, c *Client, path string, request any, key string) (*api.Job, error) {
	if key == "" {
		key = "client-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	return send[api.Job](ctx, c, http.MethodPost, path, &payload{body, "application/json", key})
}

// Job returns a job.
func (c *Client) Job(ctx context.Context, id string) (*api.Job, error) {
	return get[api.Job](ctx, c, prefix+"/jobs/"+url.PathEscape(id))
}

// CancelJob stops a job, waits for its end, and lets the server forget it. What it has done is kept.
func (c *Client) CancelJob(ctx context.Context, id string) (*api.Job, error) {
	return remove[api.Job](ctx, c, prefix+"/jobs/"+url.PathEscape(id))
}

// payload is a body and what is said of it.
type payload struct {
	body  []byte
	media string
	key   string // of idempotency
}

func get[T any](ctx context.Context, c *Client, path string) (*T, error) {
	return send[T](ctx, c, http.MethodGet, path, nil)
}

func remove[T any](ctx context.Context, c *Client, path string) (*T, error) {
	return send[T](ctx, c, http.MethodDelete, path, nil)
}

func post[T any](ctx context.Context, c *Client, path string, request any) (*T, error) {
	return postImage[T](ctx, c, path, request, nil)
}

// postImage sends a request with a picture as a form, one without as JSON.
func postImage[T any](ctx context.Context, c *Client, path string, request any, image io.Reader) (*T, error) {
	p, err := payloadOf(request, image)
	if err != nil {
		return nil, err
	}
	return send[T](ctx, c, http.MethodPost, path, p)
}

// payloadOf writes a request as JSON, or with a picture as a form.
func payloadOf(request any, image io.Reader) (*payload, error) {
	if image == nil {
		body, err := json.Marshal(request)
		return &payload{body: body, media: "application/json"}, err
	}
	fields, err := fieldsOf(request)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, values := range fields {
		for _, v := range values {
			if err := w.WriteField(name, v); err != nil {
				return nil, err
			}
		}
	}
	part, err := w.CreateFormFile("image", "image")
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(part, image); err != nil {
		return nil, fmt.Errorf("read picture: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return &payload{body: b.Bytes(), media: w.FormDataContentType()}, nil
}

// fieldsOf writes the members of a request as the fields of a form.
func fieldsOf(request any) (url.Values, error) {
	encoded, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &members); err != nil {
		return nil, err
	}
	fields := url.Values{}
	for name, value := range members {
		var list []string
		var text string
		switch {
		case json.Unmarshal(value, &list) == nil:
			fields[name] = list
		case json.Unmarshal(value, &text) == nil:
			fields[name] = []string{text}
		default:
			fields[name] = []string{string(value)} // numbers and booleans are written as they are
		}
	}
	return fields, nil
}

func query(parameters any) (string, error) {
	fields, err := fieldsOf(parameters)
	return fields.Encode(), err
}

// send sends a request and reads the answer as JSON.
func send[T any](ctx context.Context, c *Client, method, path string, p *payload) (*T, error) {
	content, err := c.roundTrip(ctx, method, path, p)
	if err != nil {
		return nil, err
	}
	result := new(T)
	if err := json.Unmarshal(content, result); err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return result, nil
}

func (c *Client) bytes(ctx context.Context, path string) ([]byte, error) {
	return c.roundTrip(ctx, http.MethodGet, path, nil)
}

// roundTrip sends a request, again where the server was busy: then nothing was done.
func (c *Client) roundTrip(ctx context.Context, method, path string, p *payload) ([]byte, error) {
	for attempt := 0; ; attempt++ {
		content, wait, err := c.try(ctx, method, path, p)
		if !errors.Is(err, api.ErrBusy) || attempt >= c.o.Retries {
			return content, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

// try sends a request once, and says how long to wait before the next time.
func (c *Client) try(ctx context.Context, method, path string, p *payload) ([]byte, time.Duration, error) {
	response, err := c.open(ctx, method, path, p, "")
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, 0, fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	if response.StatusCode < http.StatusBadRequest {
		return content, 0, nil
	}
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		seconds = 1
	}
	return nil, time.Duration(seconds) * time.Second, problemOf(response, content)
}

func (c *Client) open(ctx context.Context, method, path string, p *payload, accept string) (*http.Response, error) {
	var body io.Reader
	if p != nil {
		body = bytes.NewReader(p.body)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if p != nil {
		r.Header.Set("Content-Type", p.media)
		if p.key != "" {
			r.Header.Set("Idempotency-Key", p.key)
		}
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	if c.o.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.o.Key)
	}
	response, err := c.o.HTTP.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	return response, nil
}

// problemOf reads what went wrong. What is no problem of evident is that of something in between.
func problemOf(response *http.Response, content []byte) error {
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	p := &api.Problem{}
	if media == "application/problem+json" && json.Unmarshal(content, p) == nil && p.Code != "" {
		return p
	}
	return fmt.Errorf("ask the server: %s", response.Status)
}
