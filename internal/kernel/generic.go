package kernel

import (
	"math"
	"unsafe"
)

// The functions of this file are the plain Go of every machine and the oracle of every other tier.

var genericSet = Set{tier: Generic, tileRows: 16}

type activateFunc = func(x unsafe.Pointer, rows, ldx int)

// tileF32 takes two rows and four columns at a time: as many sums as stay in registers.
func tileF32(c []float32, ldc int, a []float32, lda int, b, init []float32, rows, k, panels int) {
	for p := range panels {
		panel := b[p*k*Columns:][:k*Columns]
		for j := 0; j < Columns; j += 4 {
			var start [4]float32
			if init != nil {
				start = [4]float32(init[p*Columns+j:])
			}
			i := 0
			for ; i+2 <= rows; i += 2 {
				first, second := dot4x2(a[i*lda:][:k], a[(i+1)*lda:][:k], panel, j, start)
				copy(c[i*ldc+p*Columns+j:], first[:])
				copy(c[(i+1)*ldc+p*Columns+j:], second[:])
			}
			if i < rows {
				first, _ := dot4x2(a[i*lda:][:k], a[i*lda:][:k], panel, j, start)
				copy(c[i*ldc+p*Columns+j:], first[:])
			}
		}
	}
}

// dot4x2 returns start + rows x and y times columns j … j+3 of a panel.
func dot4x2(x, y, panel []float32, j int, start [4]float32) (first, second [4]float32) {
	x0, x1, x2, x3 := start[0], start[1], start[2], start[3]
	y0, y1, y2, y3 := x0, x1, x2, x3
	y = y[:len(x)]
	for k, xv := range x {
		w := panel[k*Columns+j:][:4]
		yv := y[k]
		x0 += xv * w[0]
		x1 += xv * w[1]
		x2 += xv * w[2]
		x3 += xv * w[3]
		y0 += yv * w[0]
		y1 += yv * w[1]
		y2 += yv * w[2]
		y3 += yv * w[3]
	}
	return [4]float32{x0, x1, x2, x3}, [4]float32{y0, y1, y2, y3}
}

func tileBF16(
	c []float32, ldc int, a []uint16, lda int, b []uint16, init []float32, rows, k, panels int,
) {
	for p := range panels {
		for i := range rows {
			for j := range Columns {
				sum := float32(0)
				if init != nil {
					sum = init[p*Columns+j]
				}
				for q := range k {
					w := b[((p*k+q)*Columns+j)*2:][:2]
					v := a[i*lda+2*q:][:2]
					sum += FromBF16(v[0])*FromBF16(w[0]) + FromBF16(v[1])*FromBF16(w[1])
				}
				c[i*ldc+p*Columns+j] = sum
			}
		}
	}
}

// FromBF16 widens one value.
func FromBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// RoundBF16 rounds one value to bf16, to nearest even; NaN stays NaN.
func RoundBF16(x float32) uint16 {
	u := math.Float32bits(x)
	if x != x {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

func toBF16(dst []uint16, ldd int, src []float32, lds int, rows, n int) {
	for i := range rows {
		to := dst[i*ldd:][:n]
		for j, v := range src[i*lds:][:n] {
			to[j] = RoundBF16(v)
		}
	}
}

// exponentials replaces row by exp(scale·(row - max)) and returns the sum.
func exponentials(row []float32, scale float32) float64 {
	peak := float32(math.Inf(-1))
	for _, v := range row {
		peak = max(peak, v)
	}
	sum := 0.0
	for j, v := range row {
		e := math.Exp(float64(scale) * (float64(v) - float64(peak)))
		row[j] = float32(e)
		sum += e
	}
	return sum
}

func softmax(x []float32, rows, n, stride int, scale float32) {
	for i := range rows {
		row := x[i*stride:][:n]
		inverse := 1 / exponentials(row, scale)
		for j, v := range row {
			row[j] = float32(float64(v) * inverse)
		}
	}
}

func softmaxBF16(
	dst []uint16, ldd int, inverse, x []float32, rows, n, stride int, scale float32,
	kept []float32, width int,
) {
	for i := range rows {
		row := x[i*stride:][:n]
		factor := 1 / exponentials(row, scale)
		inverse[i] = float32(factor)
		toBF16(dst[i*ldd:], 0, row, 0, 1, n)
		if kept != nil {
			for j, v := range row[:width] {
				kept[i*width+j] = float32(float64(v) * factor)
			}
		}
	}
}

func scaleTile(x, factors []float32, rows int) {
	for i, f := range factors[:rows] {
		row := x[i*Columns:][:Columns]
		for j := range row {
			row[j] *= f
		}
	}
}

func layerNorm(
	dst []float32, ldd int, src []float32, lds int, gain, bias []float32, rows int, epsilon float32,
) {
	n := len(gain)
	for i := range rows {
		from, to := src[i*lds:][:n], dst[i*ldd:][:n]
		mean, variance := 0.0, 0.0
		for _, v := range from {
			mean += float64(v)
		}
		mean /= float64(n)
		for _, v := range from {
			variance += (float64(v) - mean) * (float64(v) - mean)
		}
		scale := 1 / math.Sqrt(variance/float64(n)+float64(epsilon))
		for j, v := range from {
			to[j] = float32((float64(v)-mean)*scale)*gain[j] + bias[j]
		}
	}
}

func activate(f Activation, x []float32, rows, ldx int) {
	for i := range rows {
		row := x[i*ldx:][:Columns]
		for j, v := range row {
			row[j] = f.Of(v)
		}
	}
}

// Of returns f(v), computed in float64.
func (f Activation) Of(v float32) float32 {
	x := float64(v)
	switch f {
	case GELU:
		return float32(x * 0.5 * (1 + math.Erf(x/math.Sqrt2)))
	case GELUTanh:
		return float32(0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))))
	case QuickGELU:
		return float32(x / (1 + math.Exp(-1.702*x)))
	default:
		return max(v, 0)
	}
}

func addTile(dst []float32, ldd int, src []float32, rows int) {
	for i := range rows {
		to := dst[i*ldd:][:Columns]
		for j, v := range src[i*Columns:][:Columns] {
			to[j] += v
		}
	}
}
