package kernel

import (
	"os"
	"syscall"
	"testing"
	"unsafe"
)

// guarded returns n zeroed values that end where an unreadable page begins, so that reading or
// writing one byte too far ends the test program.
func guarded[T number](t testing.TB, n int) []T {
	t.Helper()
	page := os.Getpagesize()
	size := n * int(unsafe.Sizeof(*new(T)))
	body := (size + page - 1) / page * page
	memory, err := syscall.Mmap(-1, 0, body+page, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatalf("map %d bytes: %v", body+page, err)
	}
	if err := syscall.Mprotect(memory[body:], syscall.PROT_NONE); err != nil {
		t.Fatalf("protect the guard page: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(memory) })
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&memory[body-size])), n)
}

func guardedCopy[T number](t testing.TB, x []T) []T {
	t.Helper()
	g := guarded[T](t, len(x))
	copy(g, x)
	return g
}
