package kernel

import (
	"sync"

	"golang.org/x/sys/unix"
)

// hasBF16 reports whether the CPU has the products of FEAT_BF16.
var hasBF16 = sync.OnceValue(func() bool {
	has, err := unix.SysctlUint32("hw.optional.arm.FEAT_BF16")
	return err == nil && has != 0
})
