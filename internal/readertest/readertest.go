// Package readertest writes a small joint reader and a small phrase encoder with random weights, so
// that tests can run everything behind a question in milliseconds and without the real models. Their
// answers are nonsense, but always the same, and always quotations.
package readertest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
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
	m := newModel(seed)
	m.linear("span", 2, width)
	m.linear("pair", 2, width)
	setting := map[string]any{
		"fusion":      map[string]float64{"relevance": 0.5, "bm25": 1},
		"calibration": map[string]float64{"share": 1}, "threshold": 0.001,
	}
	return m.write(dir, "EvidentJointReader", nil, map[string]any{
		"reader.json": map[string]any{"open": setting, "paragraph": setting, "answered": setting},
	})
}

// WritePhrases makes the folder dir a phrase encoder.
func WritePhrases(dir string, seed uint64) error {
	const widthMax, bilinear = 5, 64
	m := newModel(seed)
	m.linear("candidates.ends", 2, width)
	m.linear("candidates.start", bilinear, width)
	m.linear("candidates.end", bilinear, width)
	m.put("candidates.width", m.normal, widthMax)
	m.put("phrase.start.weight", m.normal, width, width)
	m.put("phrase.end.weight", m.normal, width, width)
	m.put("phrase.bias", m.normal, width)
	m.norm("phrase.norm")
	config := map[string]any{
		"form": "shared", "split": 1, "pooling": "mean", "width_max": widthMax, "scale": 4.0,
		"prior_weight": 0.01, "prior_mean": -5.0, "distinct": true, "passage_tokens": 384, "question_tokens": 64,
		"candidates": 8,
	}
	return m.write(dir, "EvidentPhraseEncoder", config, map[string]any{
		"phrase.json": map[string]any{"calibration": map[string]float64{"share": 1}, "threshold": 0.001},
	})
}

// model collects tensors.
type model struct {
	random  *rand.Rand
	tensors map[string]weights.Tensor
}

// newModel returns the encoder that both have.
func newModel(seed uint64) *model {
	m := &model{rand.New(rand.NewPCG(seed, 53)), map[string]weights.Tensor{}}
	m.put("bert.embeddings.word_embeddings.weight", m.normal, len(vocabulary()), width)
	m.put("bert.embeddings.position_embeddings.weight", m.normal, positions, width)
	m.put("bert.embeddings.token_type_embeddings.weight", m.normal, segments, width)
	m.norm("bert.embeddings.LayerNorm")
	for i := range layers {
		layer := fmt.Sprintf("bert.encoder.layer.%d.", i)
		for _, name := range []string{"query", "key", "value"} {
			m.linear(layer+"attention.self."+name, width, width)
		}
		m.linear(layer+"attention.output.dense", width, width)
		m.norm(layer + "attention.output.LayerNorm")
		m.linear(layer+"intermediate.dense", inner, width)
		m.linear(layer+"output.dense", width, inner)
		m.norm(layer + "output.LayerNorm")
	}
	return m
}

func (m *model) normal() float64 { return 0.4 * m.random.NormFloat64() }

func (m *model) put(name string, fill func() float64, shape ...int) {
	n := 1
	for _, size := range shape {
		n *= size
	}
	data := make([]byte, 0, 4*n)
	for range n {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(fill())))
	}
	m.tensors[name] = weights.Tensor{DType: weights.F32, Shape: shape, Data: data}
}

func (m *model) linear(name string, out, in int) {
	m.put(name+".weight", m.normal, out, in)
	m.put(name+".bias", m.normal, out)
}

func (m *model) norm(name string) {
	m.put(name+".weight", func() float64 { return 1 }, width)
	m.put(name+".bias", m.normal, width)
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

// write writes the folder: the configuration with what more says, and other files.
func (m *model) write(dir, architecture string, more, files map[string]any) error {
	config := map[string]any{
		"architectures": []string{architecture}, "model_type": "bert",
		"vocab_size": len(vocabulary()), "hidden_size": width, "num_hidden_layers": layers,
		"num_attention_heads": heads, "intermediate_size": inner, "hidden_act": "gelu",
		"max_position_embeddings": positions, "type_vocab_size": segments,
		"layer_norm_eps": 1e-12, "pad_token_id": 0,
	}
	maps.Copy(config, more)
	files["config.json"] = config
	for name, value := range files {
		data, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	words := []byte(strings.Join(vocabulary(), "\n") + "\n")
	if err := os.WriteFile(filepath.Join(dir, "vocab.txt"), words, 0o600); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		return err
	}
	if err := weights.Write(file, m.tensors, nil); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
