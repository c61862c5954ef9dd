package evident

import (
	"errors"
	"fmt"
)

// The errors that callers branch on, with errors.Is.
var (
	// ErrNoIndex says that a data folder holds no index.
	ErrNoIndex = errors.New("no index")
	// ErrLocked says that another process writes to the index.
	ErrLocked = errors.New("index is locked by another process")
	// ErrDamaged says that a file of the index or of a model is not what it was written as.
	ErrDamaged = errors.New("file is damaged")
	// ErrModelMissing says that there are no weights where they are looked for.
	ErrModelMissing = errors.New("model is missing")
	// ErrEmptyIndex says that no document was indexed, so that nothing can be asked.
	ErrEmptyIndex = errors.New("the index holds no documents")
	// ErrOtherModel says that the pictures of an index were seen by another model than is asked.
	ErrOtherModel = errors.New("the index was made with another vision model")
	// ErrNoDocument says that a path is not in the index.
	ErrNoDocument = errors.New("no such document in the index")
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
