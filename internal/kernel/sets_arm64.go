package kernel

var sets = [...]Set{
	Generic: genericSet,
	NEON: {
		tier: NEON, tileRows: len(tileF32NEON) - 1, tileF32: tileF32NEON[:],
		softmax: softmaxNEON, softmaxBF16: softmaxBF16NEON, norms: []normFunc{{4, layerNormNEON}},
		activate: [...]activateFunc{geluNEON, geluTanhNEON, quickGELUNEON, reluNEON},
		slope:    [...]activateFunc{geluSlopeNEON, geluTanhSlopeNEON, quickGELUSlopeNEON, reluSlopeNEON},
		gate:     gateNEON, addPositive: addPositiveNEON,
		addTile: addTileNEON, scaleTile: scaleTileNEON, toBF16: toBF16NEON,
		transpose: transposeNEON, interleave: interleaveNEON,
		quantise: quantiseNEON, dequantise: dequantiseNEON,
		peaks: []peak{{"fp32", 24 * 4 * 2, peakF32NEON}},
	},
}

// Features names the abilities of this CPU that matter here, as in /proc/cpuinfo. Every CPU of this
// architecture that Go runs on has vectors of 128 bits.
func Features() []string { return []string{"asimd"} }

// missingFeatures names what a tier needs and this machine lacks.
func missingFeatures(t Tier) []string {
	if t > NEON {
		return []string{"an amd64 CPU"}
	}
	return nil
}
