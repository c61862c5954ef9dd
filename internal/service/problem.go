package service

import (
	"context"
	"errors"
	"strconv"

	"evident"
	"evident/api"
	"evident/internal/extract"
	"evident/internal/filelock"
)

// problem turns an error of the library into what travels.
func (n *names) problem(err error) error {
	var known *api.Problem
	if err == nil || errors.As(err, &known) {
		return err
	}
	return n.coded(codeOf(err), detail(err), err)
}

// coded is a problem of a code.
func (n *names) coded(code, detail string, err error) *api.Problem {
	return api.NewProblem(code, n.in(detail)).Because(err)
}

// codeOf finds the code of an error.
func codeOf(err error) string {
	var question *evident.QuestionError
	var text *evident.TextError
	var size *evident.PhotoSizeError
	var mask *evident.MaskError
	var refusal *extract.Refusal
	var held *filelock.HeldError
	var misfit *evident.ExportError
	switch {
	case errors.As(err, &held):
		return "locked"
	case errors.Is(err, evident.ErrSnapshotExists):
		return "conflict"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.As(err, &question):
		return "bad-question"
	case errors.As(err, &text):
		return "bad-text"
	case errors.As(err, &mask):
		return "bad-mask"
	case errors.As(err, &misfit):
		return "other-encoder"
	case errors.As(err, &size):
		return "image-too-large"
	case errors.Is(err, evident.ErrTruncated):
		return "not-an-image"
	case errors.As(err, &refusal):
		return "no-page"
	}
	for _, k := range api.Kinds {
		if k.Sentinel != nil && errors.Is(err, k.Sentinel) {
			return k.Code
		}
	}
	return "internal"
}

// detail says what went wrong, and what was meant perhaps.
func detail(err error) string {
	var text *evident.TextError
	if errors.As(err, &text) && len(text.Nearest) > 0 {
		return text.Error() + "; did you mean " + quoted(text.Nearest[0]) + "?"
	}
	if codeOf(err) == "internal" {
		return "the server made a mistake" // what exactly is in the log, not for strangers
	}
	return err.Error()
}

func quoted(text string) string { return strconv.Quote(text) }
