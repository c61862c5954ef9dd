package weights

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// Write writes a safetensors file: the tensors with the largest elements first, so that each is
// aligned, and by name among those. The same tensors always give the same bytes.
func Write(w io.Writer, tensors map[string]Tensor, metadata map[string]string) error {
	names := slices.SortedFunc(maps.Keys(tensors), func(a, b string) int {
		if x, y := tensors[a].DType.Size(), tensors[b].DType.Size(); x != y {
			return y - x
		}
		if a < b {
			return -1
		}
		return 1
	})
	type member struct {
		DType   DType  `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	header := map[string]any{}
	if len(metadata) > 0 {
		header["__metadata__"] = metadata
	}
	at := 0
	for _, name := range names {
		t := tensors[name]
		size := t.DType.Size()
		for _, n := range t.Shape {
			size *= n
		}
		if size != len(t.Data) || t.DType.Size() == 0 || name == "__metadata__" {
			return fmt.Errorf("write weights: tensor %q: %s %v does not take %d bytes",
				name, t.DType, t.Shape, len(t.Data))
		}
		header[name] = member{t.DType, append([]int{}, t.Shape...), [2]int{at, at + size}}
		at += size
	}
	text, err := json.Marshal(header)
	if err != nil {
		return fmt.Errorf("write weights: %w", err)
	}
	for len(text)%8 != 0 { // the data begins aligned
		text = append(text, ' ')
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(text)))); err != nil {
		return fmt.Errorf("write weights: %w", err)
	}
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("write weights: %w", err)
	}
	for _, name := range names {
		if _, err := w.Write(tensors[name].Data); err != nil {
			return fmt.Errorf("write weights: %w", err)
		}
	}
	return nil
}

// FromFloat32 makes an F32 tensor.
func FromFloat32(values []float32, shape ...int) Tensor {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return Tensor{F32, shape, data}
}
