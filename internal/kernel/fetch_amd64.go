package kernel

// FetchF32 asks for the memory of rows of 32 values, ldd apart, that are about to be written. A tile is
// computed meanwhile; without it every row of a wide matrix would wait for its page and its line.
func FetchF32(dst []float32, ldd, rows int) {
	if rows > 0 && len(dst) > 0 {
		fetchRows2(f32(dst), rows, 4*ldd)
	}
}

// FetchBF16 is FetchF32 for rows of 32 values of bf16.
func FetchBF16(dst []uint16, ldd, rows int) {
	if rows > 0 && len(dst) > 0 {
		fetchRows1(u16(dst), rows, 2*ldd)
	}
}
