package kernel

import (
	"sync"

	"golang.org/x/sys/unix"
)

// What Linux tells a program of its CPU (include/uapi/linux/auxvec.h, arch/arm64's hwcap.h);
// x/sys/cpu does not name this feature.
const (
	auxiliaryHWCAP2 = 26
	hwcap2BF16      = 1 << 14
)

// hasBF16 reports whether the CPU has the products of FEAT_BF16.
var hasBF16 = sync.OnceValue(func() bool {
	vector, err := unix.Auxv()
	if err != nil {
		return false
	}
	for _, entry := range vector {
		if entry[0] == auxiliaryHWCAP2 {
			return entry[1]&hwcap2BF16 != 0
		}
	}
	return false
})
