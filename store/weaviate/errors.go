package weaviate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/weaviate/weaviate-go-client/v5/weaviate/fault"

	"evident/internal/filelock"
	"evident/store"
)

// ErrUnavailable says that a cluster does not answer, or not with enough of its copies.
var ErrUnavailable = errors.New("the cluster is not available")

// ErrKey says that a cluster asks for a key, or for another one.
var ErrKey = errors.New("the cluster asks for an API key, or for another one")

// UnreachableError is [ErrUnavailable]: no host answered.
type UnreachableError struct {
	Address string
	Causes  []error // by host
}

// Error names the address and what each host said.
func (e *UnreachableError) Error() string {
	causes := make([]string, len(e.Causes))
	for i, cause := range e.Causes {
		causes[i] = cause.Error()
	}
	return fmt.Sprintf("no host of %s answers (%s)", e.Address, strings.Join(causes, "; "))
}

// Is makes errors.Is(err, ErrUnavailable) true.
func (e *UnreachableError) Is(target error) bool { return target == ErrUnavailable }

// Unwrap returns the causes.
func (e *UnreachableError) Unwrap() []error { return e.Causes }

// CopiesError is [ErrUnavailable]: so few nodes are alive that what is written could be on one alone.
type CopiesError struct {
	Alive, Needed, Nodes int
}

// Error says how many there are.
func (e *CopiesError) Error() string {
	return fmt.Sprintf("%d of %d nodes are healthy, and what is written needs %d", e.Alive, e.Nodes, e.Needed)
}

// Is makes errors.Is(err, ErrUnavailable) true.
func (e *CopiesError) Is(target error) bool { return target == ErrUnavailable }

// IncompleteError is [ErrUnavailable]: no host has the whole of a journal yet. A node that has been away
// catches up by itself.
type IncompleteError struct {
	Class       string
	Found, Want int // entries
}

// Error says how much is there.
func (e *IncompleteError) Error() string {
	return fmt.Sprintf("class %s: %d entries of the journal, not the %d of its head; the nodes have not caught up",
		e.Class, e.Found, e.Want)
}

// Is makes errors.Is(err, ErrUnavailable) true.
func (e *IncompleteError) Is(target error) bool { return target == ErrUnavailable }

// ForeignError says that a class of the name exists and is not as this package makes it.
type ForeignError struct{ Class, Reason string }

// Error names the class.
func (e *ForeignError) Error() string { return fmt.Sprintf("class %s: %s", e.Class, e.Reason) }

// LockedError is [store.ErrLocked] with who holds the lock.
type LockedError struct {
	Class string // that is the lock
	filelock.Holder
	Renewed time.Time // when the holder last said that it is at work
}

// Error names the lock and its holder.
func (e *LockedError) Error() string {
	return fmt.Sprintf("%v: %v holds class %s, last renewed %s ago",
		store.ErrLocked, e.Holder, e.Class, time.Since(e.Renewed).Round(time.Second))
}

// Is makes errors.Is(err, store.ErrLocked) true.
func (e *LockedError) Is(target error) bool { return target == store.ErrLocked }

// status returns the HTTP status that an error of the client stands for, and 0 where no answer came.
func status(err error) int {
	var e *fault.WeaviateClientError
	for errors.As(err, &e) && e.DerivedFromError != nil {
		err = e.DerivedFromError // the client's errors do not unwrap
		e = nil
	}
	if errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}

// plain returns the innermost error of the client's, without its advice to look into it.
func plain(err error) error {
	var e *fault.WeaviateClientError
	for errors.As(err, &e) {
		if e.DerivedFromError == nil {
			return fmt.Errorf("status %d: %s", e.StatusCode, strings.TrimSpace(e.Msg))
		}
		err, e = e.DerivedFromError, nil
	}
	return err
}

// elsewhere says whether another host may succeed where one failed with err.
func elsewhere(err error) bool {
	var e *fault.WeaviateClientError
	var answered *answerError
	switch {
	case errors.As(err, &answered), errors.Is(err, context.DeadlineExceeded):
		return true
	case !errors.As(err, &e):
		return false
	}
	code := status(err)
	return code <= 0 || code >= http.StatusInternalServerError || code == http.StatusTooManyRequests
}

// answerError is an error inside a query's answer.
type answerError struct{ messages []string }

func (e *answerError) Error() string { return strings.Join(e.messages, "; ") }
