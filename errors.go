package evident

import (
	"errors"
	"fmt"

	"evident/api"
)

// The errors that callers branch on, with errors.Is. They are those of package api, so that they match
// on either side of the wire.
var (
	// ErrNoIndex says that a data folder holds no index.
	ErrNoIndex = api.ErrNoIndex
	// ErrLocked says that another process writes to the index.
	ErrLocked = api.ErrLocked
	// ErrDamaged says that a file of the index or of a model is not what it was written as.
	ErrDamaged = api.ErrDamaged
	// ErrModelMissing says that there are no weights where they are looked for.
	ErrModelMissing = api.ErrModelMissing
	// ErrEmptyIndex says that no document was indexed, so that nothing can be asked.
	ErrEmptyIndex = api.ErrEmptyIndex
	// ErrOtherModel says that pictures or phrases of an index were made with another model than is asked.
	ErrOtherModel = api.ErrOtherModel
	// ErrNoPhrases says that an index has no phrases, which one of the engines needs.
	ErrNoPhrases = api.ErrNoPhrases
	// ErrNoCaptions says that a model has no decoder of captions, and that there is none to choose from.
	ErrNoCaptions = api.ErrNoCaptions
	// ErrNoDocument says that a path is not in the index.
	ErrNoDocument = api.ErrNoDocument
	// ErrUnavailable says that a cluster does not answer, or not with enough of its copies.
	ErrUnavailable = api.ErrUnavailable
	// ErrFolderOnly says that only an index in a folder can do something, not one on a cluster.
	ErrFolderOnly = errors.New("this index is on a cluster")
	// ErrSpan says that a span is not within a stored text, or cuts a character.
	ErrSpan = api.ErrSpan
)

// QuestionError says why a question cannot be asked.
type QuestionError struct {
	Words int // in the question
	Max   int // that are allowed
}

// Error describes the error.
func (e *QuestionError) Error() string {
	if e.Words == 0 {
		return "the question is empty"
	}
	return fmt.Sprintf("the question has %d words, at most %d are read", e.Words, e.Max)
}
