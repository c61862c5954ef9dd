package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"evident/api"
)

// AskPartly is Ask for callers who want to know what is found on the way: partial is told, in turn, what is known so
// far. The answer is the same.
func (c *Client) AskPartly(ctx context.Context, r api.AskRequest, partial func(*api.Answer)) (*api.Answer, error) {
	return partly[api.Answer, api.Answer](ctx, c, prefix+"/ask", r, nil, partial)
}

// RegionsPartly is Regions for callers who want to see how vectors are found: partial is told of the steps of
// MaskInversion, of the latest ones where they come faster than they are taken.
func (c *Client) RegionsPartly(
	ctx context.Context, r api.RegionRequest, image io.Reader, partial func(*api.RegionSteps),
) (*api.RegionResult, error) {
	return partly[api.RegionSteps, api.RegionResult](ctx, c, prefix+"/regions", r, image, partial)
}

// partly asks for an answer as events.
func partly[P, R any](
	ctx context.Context, c *Client, path string, request any, image io.Reader, partial func(*P),
) (*R, error) {
	p, err := payloadOf(request, image)
	if err != nil {
		return nil, err
	}
	for e, err := range c.events(ctx, http.MethodPost, path, p) {
		if err != nil {
			return nil, err
		}
		switch e.name {
		case "partial":
			known := new(P)
			if err := e.read(known); err != nil {
				return nil, err
			}
			partial(known)
		case "result":
			result := new(R)
			return result, e.read(result)
		}
	}
	return nil, fmt.Errorf("ask %s: %w", path, io.ErrUnexpectedEOF)
}

// Watch yields the states of a job as they come, the last one when it is over. It ends with ctx, or
// with the error it yields.
func (c *Client) Watch(ctx context.Context, id string) iter.Seq2[*api.Job, error] {
	return func(yield func(*api.Job, error) bool) {
		for e, err := range c.events(ctx, http.MethodGet, prefix+"/jobs/"+url.PathEscape(id), nil) {
			job := &api.Job{}
			if err == nil {
				err = e.read(job)
			}
			if err != nil {
				yield(nil, fmt.Errorf("watch job %s: %w", id, err))
				return
			}
			if !yield(job, nil) || job.Over() {
				return
			}
		}
	}
}

// event is one of those that a server sends.
type event struct{ name, data string }

func (e event) read(into any) error {
	if err := json.Unmarshal([]byte(e.data), into); err != nil {
		return fmt.Errorf("read an event: %w", err)
	}
	return nil
}

// events yields the events of an answer. One that is a problem is the error that ends them, and so is an answer that
// breaks off.
func (c *Client) events(ctx context.Context, method, path string, p *payload) iter.Seq2[event, error] {
	return func(yield func(event, error) bool) {
		response, err := c.open(ctx, method, path, p, "text/event-stream")
		if err != nil {
			yield(event{}, err)
			return
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			content, _ := io.ReadAll(response.Body)
			yield(event{}, problemOf(response, content))
			return
		}
		name := ""
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, 16<<20) // a report names every file that was skipped
		for lines.Scan() {
			if n, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = n
			}
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			e := event{name, data}
			if name == "error" {
				p := &api.Problem{}
				if err := e.read(p); err != nil {
					yield(event{}, err)
				} else {
					yield(event{}, p)
				}
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		err = lines.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		yield(event{}, fmt.Errorf("read events of %s: %w", path, err))
	}
}

// Documents yields the documents of an index, page after page.
func (c *Client) Documents(
	ctx context.Context, index string, q api.DocumentQuery,
) iter.Seq2[*api.DocumentInfo, error] {
	return func(yield func(*api.DocumentInfo, error) bool) {
		for {
			values, err := query(q)
			if err != nil {
				yield(nil, err)
				return
			}
			path := prefix + "/indexes/" + url.PathEscape(index) + "/documents?" + values
			page, err := get[api.DocumentList](ctx, c, path)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Documents {
				if !yield(&page.Documents[i], nil) {
					return
				}
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				return
			}
		}
	}
}
