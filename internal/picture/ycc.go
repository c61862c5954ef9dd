package picture

// plane is one component of a JPEG, at the resolution at which it is stored.
type plane struct {
	pix           []uint8
	stride        int
	width, height int // in samples
	across, down  int // pixels of the picture to a sample
}

// coding says what the components of a JPEG mean.
type coding int

const (
	codedYCC  coding = iota // luma and two chroma
	codedRGB                // red, green, blue
	codedYCCK               // luma and chroma of inverted cyan, magenta, yellow; inverted black
	codedCMYK               // the four inks, inverted
)

// coding decides as libjpeg does: by the JFIF and Adobe segments, or else by the components'
// names. That inks are inverted is Adobe's convention; Pillow takes it so without the segment, too.
func (f *jpegFile) coding() coding {
	if len(f.components) == 4 {
		if f.adobe > 0 {
			return codedYCCK
		}
		return codedCMYK
	}
	named := [3]uint8{f.components[0].id, f.components[1].id, f.components[2].id}
	switch {
	case f.jfif:
		return codedYCC
	case f.adobe == 0, f.adobe < 0 && named == [3]uint8{'R', 'G', 'B'}:
		return codedRGB
	}
	return codedYCC
}

// colours brings planes to full size and converts them to RGB in the integer arithmetic of libjpeg,
// which Pillow uses. Given equal planes it yields equal bytes. The planes themselves may differ by
// 1 in some samples: image/jpeg and libjpeg round their inverse cosine transforms otherwise.
func (f *jpegFile) colours(planes []plane) *Image {
	im := newImage(planes[0].width, planes[0].height)
	rows := make([][]uint8, len(planes))
	for i, p := range planes {
		rows[i] = make([]uint8, p.width*p.across) // up to 3 more than the picture has
	}
	coding := f.coding()
	sums := make([]int, planes[0].width)
	for y := range im.Height {
		for i, p := range planes {
			p.row(rows[i], y, sums)
		}
		row := im.Pix[3*y*im.Width:][:3*im.Width]
		switch coding {
		case codedRGB:
			for x := range im.Width {
				row[3*x], row[3*x+1], row[3*x+2] = rows[0][x], rows[1][x], rows[2][x]
			}
		case codedCMYK:
			for x := range im.Width {
				inks(row[3*x:], 255-rows[0][x], 255-rows[1][x], 255-rows[2][x], 255-rows[3][x])
			}
		case codedYCC, codedYCCK:
			ycc(row, rows[0], rows[1], rows[2])
			for x := 0; coding == codedYCCK && x < im.Width; x++ {
				p := row[3*x:]
				inks(p, p[0], p[1], p[2], 255-rows[3][x])
			}
		}
	}
	return im
}

// ycc converts one row of luma and chroma to RGB (ITU-T T.871, with 16 fractional bits).
func ycc(rgb, luma, cb, cr []uint8) {
	n := len(rgb) / 3
	luma, cb, cr = luma[:n], cb[:n], cr[:n]
	for x, l := range luma {
		y, b, r := int32(l), int32(cb[x])-128, int32(cr[x])-128
		p := rgb[3*x:][:3]
		p[0] = clip(y + (91881*r+1<<15)>>16)          // 1.402
		p[1] = clip(y + (-22554*b-46802*r+1<<15)>>16) // 0.34414, 0.71414
		p[2] = clip(y + (116130*b+1<<15)>>16)         // 1.772
	}
}

func clip(v int32) uint8 { return uint8(max(0, min(255, v))) }

// row fills out with row y of the picture. Between samples it interpolates with the weights 3:1,
// as libjpeg does, which calls it fancy upsampling; for ratios for which libjpeg repeats
// samples, they are repeated. sums is room for a row of samples.
func (p plane) row(out []uint8, y int, sums []int) {
	at := y / p.down
	near := p.pix[at*p.stride:][:p.width]
	if p.down == 1 && p.across == 1 {
		copy(out, near)
		return
	}
	if p.across > 2 || p.across == 2 && p.width <= 2 {
		for x := range out {
			out[x] = near[x/p.across]
		}
		return
	}
	if p.down == 1 {
		betweenTwo(out, near)
		return
	}
	other := max(0, min(p.height-1, at-1+y%2*2))
	far := p.pix[other*p.stride:][:p.width]
	if p.across == 1 {
		for x, v := range near {
			out[x] = uint8((3*int(v) + int(far[x]) + 1 + y%2) >> 2)
		}
		return
	}
	sums = sums[:p.width]
	for x, v := range near {
		sums[x] = 3*int(v) + int(far[x])
	}
	betweenFour(out, sums)
}

// betweenTwo doubles a row of at least two samples.
func betweenTwo(out, in []uint8) {
	n := len(in)
	for i, v := range in {
		left, right := in[max(i-1, 0)], in[min(i+1, n-1)]
		out[2*i] = uint8((3*int(v) + int(left) + 1) >> 2)
		out[2*i+1] = uint8((3*int(v) + int(right) + 2) >> 2)
	}
}

// betweenFour doubles a row of sums, each four times a sample.
func betweenFour(out []uint8, sums []int) {
	n := len(sums)
	for i, v := range sums {
		left, right := sums[max(i-1, 0)], sums[min(i+1, n-1)]
		out[2*i] = uint8((3*v + left + 8) >> 4)
		out[2*i+1] = uint8((3*v + right + 7) >> 4)
	}
}
