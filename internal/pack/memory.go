package pack

import (
	"fmt"
	"unsafe"
)

// Number is what sections are made of.
type Number interface {
	~float32 | ~uint16 | ~int32 | ~uint8 | ~int8 | ~uint32 | ~uint64
}

// Numbers returns n zeroed numbers that begin on a cache line.
func Numbers[T Number](n int) []T {
	size := int(unsafe.Sizeof(*new(T)))
	all := make([]T, n+line/size)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(all))) & (line - 1) / uintptr(size))
	return all[skip : skip+n : skip+n]
}

// Bytes is [Numbers] of bytes: the memory of a new section.
func Bytes(n int) []byte { return Numbers[byte](n) }

// View returns n numbers that lie at the beginning of data, and what is behind them. Nothing is copied.
func View[T Number](data []byte, n int) (numbers []T, rest []byte) {
	size := int(unsafe.Sizeof(*new(T)))
	if len(data) < n*size || uintptr(unsafe.Pointer(unsafe.SliceData(data)))%uintptr(size) != 0 {
		panic(fmt.Sprintf("pack: no %d numbers of %d bytes in a section of %d", n, size, len(data)))
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(data))), n)[:n:n], data[n*size:]
}

// Raw returns the bytes of numbers. Nothing is copied.
func Raw[T Number](numbers []T) []byte {
	size := int(unsafe.Sizeof(*new(T)))
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(numbers))), len(numbers)*size)
}

func isAligned(data []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(data)))%line == 0
}
