//go:build linux

// Command vector is our side of the comparison with Faiss and hnswlib, and the test of size.
//
//	vector real   -model FOLDER -corpus FILE -passages N -k K -questions FILE -out DIR
//	vector noise  -from DIR -n N -out DIR
//	vector serve  -from DIR -index DIR
//	vector scale  -from DIR -n N -index DIR
//	vector texts  -corpus FILE -passages N -out DIR
//	vector ask    -index DIR -questions FILE -n N
//	vector curve  -from DIR -n N -index DIR -whole FILE -out FILE
//
// real writes vectors of phrases and of questions that a phrase encoder makes; noise writes N vectors
// near those; serve indexes vectors and searches when it is told to, so that the sides can take turns;
// scale indexes N vectors that are made on the way, which need not fit in memory, and measures.
// texts writes a folder for `evident index --phrases`; ask times whole questions over what that made;
// curve draws the time of a question from a thousand vectors to N.
//
// Vectors are float32, little-endian, in vectors.f32 and queries.f32; dim holds their length.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

type options struct {
	model, corpus, questions, from, out, index, whole, profile string

	passages, k, n int
	noise          float64
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("vector: ")
	if len(os.Args) < 2 {
		log.Fatal("usage: vector real|noise|serve|scale|texts|ask|curve …")
	}
	var o options
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.model, "model", "", "folder of a phrase encoder; the built-in one without it")
	flags.StringVar(&o.corpus, "corpus", "", "JSON Lines with id, title, text")
	flags.StringVar(&o.questions, "questions", "", "questions in SQuAD's JSON format")
	flags.StringVar(&o.from, "from", "", "folder of vectors")
	flags.StringVar(&o.out, "out", "", "folder to write")
	flags.StringVar(&o.index, "index", "", "folder of the index")
	flags.StringVar(&o.whole, "whole", "", "times of whole questions, a line each: phrases, p50 and p99 in ms")
	flags.StringVar(&o.profile, "profile", "", "file for a CPU profile of ask")
	flags.IntVar(&o.passages, "passages", 2000, "passages to encode, or to write")
	flags.IntVar(&o.k, "k", 20, "phrases of a passage")
	flags.IntVar(&o.n, "n", 1_000_000, "vectors to make, at most; questions to ask")
	flags.Float64Var(&o.noise, "noise", 0.6, "length of the noise that is added to a unit vector")
	_ = flags.Parse(os.Args[2:])
	commands := map[string]func(*options) error{
		"real": real, "noise": noise, "serve": serve, "scale": scale, "texts": texts, "ask": ask, "curve": curve,
	}
	command, ok := commands[os.Args[1]]
	if !ok {
		log.Fatalf("unknown command %q", os.Args[1])
	}
	if err := command(&o); err != nil {
		log.Fatal(err)
	}
}

// set is vectors of one length.
type set struct {
	dim    int
	values []float32
}

func (s *set) len() int            { return len(s.values) / s.dim }
func (s *set) at(i int) []float32  { return s.values[i*s.dim:][:s.dim] }
func (s *set) append(v ...float32) { s.values = append(s.values, v...) }

func (s *set) write(dir, name string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	raw := make([]byte, 0, 4*len(s.values))
	for _, v := range s.values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	if err := os.WriteFile(filepath.Join(dir, "dim"), []byte(strconv.Itoa(s.dim)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), raw, 0o644)
}

func readSet(dir, name string) (*set, error) {
	text, err := os.ReadFile(filepath.Join(dir, "dim"))
	if err != nil {
		return nil, err
	}
	s := &set{}
	if s.dim, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	s.values = make([]float32, len(raw)/4)
	for i := range s.values {
		s.values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return s, nil
}

// readSets reads the vectors and the queries of a folder.
func readSets(dir string) (vectors, queries *set, err error) {
	if vectors, err = readSet(dir, "vectors.f32"); err != nil {
		return nil, nil, err
	}
	queries, err = readSet(dir, "queries.f32")
	return vectors, queries, err
}

// maker makes vectors near given ones: always the same for the same number.
type maker struct {
	base  *set
	noise float64
}

// vector writes vector i to dst: a base vector with noise, scaled to length 1.
func (m *maker) vector(dst []float32, i int) {
	random := rand.New(rand.NewPCG(uint64(i), 99))
	base := m.base.at(i % m.base.len())
	scale := float32(m.noise / math.Sqrt(float64(m.base.dim)))
	norm := float32(0)
	for j := 0; j < len(dst); j += 4 { // sums of four bytes are normal enough, and ten times as fast
		bits := random.Uint64()
		for l := j; l < min(j+4, len(dst)); l++ {
			sum := int(bits&15) + int(bits>>4&15) + int(bits>>8&15) + int(bits>>12&15) - 30
			bits >>= 16
			v := base[l] + scale*float32(sum)/9.22
			dst[l] = v
			norm += v * v
		}
	}
	inverse := float32(1 / math.Sqrt(float64(norm)))
	for j := range dst {
		dst[j] *= inverse
	}
}

// noise writes vectors near those of another folder, and its queries.
func noise(o *options) error {
	base, queries, err := readSets(o.from)
	if err != nil {
		return err
	}
	m, made := &maker{base, o.noise}, &set{dim: base.dim, values: make([]float32, o.n*base.dim)}
	for i := range o.n {
		m.vector(made.at(i), i)
	}
	if err := made.write(o.out, "vectors.f32"); err != nil {
		return err
	}
	fmt.Printf("%d vectors of %d\n", made.len(), made.dim)
	return queries.write(o.out, "queries.f32")
}
