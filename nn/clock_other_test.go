//go:build !linux

package nn

import (
	"testing"
	"time"
)

var start = time.Now()

// clock is wall time where the processor time of a thread is not asked for.
func clock(testing.TB) time.Duration { return time.Since(start) }
