package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"evident/api"
)

// Indexes lists the indexes of the server; the first is the default.
func (c *Client) Indexes(ctx context.Context) (*api.IndexList, error) {
	return get[api.IndexList](ctx, c, prefix+"/indexes")
}

// MakeIndex makes an index on the server, an empty one or that of a snapshot.
func (c *Client) MakeIndex(ctx context.Context, r api.IndexRequest) (*api.Index, error) {
	return post[api.Index](ctx, c, prefix+"/indexes", r)
}

// RemoveIndex deletes an index that was made through the server, and says what it held.
func (c *Client) RemoveIndex(ctx context.Context, name string) (*api.Index, error) {
	return remove[api.Index](ctx, c, prefix+"/indexes/"+url.PathEscape(name))
}

// Models lists the models that the server answers with, and those that were fetched.
func (c *Client) Models(ctx context.Context) (*api.ModelList, error) {
	return get[api.ModelList](ctx, c, prefix+"/models")
}

// PullModel starts a job that fetches a model from the hub; key is as of StartJob.
func (c *Client) PullModel(ctx context.Context, r api.ModelRequest, key string) (*api.Job, error) {
	return start(ctx, c, prefix+"/models", r, key)
}

// RemoveModel deletes a fetched model with all its revisions.
func (c *Client) RemoveModel(ctx context.Context, name string) (*api.FetchedModel, error) {
	return remove[api.FetchedModel](ctx, c, prefix+"/models?name="+url.QueryEscape(name))
}

// Snapshots lists the snapshots that the server keeps, newest first.
func (c *Client) Snapshots(ctx context.Context) (*api.SnapshotList, error) {
	return get[api.SnapshotList](ctx, c, prefix+"/snapshots")
}

// StartSnapshot starts a job that writes a checked copy of an index; key is as of StartJob.
func (c *Client) StartSnapshot(ctx context.Context, r api.SnapshotRequest, key string) (*api.Job, error) {
	return start(ctx, c, prefix+"/snapshots", r, key)
}

// Snapshot writes the file of a snapshot to w. It is large: nothing of it is kept in memory.
func (c *Client) Snapshot(ctx context.Context, name string, w io.Writer) error {
	response, err := c.open(ctx, http.MethodGet, prefix+"/snapshots/"+url.PathEscape(name), nil, "")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		content, _ := io.ReadAll(response.Body)
		return problemOf(response, content)
	}
	if n, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("fetch snapshot %s: after %d bytes: %w", name, n, err)
	}
	return nil
}

// RemoveSnapshot deletes a snapshot.
func (c *Client) RemoveSnapshot(ctx context.Context, name string) (*api.Snapshot, error) {
	return remove[api.Snapshot](ctx, c, prefix+"/snapshots/"+url.PathEscape(name))
}

// Evaluations lists the sets that can be measured on, and what was measured.
func (c *Client) Evaluations(ctx context.Context) (*api.EvaluationList, error) {
	return get[api.EvaluationList](ctx, c, prefix+"/evaluations")
}

// StartEvaluation starts a job that measures answers or maps on a set; key is as of StartJob.
func (c *Client) StartEvaluation(ctx context.Context, r api.EvaluationRequest, key string) (*api.Job, error) {
	return start(ctx, c, prefix+"/evaluations", r, key)
}

// Evaluation returns what was measured.
func (c *Client) Evaluation(ctx context.Context, id string) (*api.Evaluation, error) {
	return get[api.Evaluation](ctx, c, prefix+"/evaluations/"+url.PathEscape(id))
}

// CompareEvaluations says how an evaluation differs from another of the same set.
func (c *Client) CompareEvaluations(ctx context.Context, id, with string) (*api.EvaluationComparison, error) {
	path := prefix + "/evaluations/" + url.PathEscape(id) + "/comparison?with=" + url.QueryEscape(with)
	return get[api.EvaluationComparison](ctx, c, path)
}

// RemoveEvaluation forgets what was measured.
func (c *Client) RemoveEvaluation(ctx context.Context, id string) (*api.Evaluation, error) {
	return remove[api.Evaluation](ctx, c, prefix+"/evaluations/"+url.PathEscape(id))
}
