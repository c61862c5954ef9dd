package bm25_test

import (
	"fmt"

	"evident/bm25"
)

func Example() {
	builder := bm25.NewBuilder(bm25.DefaultAnalyzer())
	builder.Add("The Danube rises in the Black Forest.")
	builder.Add("Four capitals lie on the Danube: Vienna, Bratislava, Budapest and Belgrade.")
	builder.Add("The Rhine rises in the Swiss Alps.")
	segment, err := builder.Segment()
	if err != nil {
		panic(err)
	}
	index, err := bm25.NewIndex([]bm25.Part{{Segment: segment}}, bm25.Params{})
	if err != nil {
		panic(err)
	}
	hits, err := index.Search("Which capital is on the Danube?", 2)
	if err != nil {
		panic(err)
	}
	for _, hit := range hits {
		fmt.Printf("document %d: %.3f\n", hit.Doc, hit.Score)
	}
	// Output:
	// document 1: 1.273
	// document 0: 0.349
}

func ExampleIndex_Explain() {
	builder := bm25.NewBuilder(bm25.DefaultAnalyzer())
	builder.Add("The Danube rises in the Black Forest.")
	builder.Add("The Rhine rises in the Swiss Alps.")
	segment, err := builder.Segment()
	if err != nil {
		panic(err)
	}
	index, err := bm25.NewIndex([]bm25.Part{{Segment: segment}}, bm25.Params{})
	if err != nil {
		panic(err)
	}
	explanation, err := index.Explain("Where does the Rhine rise?", 1)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%.3f %s\n", explanation.Value, explanation.Label)
	for _, term := range explanation.Details {
		fmt.Printf("  %.3f %s\n", term.Value, term.Label)
	}
	// Output:
	// 0.587 BM25, sum over terms
	//   0.365 "rhine": weight · tf / (tf + norm)
	//   0.126 "the": weight · tf / (tf + norm)
	//   0.096 "rise": weight · tf / (tf + norm)
}
