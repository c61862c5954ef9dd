package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

var sets = [...]Set{
	Generic:  genericSet,
	NEON:     neonSet(NEON),
	NEONBF16: neonSet(NEONBF16),
}

// neonSet is the functions of a tier of arm64; only products differ between them.
func neonSet(t Tier) Set {
	s := Set{
		tier: t, tileRows: len(tileF32NEON) - 1, tileF32: tileF32NEON[:],
		softmax: softmaxNEON, softmaxBF16: softmaxBF16KeptNEON, norms: []normFunc{{4, layerNormNEON}},
		activate: [...]activateFunc{geluNEON, geluTanhNEON, quickGELUNEON, reluNEON},
		slope:    [...]activateFunc{geluSlopeNEON, geluTanhSlopeNEON, quickGELUSlopeNEON, reluSlopeNEON},
		gate:     gateNEON, addPositive: addPositiveNEON,
		addTile: addTileNEON, scaleTile: scaleTileNEON, toBF16: toBF16NEON,
		transpose: transposeNEON, interleave: interleaveNEON,
		quantise: quantiseNEON, dequantise: dequantiseNEON,
		peaks: []peak{{"fp32", 24 * 4 * 2, peakF32NEON}},
	}
	if t == NEONBF16 {
		s.tileBF16 = tileBF16NEON[:]
		s.peaks = append(s.peaks, peak{"bf16", 24 * 8 * 2, peakBF16NEON})
	}
	if cpu.ARM64.HasI8MM {
		s.tileInt8 = tileInt8NEON[:]
		s.peaks = append(s.peaks, peak{"int8", 24 * 16 * 2, peakInt8NEON})
	}
	return s
}

// softmaxBF16KeptNEON is softmaxBF16NEON and, where the weights are kept, softmaxNEON after it: handing
// them out costs a second pass here. Strides are in bytes.
func softmaxBF16KeptNEON(
	dst, inverse, x unsafe.Pointer, rows, n, ldd, stride int, scale float32, kept unsafe.Pointer, width int,
) {
	softmaxBF16NEON(dst, inverse, x, rows, n, ldd, stride, scale)
	if kept == nil {
		return
	}
	softmaxNEON(x, rows, n, stride, scale)
	to := unsafe.Slice((*float32)(kept), rows*width)
	for row := range rows {
		copy(to[row*width:][:width], unsafe.Slice((*float32)(unsafe.Add(x, row*stride)), width))
	}
}

// Features names the abilities of this CPU that matter here, as in /proc/cpuinfo. Every CPU of this
// architecture that Go runs on has vectors of 128 bits.
func Features() []string {
	names := []string{"asimd"}
	if hasBF16() {
		names = append(names, "bf16")
	}
	if cpu.ARM64.HasI8MM {
		names = append(names, "i8mm")
	}
	return names
}

// missingFeatures names what a tier needs and this machine lacks.
func missingFeatures(t Tier) []string {
	switch {
	case t > NEONBF16:
		return []string{"the amd64 instruction set"}
	case t == NEONBF16 && !hasBF16():
		return []string{"bf16"}
	}
	return nil
}
