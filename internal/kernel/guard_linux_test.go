package kernel

import (
	"os"
	"syscall"
	"testing"
	"unsafe"
)

// guardSides are the sides of an operand on which a page that cannot be read or written may lie.
var guardSides = []string{"guard-behind", "guard-before"}

// guardBefore puts the guard page directly before what guarded returns, not directly behind it.
var guardBefore bool

// guarded returns n zeroed values that end where a guard page begins, or begin where one ends, so
// that reading or writing one byte too far on that side ends the test program. On the other side
// lies another such page, less than a page away.
func guarded[T number](t testing.TB, n int) []T {
	t.Helper()
	page := os.Getpagesize()
	size := n * int(unsafe.Sizeof(*new(T)))
	body := (size + page - 1) / page * page
	memory, err := syscall.Mmap(-1, 0, page+body+page, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatalf("map %d bytes: %v", len(memory), err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(memory) })
	for _, guard := range [][]byte{memory[:page], memory[page+body:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Fatalf("protect a guard page: %v", err)
		}
	}
	if n == 0 {
		return nil
	}
	start := page + body - size
	if guardBefore {
		start = page
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&memory[start])), n)
}

func guardedCopy[T number](t testing.TB, x []T) []T {
	t.Helper()
	g := guarded[T](t, len(x))
	copy(g, x)
	return g
}
