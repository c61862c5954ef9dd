package kernel

import "golang.org/x/sys/cpu"

var avx512Set = Set{
	tier: AVX512, tileRows: len(tileF32AVX512) - 1, tileF32: tileF32AVX512[:],
	softmax: softmaxAVX512, norms: []normFunc{{16, layerNormAVX512}, {8, layerNormAVX2}},
	activate: [...]activateFunc{geluAVX512, geluTanhAVX512, quickGELUAVX512, reluAVX512},
	slope:    [...]activateFunc{geluSlopeAVX512, geluTanhSlopeAVX512, quickGELUSlopeAVX512, reluSlopeAVX512},
	gate:     gateAVX512, addPositive: addPositiveAVX512,
	signs: positiveSignsAVX512, spread: spreadSignsAVX512, spreadBF16: spreadSignsBF16AVX512,
	addProduct: addProductAVX512, gateRows: gateRowsAVX512,
	addTile: addTileAVX512, toBF16: toBF16AVX512, transpose: transposeAVX2,
	interleave: interleaveAVX512, scaleTile: scaleTileAVX512,
	tileInt8: whereVNNI(tileInt8AVX512[:]),
	quantise: quantiseAVX512, dequantise: dequantiseAVX512,
	dotBytes: withVNNI(dotBytesAVX512, dotBytesAVX2), dotBytesAt: withVNNI(dotBytesAtAVX512, dotBytesAtAVX2),
	estimate: estimateAVX512,
	peaks: []peak{
		{"fp32", 24 * 16 * 2, peakF32AVX512},
		{"int8", 24 * 64 * 2, peakInt8AVX512},
	},
}

var sets = [...]Set{
	Generic: genericSet,
	AVX2: {
		tier: AVX2, tileRows: len(tileF32AVX2) - 1, tileF32: tileF32AVX2[:],
		softmax: softmaxAVX2, norms: []normFunc{{8, layerNormAVX2}},
		activate: [...]activateFunc{geluAVX2, geluTanhAVX2, quickGELUAVX2, reluAVX2},
		slope:    [...]activateFunc{geluSlopeAVX2, geluTanhSlopeAVX2, quickGELUSlopeAVX2, reluSlopeAVX2},
		gate:     gateAVX2, addPositive: addPositiveAVX2,
		signs: positiveSignsAVX2, addProduct: addProductAVX2, gateRows: gateRowsAVX2,
		addTile: addTileAVX2, toBF16: toBF16AVX2, transpose: transposeAVX2,
		dotBytes: dotBytesAVX2, dotBytesAt: dotBytesAtAVX2, estimate: estimateAVX2,
		peaks: []peak{{"fp32", 12 * 8 * 2, peakF32AVX2}},
	},
	AVX512:     avx512Set,
	AVX512BF16: withBF16(avx512Set),
	AMXBF16:    withAMX(withBF16(avx512Set), cpu.X86.HasAMXInt8),
}

// withBF16 returns the functions of a set with AVX-512, and those that multiply and round bf16.
func withBF16(s Set) Set {
	s.tier, s.tileBF16 = AVX512BF16, tileBF16AVX512[:]
	s.softmaxBF16, s.toBF16, s.gateBF16 = softmaxBF16AVX512, toBF16Native, gateRowsBF16AVX512
	s.peaks = s.withPeak(peak{"bf16", 24 * 32 * 2, peakBF16AVX512})
	return s
}

// whereVNNI returns the kernels if this CPU multiplies bytes. That came to some CPUs of the tier
// only.
func whereVNNI(tiles []tileFunc) []tileFunc {
	if !cpu.X86.HasAVX512VNNI {
		return nil
	}
	return tiles
}

// withVNNI returns the function for CPUs that multiply bytes, or else the other.
func withVNNI[F any](fast, other F) F {
	if cpu.X86.HasAVX512VNNI {
		return fast
	}
	return other
}

// noTier is above every tier: of features that are told and not used.
const noTier = Tier(255)

// feature is something a CPU has or lacks, and the lowest tier that needs it.
type feature struct {
	tier Tier
	name string
	has  bool
}

// features asks x/sys/cpu, which reports a vector feature only where the operating system saves
// its registers (XCR0).
func features() []feature {
	return []feature{
		{AVX2, "avx2", cpu.X86.HasAVX2},
		{AVX2, "fma", cpu.X86.HasFMA},
		{AVX512, "avx512f", cpu.X86.HasAVX512F},
		{AVX512, "avx512bw", cpu.X86.HasAVX512BW},
		{AVX512, "avx512dq", cpu.X86.HasAVX512DQ},
		{AVX512, "avx512vl", cpu.X86.HasAVX512VL},
		{AVX512BF16, "avx512_bf16", cpu.X86.HasAVX512BF16},
		{AMXBF16, "amx_tile", hasTiles()},
		{AMXBF16, "amx_bf16", cpu.X86.HasAMXBF16},
		{noTier, "avx512_vnni", cpu.X86.HasAVX512VNNI},
		{noTier, "amx_int8", cpu.X86.HasAMXInt8},
	}
}

// Features names the abilities of this CPU that matter here, as in /proc/cpuinfo.
func Features() []string {
	var names []string
	for _, f := range features() {
		if f.has {
			names = append(names, f.name)
		}
	}
	return names
}

// missingFeatures names what a tier needs and this machine lacks.
func missingFeatures(t Tier) []string {
	if t == NEON || t == NEONBF16 {
		return []string{"the arm64 instruction set"}
	}
	if t == AMXBF16 && emulated.Load() {
		return nil
	}
	var missing []string
	for _, f := range features() {
		if f.tier <= t && !f.has {
			missing = append(missing, f.name)
		}
	}
	if t == AMXBF16 && hasTiles() && !tilesPermitted() {
		missing = append(missing, "permission to use amx")
	}
	return missing
}
