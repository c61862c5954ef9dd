package weights

import (
	"encoding/binary"
	"math"
	"testing"
)

// TestToFloat16: every half number survives, and what lies between goes to the nearer one, of two as near to the even one.
func TestToFloat16(t *testing.T) {
	for h := range 1 << 16 {
		wide := half(uint16(h))
		got := narrow(wide)
		if wide != wide { // NaN
			if back := half(got); back == back {
				t.Fatalf("%#04x becomes %g", h, back)
			}
			continue
		}
		if got != uint16(h) {
			t.Fatalf("%#04x, %g, becomes %#04x", h, wide, got)
		}
	}
	for h := range 0x7BFF { // neighbours
		low, high := float64(half(uint16(h))), float64(half(uint16(h+1)))
		middle := float32((low + high) / 2)
		want := uint16(h)
		if h%2 == 1 {
			want++
		}
		if got := narrow(middle); got != want {
			t.Fatalf("the middle of %g and %g becomes %#04x, want %#04x", low, high, got, want)
		}
		if got := narrow(math.Nextafter32(middle, math.MaxFloat32)); got != uint16(h+1) {
			t.Fatalf("just above the middle of %g and %g: %#04x", low, high, got)
		}
	}
	if got := narrow(65520); got != 0x7C00 {
		t.Errorf("65520 becomes %#04x, want infinity", got)
	}
	if got := narrow(65519); got != 0x7BFF {
		t.Errorf("65519 becomes %#04x, want the largest", got)
	}
	tensor := ToFloat16(FromFloat32([]float32{1, -2}, 2, 1))
	if tensor.DType != F16 || len(tensor.Shape) != 2 || binary.LittleEndian.Uint32(tensor.Data) != 0xC0003C00 {
		t.Errorf("%v", tensor)
	}
}
