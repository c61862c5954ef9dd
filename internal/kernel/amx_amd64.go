package kernel

import "unsafe"

// The tiles of AMX: 8 of up to 16 rows of 64 bytes. The speed of these kernels has not been
// measured: no CPU with AMX was at hand. Their results are tested on every Linux machine, with an
// emulator (package emulator) where the CPU lacks them.
const (
	tileRowsAMX  = 16                      // rows of one tile
	tileBytesAMX = 64                      // bytes of a row of a tile
	tileWords    = tileBytesAMX / 4        // words of a that one step multiplies
	blockRowsAMX = 2 * tileRowsAMX         // rows of c that are in tiles at once
	stepBytesAMX = tileWords * 4 * Columns // bytes of a panel that one step multiplies by
)

// callRowsAMX is the number of rows of a call. Shaping the tiles is expected to take as long as
// several products, so a call is worth several blocks; the number is a guess, not measured.
const callRowsAMX = 4 * blockRowsAMX

// amxFunc computes c = init + a·b over steps of k for rows in blocks of equal height.
//
//	c, a         rows ldc and lda bytes apart
//	b            panels ldb bytes apart
//	init         nil, one row with ldi = 0, or rows ldi bytes apart
//	steps        steps of width bytes of a row of a; width is below 64 for a single step only
//	rows, block  a last block that is not full takes rows of the one before once more
type amxFunc = func(
	c, a, b, init unsafe.Pointer, ldc, lda, ldb, ldi, steps, width, rows, block, panels int,
)

// amxTile is the kernels of one arithmetic for blocks of up to 16 and of up to 32 rows.
type amxTile struct{ low, high amxFunc }

func (t amxTile) of(block int) amxFunc {
	if block <= tileRowsAMX {
		return t.low
	}
	return t.high
}

// run computes what a tileFunc does for any number of rows. A rest of k that fills no step is a
// second product with other shapes, which begins with the sums of the first one.
func (t amxTile) run(c, a, b, init unsafe.Pointer, ldc, lda, rows, k, panels int) {
	count := (rows + blockRowsAMX - 1) / blockRowsAMX
	block := (rows + count - 1) / count
	steps, rest := k/tileWords, k%tileWords
	ldb := k * 4 * Columns
	if rest == 0 {
		t.of(block)(c, a, b, init, ldc, lda, ldb, 0, steps, tileBytesAMX, rows, block, panels)
		return
	}
	if steps == 0 {
		t.of(block)(c, a, b, init, ldc, lda, ldb, 0, 1, 4*rest, rows, block, panels)
		return
	}
	t.of(block)(c, a, b, init, ldc, lda, ldb, 0, steps, tileBytesAMX, rows, block, panels)
	a, b = unsafe.Add(a, steps*tileBytesAMX), unsafe.Add(b, steps*stepBytesAMX)
	whole := rows / block * block // no row may be taken twice
	t.of(block)(c, a, b, c, ldc, lda, ldb, ldc, 1, 4*rest, whole, block, panels)
	if last := rows - whole; last > 0 {
		c, a = unsafe.Add(c, whole*ldc), unsafe.Add(a, whole*lda)
		t.of(last)(c, a, b, c, ldc, lda, ldb, ldc, 1, 4*rest, last, last, panels)
	}
}

// withAMX returns the functions of a set, with those of AMX in place of its products of bf16 and,
// where the CPU multiplies them in tiles, bytes.
func withAMX(s Set, bytes bool) Set {
	const products = 4 * tileRowsAMX * tileRowsAMX // sums of a round of the peaks
	s.tier, s.tileRows, s.pairs = AMXBF16, callRowsAMX, tileWords
	s.anyRowsBF16 = amxTile{tileBF16AMX1, tileBF16AMX2}.run
	s.peaks = s.withPeak(peak{"bf16", products * tileBytesAMX / 2 * 2, peakBF16AMX})
	if bytes {
		s.anyRowsInt8 = amxTile{tileInt8AMX1, tileInt8AMX2}.run
		s.peaks = s.withPeak(peak{"int8", products * tileBytesAMX * 2, peakInt8AMX})
	}
	return s
}

// withPeak returns the set's peaks with p instead of the one of its precision.
func (s *Set) withPeak(p peak) []peak {
	all := []peak{p}
	for _, old := range s.peaks {
		if old.precision != p.precision {
			all = append(all, old)
		}
	}
	return all
}
