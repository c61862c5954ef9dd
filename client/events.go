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

// Watch yields the states of a job as they come, the last one when it is over. It ends with ctx, or
// with the error it yields.
func (c *Client) Watch(ctx context.Context, id string) iter.Seq2[*api.Job, error] {
	return func(yield func(*api.Job, error) bool) {
		path := prefix + "/jobs/" + url.PathEscape(id)
		response, err := c.open(ctx, http.MethodGet, path, nil, "text/event-stream")
		if err != nil {
			yield(nil, err)
			return
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			content, _ := io.ReadAll(response.Body)
			yield(nil, problemOf(response, content))
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
			job, err := readEvent(name, data)
			if !yield(job, err) || err != nil || job.Over() {
				return
			}
		}
		err = lines.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		yield(nil, fmt.Errorf("watch job %s: %w", id, err))
	}
}

func readEvent(name, data string) (*api.Job, error) {
	if name == "error" {
		p := &api.Problem{}
		if err := json.Unmarshal([]byte(data), p); err != nil {
			return nil, fmt.Errorf("read an event: %w", err)
		}
		return nil, p
	}
	job := &api.Job{}
	if err := json.Unmarshal([]byte(data), job); err != nil {
		return nil, fmt.Errorf("read an event: %w", err)
	}
	return job, nil
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
