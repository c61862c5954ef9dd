//go:build linux

package main

import "evident/bench/chart"

// plot draws what compare has measured at some sizes.
func plot(o *options) error {
	engines := []engine{{name: "evident"}, {name: "Lucene"}}
	sizes, asked, err := o.measuring()
	if err != nil {
		return err
	}
	all := measurements{}
	for _, n := range sizes {
		if all[n], err = readMeasured(o, n); err != nil {
			return err
		}
	}
	fields := []chart.Field{
		{Title: "bytes a passage"}, {Title: "CPU s of indexing"}, {Title: "sentences, best 10: µs"}, {Title: "words, best 10: µs"},
	}
	for _, e := range engines {
		line := func(value func(m *measured) float64) chart.Line {
			l := chart.Line{Name: e.name}
			for _, n := range sizes {
				l.X, l.Y = append(l.X, float64(n)), append(l.Y, value(all[n][e.name]))
			}
			return l
		}
		fields[0].Lines = append(fields[0].Lines, line(func(m *measured) float64 { return float64(m.Bytes) / float64(m.Passages) }))
		fields[1].Lines = append(fields[1].Lines, line(func(m *measured) float64 { return m.CPU }))
		for i, kind := range kinds {
			for _, q := range []struct {
				name  string
				share float64
			}{{"p50", 0.5}, {"p99", 0.99}} {
				l := line(func(m *measured) float64 { return quantile(m.Times[works[0]], asked, kind, q.share) / 1e3 })
				l.Name += " " + q.name
				fields[2+i].Lines = append(fields[2+i].Lines, l)
			}
		}
	}
	return chart.Write(o.plot, fields)
}
