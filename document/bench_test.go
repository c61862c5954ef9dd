package document

import (
	"context"
	"strings"
	"testing"
)

const benchmarkParagraph = `The bridge was designed by Dr. A. B. Smith and opened in 1937 after four
years of work. It spans 2.7 km of open water, e.g. the strait between the bay and the ocean, and is
painted in a colour called "international orange". Many visitors (about 10 million a year) walk
across it! Who would have thought so? The U.S. Navy had asked for black and yellow stripes. In the
end the architect's choice was kept: it blends with the hills, and ships see it in the fog.

`

// BenchmarkPlainText reads plain text and cuts it into passages, as indexing does.
func BenchmarkPlainText(b *testing.B) {
	data := []byte(strings.Repeat(benchmarkParagraph, 2000))
	b.SetBytes(int64(len(data)))
	passages := 0
	for b.Loop() {
		d, err := Parse(context.Background(), "a.txt", data, ReadOptions{})
		if err != nil {
			b.Fatal(err)
		}
		passages += len(d.Passages(PassageOptions{}))
	}
	b.ReportMetric(float64(passages)/b.Elapsed().Seconds(), "passages/s")
}
