package kernel

import "golang.org/x/sys/unix"

// requestTiles asks Linux to let this process use tiles: it keeps their 8 KiB from those who do
// not ask (arch_prctl(2)). A kernel before 5.16, or a CPU without tiles, refuses.
func requestTiles() error {
	const requestPermission, tileData = 0x1023, 18 // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
	_, _, errno := unix.RawSyscall(unix.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
