package weaviate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-openapi/strfmt"
	"github.com/google/uuid"
	"github.com/weaviate/weaviate-go-client/v5/weaviate/filters"
	"github.com/weaviate/weaviate-go-client/v5/weaviate/graphql"
	"github.com/weaviate/weaviate/entities/models"
)

// namespace is that of the IDs of all objects.
var namespace = uuid.MustParse("6f1d2c0e-52a7-5d0b-9a55-6576696465e6")

// objectID is the ID of what the parts name: the same each time, so that an object that is written again
// takes its own place.
func objectID(parts ...any) strfmt.UUID {
	var name strings.Builder
	for _, part := range parts {
		fmt.Fprintf(&name, "%v\x00", part)
	}
	return strfmt.UUID(uuid.NewSHA1(namespace, []byte(name.String())).String())
}

// put writes objects, and again those that were not acknowledged, until for the length of patience none was.
// It returns nil only when every one of them was acknowledged by a quorum. Hosts that did not answer are
// asked for half as much the next time: one that is busy may manage that within its own limits.
func (c *cluster) put(ctx context.Context, objects []*models.Object) error {
	left, size := objects, len(objects)
	for pause := newPause(c); len(left) > 0; {
		var refused error
		asked := left[:min(size, len(left))]
		rest := left[len(asked):]
		err := c.doFor(ctx, writeTimeout, func(ctx context.Context, h *host) error {
			answers, err := h.client.Batch().ObjectsBatcher().WithObjects(asked...).WithConsistencyLevel(quorum).Do(ctx)
			if err == nil {
				var again []*models.Object
				again, refused = unwritten(asked, answers)
				left = append(again, rest...)
			}
			return err
		})
		switch {
		case err != nil && !errors.Is(err, ErrUnavailable):
			return err
		case err != nil:
			size = max(1, len(asked)/2)
		case len(left) < len(rest)+len(asked): // some were acknowledged
			pause = newPause(c)
		}
		if len(left) > len(rest) && !pause.next(ctx) {
			return fmt.Errorf("write %d of %d objects: %w", len(left), len(objects), errors.Join(ctx.Err(), err, refused))
		}
	}
	return nil
}

// unwritten returns the objects that answers do not acknowledge, and why one of them was refused.
func unwritten(objects []*models.Object, answers []models.ObjectsGetResponse) (left []*models.Object, why error) {
	written := map[strfmt.UUID]bool{}
	for _, a := range answers {
		if a.Result == nil {
			continue
		}
		if a.Result.Errors != nil && len(a.Result.Errors.Error) > 0 {
			why = errors.New(a.Result.Errors.Error[0].Message)
		} else if a.Result.Status != nil && *a.Result.Status == models.ObjectsGetResponseAO2ResultStatusSUCCESS {
			written[a.ID] = true
		}
	}
	for _, o := range objects {
		if !written[o.ID] {
			left = append(left, o)
		}
	}
	return left, why
}

// removeMax is the number of values that one removal names.
const removeMax = 100

// remove deletes the objects of a class whose property has one of the values.
func (c *cluster) remove(ctx context.Context, class, property string, values []string) error {
	for len(values) > 0 {
		n := min(removeMax, len(values))
		where := filters.Where().WithPath([]string{property}).WithOperator(filters.ContainsAny).WithValueText(values[:n]...)
		for matches := int64(1); matches > 0; { // one request removes so many at most
			err := c.insist(ctx, func(ctx context.Context, h *host) error {
				answer, err := h.client.Batch().ObjectsBatchDeleter().WithClassName(class).WithWhere(where).
					WithOutput("minimal").WithConsistencyLevel(quorum).Do(ctx)
				if err != nil {
					return err
				}
				if matches = answer.Results.Matches; answer.Results.Failed > 0 {
					return &answerError{[]string{fmt.Sprintf("%d objects could not be removed", answer.Results.Failed)}}
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("remove from class %s: %w", class, err)
			}
		}
		values = values[n:]
	}
	return nil
}

// get reads one object at QUORUM; nil means that there is none.
func (c *cluster) get(ctx context.Context, class string, id strfmt.UUID) (*models.Object, error) {
	var found *models.Object
	err := c.do(ctx, func(ctx context.Context, h *host) error {
		answer, err := h.client.Data().ObjectsGetter().WithClassName(class).WithID(string(id)).
			WithConsistencyLevel(quorum).Do(ctx)
		switch {
		case status(err) == http.StatusNotFound:
			found = nil
			return nil
		case err == nil && len(answer) == 1:
			found = answer[0]
		}
		return err
	})
	return found, err
}

// properties reads an object's into a struct.
func properties(o *models.Object, into any) error {
	encoded, err := json.Marshal(o.Properties)
	if err == nil {
		err = json.Unmarshal(encoded, into)
	}
	if err != nil {
		return fmt.Errorf("object %s of class %s: %w", o.ID, o.Class, err)
	}
	return nil
}

// query runs a GraphQL query of one class on a host and reads its rows.
func query[T any](ctx context.Context, class string, q *graphql.GetBuilder, fields ...graphql.Field) ([]T, error) {
	answer, err := q.WithClassName(class).WithFields(fields...).Do(ctx)
	if err != nil {
		return nil, err
	}
	if err := failure(answer); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(answer.Data["Get"])
	if err != nil {
		return nil, err
	}
	var rows map[string][]T
	if err := json.Unmarshal(encoded, &rows); err != nil {
		return nil, &answerError{[]string{"its answer cannot be read: " + err.Error()}}
	}
	return rows[class], nil
}

// count asks a host how many objects of a class it has.
func count(ctx context.Context, h *host, class string) (int, error) {
	counted := graphql.Field{Name: "meta", Fields: fields("count")}
	answer, err := h.client.GraphQL().Aggregate().WithClassName(class).WithFields(counted).Do(ctx)
	if err != nil {
		return 0, err
	}
	if err := failure(answer); err != nil {
		return 0, err
	}
	var classes map[string][]struct {
		Meta struct {
			Count int `json:"count"`
		} `json:"meta"`
	}
	encoded, err := json.Marshal(answer.Data["Aggregate"])
	if err == nil {
		err = json.Unmarshal(encoded, &classes)
	}
	if err != nil || len(classes[class]) != 1 {
		return 0, &answerError{[]string{fmt.Sprintf("it does not count class %s: %v", class, err)}}
	}
	return classes[class][0].Meta.Count, nil
}

// failure returns the errors inside an answer.
func failure(answer *models.GraphQLResponse) error {
	if len(answer.Errors) == 0 {
		return nil
	}
	failed := &answerError{}
	for _, e := range answer.Errors {
		failed.messages = append(failed.messages, e.Message)
	}
	return failed
}

// fields names properties of a query's rows.
func fields(names ...string) []graphql.Field {
	all := make([]graphql.Field, len(names))
	for i, name := range names {
		all[i].Name = name
	}
	return all
}

// additional names what a query says of a row beside its properties.
func additional(names ...string) graphql.Field {
	return graphql.Field{Name: "_additional", Fields: fields(names...)}
}
