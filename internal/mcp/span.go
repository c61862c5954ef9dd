package mcp

import (
	"strconv"

	"evident/document"
)

// spanOf reads the end of an evidence address.
func spanOf(start, end string) (document.ByteSpan, error) {
	from, err := strconv.Atoi(start)
	if err != nil {
		return document.ByteSpan{}, err
	}
	to, err := strconv.Atoi(end)
	return document.ByteSpan{Start: from, End: to}, err
}
