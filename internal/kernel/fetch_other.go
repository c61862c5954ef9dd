//go:build !amd64

package kernel

// FetchF32 does nothing on this architecture; on others it asks for memory that is about to be written.
func FetchF32(_ []float32, _, _ int) {}

// FetchBF16 does nothing on this architecture.
func FetchBF16(_ []uint16, _, _ int) {}
