package legrad

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseMethod reads how a method is asked for: NAME, NAME@LAYER or NAME@FIRST-LAST with the layers that take
// part, and either of them with /cls or /mean for the rows of attention that are read. "chefer@11" is
// Chefer's relevance of the last of twelve blocks alone, "attention/mean" the attention of all queries.
func ParseMethod(specification string) (name string, opts MethodOptions, err error) {
	rest, rows, hasRows := strings.Cut(specification, "/")
	if hasRows {
		opts.Rows = Rows(rows)
		if opts.Rows != ClassRow && opts.Rows != MeanRows {
			return "", opts, fmt.Errorf("method %q: rows %q are not known: there are cls and mean", specification, rows)
		}
	}
	name, layers, hasLayers := strings.Cut(rest, "@")
	if !hasLayers {
		return name, opts, nil
	}
	from, to, isRange := strings.Cut(layers, "-")
	first, err := strconv.Atoi(from)
	last := first
	if err == nil && isRange {
		last, err = strconv.Atoi(to)
	}
	const layersMax = 1000
	if err != nil || first < 0 || last < first || last > layersMax {
		return "", opts, fmt.Errorf("method %q: %q is neither a layer nor FIRST-LAST", specification, layers)
	}
	for l := first; l <= last; l++ {
		opts.Layers = append(opts.Layers, l)
	}
	return name, opts, nil
}
