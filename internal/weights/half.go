package weights

import (
	"encoding/binary"
	"math"
)

// ToFloat16 makes an F16 tensor of an F32 one: rounded to nearest, ties to even; what is too large becomes infinite.
func ToFloat16(t Tensor) Tensor {
	data := make([]byte, 0, len(t.Data)/2)
	for at := 0; at+4 <= len(t.Data); at += 4 {
		data = binary.LittleEndian.AppendUint16(data, narrow(math.Float32frombits(binary.LittleEndian.Uint32(t.Data[at:]))))
	}
	return Tensor{F16, t.Shape, data}
}

// narrow rounds to IEEE 754 binary16.
func narrow(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	magnitude := bits & 0x7FFFFFFF
	switch {
	case magnitude > 0x7F800000:
		return sign | 0x7E00 // NaN
	case magnitude >= 0x477FF000: // half a step above the largest, 65504
		return sign | 0x7C00
	case magnitude < 0x38800000: // below the least normal, 2⁻¹⁴: multiples of 2⁻²⁴
		scaled := math.RoundToEven(float64(math.Float32frombits(magnitude)) * (1 << 24))
		return sign | uint16(scaled)
	}
	magnitude += 0xFFF + magnitude>>13&1 // to nearest, ties to even; a carry goes into the exponent
	return sign | uint16(magnitude>>13-(127-15)<<10)
}
