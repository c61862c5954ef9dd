package unprivileged

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// layDown takes the capabilities from the thread, and from what programs that it starts may have: to a program
// that root starts the kernel gives all of the bounding set.
func layDown() error {
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // capabilities 0 to 31, and 32 to 63
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	for _, capability := range []uint{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0); err != nil {
			return fmt.Errorf("lay down capability %d: %w", capability, err)
		}
		sets[0].Effective &^= 1 << capability
		sets[0].Permitted &^= 1 << capability
	}
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("lay down capabilities: %w", err)
	}
	return nil
}
