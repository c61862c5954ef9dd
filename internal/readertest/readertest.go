// Package readertest writes a small joint reader with random weights, so that tests can run
// everything behind a question in milliseconds and without the real models. Its answers are
// nonsense, but always the same, and always quotations.
package readertest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"evident/internal/weights"
)

// Sizes of the model. They are small and, but for the position table, prime or a product of
// primes.
const (
	layers    = 2
	width     = 22
	heads     = 2
	inner     = 37
	positions = 512
	segments  = 2
)

// Write makes the folder dir a joint reader. Tests of damage change the files afterwards.
func Write(dir string, seed uint64) error {
	vocabulary := vocabulary()
	random := rand.New(rand.NewPCG(seed, 53))
	tensors := map[string]weights.Tensor{}
	put := func(name string, fill func() float64, shape ...int) {
		n := 1
		for _, size := range shape {
			n *= size
		}
		data := make([]byte, 0, 4*n)
		for range n {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(fill())))
		}
		tensors[name] = weights.Tensor{DType: weights.F32, Shape: shape, Data: data}
	}
	normal := func() float64 { return 0.4 * random.NormFloat64() }
	one := func() float64 { return 1 }
	linear := func(name string, out, in int) {
		put(name+".weight", normal, out, in)
		put(name+".bias", normal, out)
	}
	norm := func(name string) {
		put(name+".weight", one, width)
		put(name+".bias", normal, width)
	}
	put("bert.embeddings.word_embeddings.weight", normal, len(vocabulary), width)
	put("bert.embeddings.position_embeddings.weight", normal, positions, width)
	put("bert.embeddings.token_type_embeddings.weight", normal, segments, width)
	norm("bert.embeddings.LayerNorm")
	for i := range layers {
		layer := fmt.Sprintf("bert.encoder.layer.%d.", i)
		for _, name := range []string{"query", "key", "value"} {
			linear(layer+"attention.self."+name, width, width)
		}
		linear(layer+"attention.output.dense", width, width)
		norm(layer + "attention.output.LayerNorm")
		linear(layer+"intermediate.dense", inner, width)
		linear(layer+"output.dense", width, inner)
		norm(layer + "output.LayerNorm")
	}
	linear("span", 2, width)
	linear("pair", 2, width)
	return write(dir, vocabulary, tensors)
}

// vocabulary spells every word of ASCII letters and digits in single characters.
func vocabulary() []string {
	v := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
	for c := '!'; c <= '~'; c++ {
		if c < 'A' || c > 'Z' {
			v = append(v, string(c), "##"+string(c))
		}
	}
	return append(v, "the", "bridge", "designed", "by", "opened", "in", "who", "when")
}

func write(dir string, vocabulary []string, tensors map[string]weights.Tensor) error {
	config := map[string]any{
		"architectures": []string{"EvidentJointReader"}, "model_type": "bert",
		"vocab_size": len(vocabulary), "hidden_size": width, "num_hidden_layers": layers,
		"num_attention_heads": heads, "intermediate_size": inner, "hidden_act": "gelu",
		"max_position_embeddings": positions, "type_vocab_size": segments,
		"layer_norm_eps": 1e-12, "pad_token_id": 0,
	}
	setting := map[string]any{
		"fusion":      map[string]float64{"relevance": 0.5, "bm25": 1},
		"calibration": map[string]float64{"share": 1}, "threshold": 0.001,
	}
	for name, value := range map[string]any{
		"config.json": config,
		"reader.json": map[string]any{"open": setting, "paragraph": setting, "answered": setting},
	} {
		data, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	words := []byte(strings.Join(vocabulary, "\n") + "\n")
	if err := os.WriteFile(filepath.Join(dir, "vocab.txt"), words, 0o600); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		return err
	}
	if err := weights.Write(file, tensors, nil); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
