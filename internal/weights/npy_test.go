package weights

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"
)

func TestNPY(t *testing.T) {
	for _, shape := range [][]int{{6}, {2, 3}, {1, 2, 3}, {20000, 3}} {
		var file bytes.Buffer
		w, err := NewNPYWriter(&file, shape...)
		if err != nil {
			t.Fatal(err)
		}
		count := 1
		for _, n := range shape {
			count *= n
		}
		values := make([]float32, count)
		for i := range values {
			values[i] = float32(i) / 3
		}
		if err := w.Write(values[:count/2]); err != nil {
			t.Fatal(err)
		}
		if w.Close() == nil {
			t.Error("half the values pass for all")
		}
		if err := w.Write(values[count/2:]); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if w.Write(values[:1]) == nil {
			t.Error("one value too many was taken")
		}
		data := file.Bytes()
		length := int(binary.LittleEndian.Uint16(data[8:]))
		if string(data[:8]) != "\x93NUMPY\x01\x00" || (10+length)%64 != 0 || data[9+length] != '\n' {
			t.Errorf("shape %v: the header begins with %q and has %d bytes", shape, data[:8], length)
		}
		body := data[10+length:]
		if len(body) != 4*count {
			t.Fatalf("%d bytes of values, want %d", len(body), 4*count)
		}
		for i, want := range values {
			if got := math.Float32frombits(binary.LittleEndian.Uint32(body[4*i:])); got != want {
				t.Fatalf("value %d is %g, want %g", i, got, want)
			}
		}
	}
	var file strings.Builder
	if _, err := NewNPYWriter(&file, 7); err != nil || !strings.Contains(file.String(), "'shape': (7,)") {
		t.Errorf("one dimension needs its comma: %q, %v", file.String(), err)
	}
}
