package eval

import (
	"fmt"
	"io"
	"strings"
)

// ReliabilityPlot describes a reliability diagram: how often statements came true, by the
// probability that was claimed for them.
type ReliabilityPlot struct {
	Title string
	Bins  []Bin // from [EqualWidthBins] or [EqualMassBins]
}

// Geometry of the plot in SVG units: the square of accuracies above, the counts below.
const (
	plotLeft, plotTop = 64.0, 56.0
	plotSide          = 320.0
	countsTop         = plotTop + plotSide + 28
	countsHeight      = 56.0
	plotWidth         = plotLeft + plotSide + 24
	plotHeight        = countsTop + countsHeight + 48
)

// plotStyle draws in greys and one blue that read on white and on black; the page behind decides.
const plotStyle = `<style>
text{font:12px system-ui,sans-serif;fill:#6b7280}
.title{font-size:14px;font-weight:600}
.axis{stroke:#9ca3af;stroke-width:1;fill:none}
.grid{stroke:#9ca3af;stroke-opacity:.25;stroke-width:1}
.ideal{stroke:#6b7280;stroke-width:1.5;stroke-dasharray:5 4}
.bar{fill:#3b82f6;fill-opacity:.75}
.gap{fill:#f59e0b;fill-opacity:.35;stroke:#f59e0b;stroke-width:1}
.count{fill:#9ca3af;fill-opacity:.6}
</style>
`

// WriteSVG draws the diagram: a bar per bin from 0 to the share that came true, the distance to
// the claimed mean in amber, the ideal as a dashed diagonal, and below how many statements fell
// into each bin. It has a text equivalent for readers who cannot see it.
func (p *ReliabilityPlot) WriteSVG(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" `+
		`height="%g" role="img" aria-labelledby="t d">`+"\n",
		plotWidth, plotHeight, plotWidth, plotHeight)
	fmt.Fprintf(&b, "<title id=\"t\">%s</title>\n<desc id=\"d\">%s</desc>\n%s",
		escape(p.Title), escape(p.description()), plotStyle)
	p.writeFrame(&b)
	p.writeBars(&b)
	fmt.Fprintf(&b, `<line class="ideal" x1="%g" y1="%g" x2="%g" y2="%g"/>`+"\n</svg>\n",
		plotX(0), plotY(0), plotX(1), plotY(1))
	_, err := io.WriteString(w, b.String())
	return err
}

func plotX(v float64) float64 { return plotLeft + v*plotSide }
func plotY(v float64) float64 { return plotTop + (1-v)*plotSide }

// description says in words what the plot shows.
func (p *ReliabilityPlot) description() string {
	var b strings.Builder
	for _, bin := range p.Bins {
		if bin.Count > 0 {
			fmt.Fprintf(&b, "claimed %.2f, true %.2f (%d); ", bin.Claimed, bin.Accuracy, bin.Count)
		}
	}
	return strings.TrimSuffix(b.String(), "; ")
}

func (p *ReliabilityPlot) writeFrame(b *strings.Builder) {
	for i := range 6 {
		v := float64(i) / 5
		fmt.Fprintf(b, `<line class="grid" x1="%g" y1="%g" x2="%g" y2="%g"/>`+"\n",
			plotX(0), plotY(v), plotX(1), plotY(v))
		fmt.Fprintf(b, `<text x="%g" y="%g" text-anchor="end">%.1f</text>`+"\n",
			plotLeft-8, plotY(v)+4, v)
		fmt.Fprintf(b, `<text x="%g" y="%g" text-anchor="middle">%.1f</text>`+"\n",
			plotX(v), countsTop+countsHeight+18, v)
	}
	fmt.Fprintf(b, `<rect class="axis" x="%g" y="%g" width="%g" height="%g"/>`+"\n",
		plotLeft, plotTop, plotSide, plotSide)
	fmt.Fprintf(b, `<line class="axis" x1="%g" y1="%g" x2="%g" y2="%g"/>`+"\n",
		plotX(0), countsTop+countsHeight, plotX(1), countsTop+countsHeight)
	fmt.Fprintf(b, `<text class="title" x="%g" y="22">%s</text>`+"\n", plotLeft, escape(p.Title))
	total := 0
	for _, bin := range p.Bins {
		total += bin.Count
	}
	fmt.Fprintf(b, `<text x="%g" y="42">expected calibration error %.1f points, n = %d</text>`+"\n",
		plotLeft, percent(ExpectedCalibrationError(p.Bins)), total)
	fmt.Fprintf(b, `<text x="%g" y="%g" text-anchor="middle">claimed probability</text>`+"\n",
		plotX(0.5), plotHeight-10)
	fmt.Fprintf(b, `<text transform="translate(18 %g) rotate(-90)" text-anchor="middle">`+
		"share correct</text>\n", plotY(0.5))
	fmt.Fprintf(b, `<text transform="translate(18 %g) rotate(-90)" text-anchor="middle">`+
		"count</text>\n", countsTop+countsHeight/2)
}

func (p *ReliabilityPlot) writeBars(b *strings.Builder) {
	largest := 1
	for _, bin := range p.Bins {
		largest = max(largest, bin.Count)
	}
	for _, bin := range p.Bins {
		if bin.Count == 0 {
			continue
		}
		x, width := plotX(bin.Low)+1, max((bin.High-bin.Low)*plotSide-2, 1.5)
		fmt.Fprintf(b, `<rect class="bar" x="%.2f" y="%.2f" width="%.2f" height="%.2f">`+
			"<title>%d statements, claimed %.3f, correct %.3f</title></rect>\n",
			x, plotY(bin.Accuracy), width, bin.Accuracy*plotSide,
			bin.Count, bin.Claimed, bin.Accuracy)
		high, low := max(bin.Accuracy, bin.Claimed), min(bin.Accuracy, bin.Claimed)
		fmt.Fprintf(b, `<rect class="gap" x="%.2f" y="%.2f" width="%.2f" height="%.2f"/>`+"\n",
			x, plotY(high), width, (high-low)*plotSide)
		height := float64(bin.Count) / float64(largest) * (countsHeight - 14)
		fmt.Fprintf(b, `<rect class="count" x="%.2f" y="%.2f" width="%.2f" height="%.2f"/>`+"\n",
			x, countsTop+countsHeight-height, width, height)
		if width > 14 {
			fmt.Fprintf(b, `<text x="%.2f" y="%.2f" text-anchor="middle" font-size="9">%d</text>`+"\n",
				x+width/2, countsTop+countsHeight-height-3, bin.Count)
		}
	}
}

// escape makes text safe inside SVG elements.
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}
