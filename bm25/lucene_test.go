package bm25

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"evident/internal/lucenecheck"
)

// qaDir is where the question-answering data lies when it is there: next to the repository.
const qaDir = "../../shared/data/qa"

// realCollection indexes the real texts once for all tests that need them.
var realCollection = sync.OnceValues(func() (lucenecheck.Collection, *Segment) {
	c, err := lucenecheck.Real(qaDir)
	if err != nil {
		panic(err)
	}
	return c, buildTexts(Analyzer{}, c.Texts)
})

func buildTexts(a Analyzer, texts []string) *Segment {
	b := NewBuilder(a)
	for _, text := range texts {
		b.Add(text)
	}
	s, err := b.Segment()
	if err != nil {
		panic(err)
	}
	return s
}

// needReal skips where the real texts are not, or where they would take too long.
func needReal(t testing.TB) (lucenecheck.Collection, *Segment) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(qaDir, "corpus_docs.jsonl.gz")); err != nil {
		t.Skipf("the 148,468 paragraphs of %s are absent: this check is left out", qaDir)
	}
	if testing.Short() {
		t.Skip("the 148,468 paragraphs take seconds: left out by -short")
	}
	return realCollection()
}

func TestRanksAsLucene(t *testing.T) {
	t.Run("small", func(t *testing.T) {
		c := lucenecheck.Small()
		compareWithLucene(t, "small", c.Questions, buildTexts(Analyzer{}, c.Texts))
	})
	t.Run("real", func(t *testing.T) {
		c, segment := needReal(t)
		if len(c.Texts) != 148468 || len(c.Questions) < 1000 {
			t.Fatalf("%d texts and %d questions", len(c.Texts), len(c.Questions))
		}
		compareWithLucene(t, "real", c.Questions, segment)
	})
}

// compareWithLucene requires the same documents in the same order, with the same scores but for
// 1e-5 of their size. tools/ref/lucene/run.sh made the lists.
func compareWithLucene(t *testing.T, name string, questions []string, segment *Segment) {
	for _, setting := range lucenecheck.Settings {
		x := newIndex(t, Params{K1: setting[0], B: setting[1]}, Part{Segment: segment})
		at, ranks, exact := 0, 0, 0
		golden := fmt.Sprintf("testdata/lucene-%s-%g-%g.gz", name, setting[0], setting[1])
		err := lucenecheck.EachLine(golden, func(line []byte) error {
			question := questions[at]
			at++
			hits, err := x.Search(question, lucenecheck.Depth)
			if err != nil {
				return err
			}
			want := strings.Fields(string(line))
			if len(hits) != len(want) {
				return fmt.Errorf("%q: %d hits, Lucene has %d", question, len(hits), len(want))
			}
			for i, hit := range hits {
				doc, score, _ := strings.Cut(want[i], ":")
				wantScore, err := strconv.ParseFloat(score, 32)
				if err != nil {
					return err
				}
				off := math.Abs(float64(hit.Score) - wantScore)
				if strconv.Itoa(int(hit.Doc)) != doc || off > 1e-5*wantScore {
					return fmt.Errorf("%q: rank %d is %d:%v, Lucene has %s",
						question, i+1, hit.Doc, hit.Score, want[i])
				}
				ranks++
				if hit.Score == float32(wantScore) {
					exact++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("k1 = %g, b = %g: %v", setting[0], setting[1], err)
		}
		if at != len(questions) {
			t.Fatalf("%s has %d lists, there are %d questions", golden, at, len(questions))
		}
		t.Logf("k1 = %g, b = %g: %d lists alike; %d of %d scores equal to the last bit",
			setting[0], setting[1], at, exact, ranks)
	}
}

func TestPrunedEqualsExhaustiveOnRealTexts(t *testing.T) {
	c, segment := needReal(t)
	n := segment.documents
	parts := []Part{{Segment: segment, Deleted: []DocRange{{7, 1009}, {n / 2, n/2 + 5003}}}}
	for _, x := range []*Index{
		newIndex(t, Params{}, Part{Segment: segment}),
		newIndex(t, Params{K1: 1.2, B: 0.75}, parts...),
	} {
		for i := 0; i < len(c.Questions); i += 31 {
			terms := x.analyzer.Terms(c.Questions[i])
			want := exhaustive(t, x, terms, 100)
			for _, k := range []int{1, 20, 100} {
				sameHits(t, fmt.Sprintf("k=%d %q", k, c.Questions[i]),
					search(t, x, terms, k), want[:min(k, len(want))])
			}
		}
	}
}

// BenchmarkSearch asks the real questions, warm, on one core.
func BenchmarkSearch(b *testing.B) {
	c, segment := needReal(b)
	for _, a := range []Analyzer{{}, DefaultAnalyzer()} {
		if a != segment.Analyzer() {
			segment = buildTexts(a, c.Texts)
		}
		x := newIndex(b, Params{}, Part{Segment: segment})
		for _, k := range []int{20, 100} {
			b.Run(fmt.Sprintf("%s/k=%d", a.Name(), k), func(b *testing.B) {
				benchmarkSearch(b, x, c.Questions, k)
			})
		}
	}
}

func benchmarkSearch(b *testing.B, x *Index, questions []string, k int) {
	var times durations
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		if _, err := x.Search(questions[i%len(questions)], k); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
	}
	b.ReportMetric(times.quantile(0.5), "p50-ms")
	b.ReportMetric(times.quantile(0.99), "p99-ms")
}

// BenchmarkBuild indexes real paragraphs and writes the segment.
func BenchmarkBuild(b *testing.B) {
	c, _ := needReal(b)
	texts := c.Texts[:50021]
	for _, a := range []Analyzer{{}, DefaultAnalyzer()} {
		b.Run(a.Name(), func(b *testing.B) {
			var size int
			for b.Loop() {
				size = buildTexts(a, texts).Size()
			}
			b.ReportMetric(float64(len(texts)*b.N)/b.Elapsed().Seconds(), "passages/s")
			b.ReportMetric(float64(size)/float64(len(texts)), "bytes/passage")
		})
	}
}
