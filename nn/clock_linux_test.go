package nn

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// clock is the processor time of the calling thread, to which its goroutine has to be locked: other work
// on the machine does not count.
func clock(t testing.TB) time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		t.Fatalf("read the thread's processor time: %v", err)
	}
	return time.Duration(now.Nano())
}
