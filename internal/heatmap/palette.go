package heatmap

import (
	"fmt"
	"image/color"
	"math"
)

// Palette turns 0…1 into a colour.
type Palette []color.RGBA // 256 of them

// The palettes.
var (
	// Even climbs evenly in lightness, from dark blue over red to light yellow, so that equal steps
	// look equal, in grey and to eyes that do not tell red from green too.
	Even = evenPalette()
	// Jet is the rainbow of many papers. It shows edges where there are none.
	Jet = jetPalette()
)

// PaletteNamed returns the palette of a name.
func PaletteNamed(name string) (Palette, error) {
	switch name {
	case "even", "":
		return Even, nil
	case "jet":
		return Jet, nil
	}
	return nil, fmt.Errorf("there is no palette %q: there are even and jet", name)
}

// Colour returns the colour of a value; what lies outside of 0…1 gets that of the end.
func (p Palette) Colour(v float32) color.RGBA {
	return p[int(min(max(v, 0), 1)*255+0.5)]
}

// evenPalette walks through Oklab (Ottosson 2020) in equal steps of lightness. The hues turn from
// blue over magenta and orange to yellow; chroma is what sRGB can hold on that way.
func evenPalette() Palette {
	stops := []struct{ at, chroma, hue float64 }{ // hue in degrees
		{0, 0.10, 278}, {0.25, 0.17, 300}, {0.5, 0.20, 368}, {0.72, 0.18, 410}, {1, 0.11, 468},
	}
	p := make(Palette, 256)
	for i := range p {
		v := float64(i) / 255
		k := 0
		for v > stops[k+1].at {
			k++
		}
		from, to := stops[k], stops[k+1]
		t := (v - from.at) / (to.at - from.at)
		chroma, hue := from.chroma+t*(to.chroma-from.chroma), from.hue+t*(to.hue-from.hue)
		p[i] = oklch(0.22+0.73*v, chroma, hue)
	}
	return p
}

// oklch returns the sRGB colour of a lightness, chroma and hue of Oklab. Chroma gives way until the
// colour exists, lightness does not.
func oklch(lightness, chroma, degrees float64) color.RGBA {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	for ; ; chroma -= 0.002 {
		r, g, b := linear(lightness, chroma*cos, chroma*sin)
		inside := min(r, g, b) >= -1e-6 && max(r, g, b) <= 1+1e-6
		if inside || chroma <= 0 {
			return color.RGBA{encode(r), encode(g), encode(b), 255}
		}
	}
}

// linear turns Oklab into linear sRGB.
func linear(l, a, b float64) (red, green, blue float64) {
	long := l + 0.3963377774*a + 0.2158037573*b
	medium := l - 0.1055613458*a - 0.0638541728*b
	short := l - 0.0894841775*a - 1.2914855480*b
	long, medium, short = long*long*long, medium*medium*medium, short*short*short
	return 4.0767416621*long - 3.3077115913*medium + 0.2309699292*short,
		-1.2684380046*long + 2.6097574011*medium - 0.3413193965*short,
		-0.0041960863*long - 0.7034186147*medium + 1.7076147010*short
}

// encode is sRGB's transfer curve.
func encode(v float64) uint8 {
	v = min(max(v, 0), 1)
	if v <= 0.0031308 {
		v *= 12.92
	} else {
		v = 1.055*math.Pow(v, 1/2.4) - 0.055
	}
	return uint8(v*255 + 0.5)
}

// jetPalette is four ramps, each channel a trapezium.
func jetPalette() Palette {
	p := make(Palette, 256)
	ramp := func(v, centre float64) uint8 {
		return uint8(255*min(max(1.5-math.Abs(4*v-centre), 0), 1) + 0.5)
	}
	for i := range p {
		v := float64(i) / 255
		p[i] = color.RGBA{ramp(v, 3), ramp(v, 2), ramp(v, 1), 255}
	}
	return p
}
