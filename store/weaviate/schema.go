package weaviate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/weaviate/weaviate/entities/models"

	"evident/bm25"
	"evident/internal/durable"
	"evident/store"
)

// schemaVersion is that of the classes and of what their objects hold. A program reads its own alone.
const schemaVersion = 1

// copies is how many nodes hold each object; a cluster of fewer nodes has as many as it has nodes.
const copies = 3

// note is the description of a class of ours, as JSON.
type note struct {
	Version  int    `json:"evident"` // schemaVersion
	Copies   int    `json:"copies"`
	Analyzer string `json:"analyzer,omitempty"` // of the class of passages
	Vectors  string `json:"vectors,omitempty"`  // of the class of groups: what the vectors are, see phrases.go
}

// The parts of class names.
const (
	documentClass = "Document"
	partClass     = "Part"
	passageClass  = "Passage"
	groupClass    = "Group"
	phraseClass   = "Phrase"
)

func (c *cluster) class(part string) string { return c.address.Collection + part }

// newClass is a class without vectors, of so many shards.
func (c *cluster) newClass(part string, n note, shards int, properties ...*models.Property) *models.Class {
	description, _ := json.Marshal(n) // a note always encodes
	return &models.Class{
		Class: c.class(part), Description: string(description), Vectorizer: "none",
		VectorIndexType:   "hnsw",
		VectorIndexConfig: map[string]any{"skip": true},
		Properties:        properties,
		ShardingConfig:    map[string]any{"desiredCount": shards},
		ReplicationConfig: &models.ReplicationConfig{
			Factor: int64(n.Copies), AsyncEnabled: n.Copies > 1,
			DeletionStrategy: models.ReplicationConfigDeletionStrategyTimeBasedResolution,
		},
		InvertedIndexConfig: &models.InvertedIndexConfig{
			Bm25:      &models.BM25Config{K1: float32(defaultParams.K1), B: float32(defaultParams.B)},
			Stopwords: &models.StopwordConfig{Preset: "none"},
		},
	}
}

// defaultParams are those of the embedded store.
var defaultParams = bm25.Params{K1: 0.9, B: 0.4}

// property is one that is kept and not searched.
func property(name, kind string) *models.Property {
	no := false
	p := &models.Property{Name: name, DataType: []string{kind}, IndexFilterable: &no}
	if kind == "text" {
		p.IndexSearchable, p.Tokenization = &no, models.PropertyTokenizationField
	}
	return p
}

// filterable is a property that objects are chosen by: a whole text, or a number with an order.
func filterable(name, kind string) *models.Property {
	yes := true
	p := property(name, kind)
	p.IndexFilterable = &yes
	if kind == "int" {
		p.IndexRangeFilters = &yes
	}
	return p
}

// searchable is a property of terms, separated by blanks.
func searchable(name string) *models.Property {
	yes := true
	p := property(name, "text")
	p.IndexSearchable, p.Tokenization = &yes, models.PropertyTokenizationWhitespace
	return p
}

// textClasses are the classes of documents. That of the journal is last: where it is, all are.
func (c *cluster) textClasses(nodes int) []*models.Class {
	n := note{Version: schemaVersion, Copies: min(copies, nodes)}
	shards := c.shards(nodes)
	passages := n
	passages.Analyzer = bm25.DefaultAnalyzer().Name()
	return []*models.Class{
		c.newClass(partClass, n, shards, filterable("document", "text"), property("number", "int"), property("data", "blob")),
		c.newClass(passageClass, passages, shards,
			filterable("document", "text"), property("number", "int"), property("start", "int"), property("end", "int"),
			property("page", "int"), property("sum", "text"), property("heading", "text"), property("text", "text"),
			searchable("terms")),
		c.newClass(documentClass, n, 1, journalProperties()...),
	}
}

// shards is how many parts a large class has. Statistics of BM25 are those of a shard, so there are no more
// than spread the copies over all nodes.
func (c *cluster) shards(nodes int) int {
	if c.address.Shards > 0 {
		return c.address.Shards
	}
	return max(1, (nodes+copies-1)/copies)
}

// create makes classes that are not there. Another process may be at the same.
func (c *cluster) create(ctx context.Context, classes []*models.Class) error {
	for _, class := range classes {
		err := c.do(ctx, func(ctx context.Context, h *host) error {
			err := h.client.Schema().ClassCreator().WithClass(class).Do(ctx)
			if err != nil && isTaken(err) {
				return nil
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("create class %s: %w", class.Class, err)
		}
	}
	return nil
}

// isTaken says whether a class could not be made because there is one of the name.
func isTaken(err error) bool {
	return status(err) == http.StatusUnprocessableEntity && strings.Contains(plain(err).Error(), "already exists")
}

// drop removes a class, which need not be there.
func (c *cluster) drop(ctx context.Context, name string) error {
	return c.insist(ctx, func(ctx context.Context, h *host) error {
		return h.client.Schema().ClassDeleter().WithClassName(name).Do(ctx)
	})
}

// errNoClass says that a class is not there.
var errNoClass = errors.New("there is no such class")

// lookUp returns a class as it is.
func (c *cluster) lookUp(ctx context.Context, name string) (class *models.Class, err error) {
	err = c.do(ctx, func(ctx context.Context, h *host) error {
		class, err = h.client.Schema().ClassGetter().WithClassName(name).Do(ctx)
		if status(err) == http.StatusNotFound {
			class, err = nil, nil
		}
		return err
	})
	if err == nil && class == nil {
		err = errNoClass
	}
	return class, err
}

// noteOf reads the note of one of our classes and checks its version.
func (c *cluster) noteOf(ctx context.Context, part string) (note, error) {
	name := c.class(part)
	class, err := c.lookUp(ctx, name)
	if err != nil {
		return note{}, err
	}
	var n note
	if err := json.Unmarshal([]byte(class.Description), &n); err != nil || n.Version == 0 {
		return note{}, &ForeignError{name, "it is none of evident's; choose another collection"}
	}
	if n.Version != schemaVersion {
		return note{}, &durable.VersionError{Path: c.address.String(), Got: n.Version, Want: schemaVersion}
	}
	if class.ReplicationConfig == nil || class.ReplicationConfig.Factor != int64(n.Copies) {
		return note{}, &ForeignError{name, fmt.Sprintf("it was made with %d copies and has another number now", n.Copies)}
	}
	return n, nil
}

// check opens the classes of documents: they must all be there, of our version and analyser.
func (c *cluster) check(ctx context.Context) (note, error) {
	n, err := c.noteOf(ctx, documentClass)
	if errors.Is(err, errNoClass) {
		return n, fmt.Errorf("collection %s: %w", c.address.Collection, store.ErrNoIndex)
	}
	if err != nil {
		return n, err
	}
	for _, part := range []string{partClass, passageClass} {
		made, err := c.noteOf(ctx, part)
		if errors.Is(err, errNoClass) {
			return n, &ForeignError{c.class(part), "it is missing; something other than evident has removed it"}
		}
		if err != nil {
			return n, err
		}
		if part == passageClass {
			n.Analyzer = made.Analyzer
		}
	}
	if _, err := bm25.AnalyzerNamed(n.Analyzer); err != nil {
		return n, &ForeignError{c.class(passageClass), err.Error()}
	}
	return n, nil
}
