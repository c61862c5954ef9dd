// Package hubtest answers like a Hugging Face hub that has one small model, org/name, for tests.
package hubtest

import (
	"crypto/sha1" //nolint:gosec // what the hub names small files by
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
)

// Commit is the commit of the model's one revision, main.
const Commit = "0123456789abcdef0123456789abcdef01234567"

// Server answers like a model hub, and can be told to misbehave.
type Server struct {
	*httptest.Server
	Files   map[string][]byte
	Large   map[string]bool // named by SHA-256
	License string
	Token   string                                                // demanded when not ""
	Before  func(w http.ResponseWriter, r *http.Request) bool     // true: answered
	Write   func(w http.ResponseWriter, name string, rest []byte) // sends a file's rest
	Asked   []string                                              // "PATH Range", of files
}

// New starts a server that has no files yet; close it after use.
func New() *Server {
	s := &Server{Files: map[string][]byte{}, Large: map[string]bool{"model.safetensors": true}, License: "mit"}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

// AddModel fills in a small model; its weights are several buffers long.
func (s *Server) AddModel() {
	weights := make([]byte, 3<<20+17)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range weights {
		weights[i] = byte(rng.Uint32())
	}
	s.Files["config.json"] = []byte(`{"model_type": "clip"}`)
	s.Files["model.safetensors"] = weights
	s.Files["tokenizer.json"] = []byte("{}")
	s.Files["pytorch_model.bin"] = []byte("runs code")
	s.Files["onnx/model.safetensors"] = []byte("other")
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.Before != nil && s.Before(w, r) {
		return
	}
	if s.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.Token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.URL.Path == "/api/models/org/name/revision/main" {
		json.NewEncoder(w).Encode(s.listing())
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/org/name/resolve/"+Commit+"/")
	data, known := s.Files[name]
	if !ok || !known {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	s.Asked = append(s.Asked, name+" "+r.Header.Get("Range"))
	from := 0
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
		w.WriteHeader(http.StatusPartialContent)
	}
	if s.Write != nil {
		s.Write(w, name, data[from:])
		return
	}
	w.Write(data[from:])
}

func (s *Server) listing() map[string]any {
	var siblings []map[string]any
	for name, data := range s.Files {
		id := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...))
		entry := map[string]any{"rfilename": name, "size": len(data), "blobId": hex.EncodeToString(id[:])}
		if s.Large[name] {
			sum := sha256.Sum256(data)
			entry["lfs"] = map[string]any{"sha256": hex.EncodeToString(sum[:]), "size": len(data)}
		}
		siblings = append(siblings, entry)
	}
	return map[string]any{"sha": Commit, "siblings": siblings, "cardData": map[string]any{"license": s.License}}
}
