package photos

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for _, c := range []struct {
		caption, class string
		want           bool
	}{
		{"a brown dog runs", "dog", true},
		{"two dogs", "dog", true},
		{"a hot dog on a plate", "hot dog", true},
		{"a hot dog on a plate", "dog", false},
		{"a dog and a hot dog", "dog", true},
		{"a teddy bear", "bear", false},
		{"a puppy", "dog", true},
		{"two puppies play", "dog", true},
		{"the dog's ball", "dog", true},
		{"a dogged man", "dog", false},
		{"a man", "person", true},
		{"men", "person", true},
		{"a dining table", "diningtable", true},
		{"a table", "diningtable", true},
		{"three knives", "knife", true},
		{"a tv", "tvmonitor", true},
		{"a cat", "dog", false},
		{"", "dog", false},
		{"sports ball", "sports ball", true},
		{"a tennis ball", "sports ball", true},
		{"geese", "bird", true},
		{"a cell", "cell phone", false},
	} {
		if got := Names(strings.Fields(c.caption), c.class); got != c.want {
			t.Errorf("%q names %s: %v", c.caption, c.class, got)
		}
	}
}
