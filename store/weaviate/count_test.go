//go:build cluster

package weaviate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// countOf asks a node how many objects of a class it has, past the client and the store.
func countOf(ctx context.Context, n *node, class string) (int, error) {
	body, _ := json.Marshal(map[string]string{"query": fmt.Sprintf("{Aggregate{%s{meta{count}}}}", class)})
	url := "http://" + n.host() + "/v1/graphql"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var parsed struct {
		Data struct {
			Aggregate map[string][]struct{ Meta struct{ Count int } }
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&parsed); err != nil {
		return 0, err
	}
	if rows := parsed.Data.Aggregate[class]; len(rows) == 1 {
		return rows[0].Meta.Count, nil
	}
	return 0, fmt.Errorf("node %d does not count class %s", n.number, class)
}
