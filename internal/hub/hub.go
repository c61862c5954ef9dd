// Package hub fetches model folders from a Hugging Face hub, or a server that answers like one, and
// keeps them: a fetch that broke off goes on where it stopped, every file is checked against the
// hub's own hash before it gets its name, and only weights that cannot run code are taken.
//
// Models lie as the Hugging Face tools lay theirs, so both can share a folder:
//
//	models--ORG--NAME/blobs/HASH                   what files hold, by the hub's hash of it
//	models--ORG--NAME/snapshots/COMMIT/config.json a link to a blob, or the file where there are no links
//	models--ORG--NAME/refs/REVISION                the commit that a revision stood for
package hub

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Errors that a caller branches on.
var (
	ErrNotFound = errors.New("the hub has no such model")
	ErrToken    = errors.New("the hub wants a token for this model")
	ErrOffline  = errors.New("fetching is switched off (HF_HUB_OFFLINE)")
	ErrNoModel  = errors.New("the model is not here")
	ErrWeights  = errors.New("the model has no safetensors weights")
)

// Hub is a folder of models and the server they come from. It is safe for concurrent use.
type Hub struct {
	Folder   string // where models lie: the "hub" folder of the Hugging Face tools, or one like it
	Endpoint string // "" means DefaultEndpoint
	Token    string // sent to Endpoint's host only; "" for public models
	Offline  bool   // Pull fails with ErrOffline

	Client *http.Client        // nil means one with timeouts for connecting and for the first byte
	Wait   func(time.Duration) // between attempts; nil means time.Sleep
}

// DefaultEndpoint is the public hub.
const DefaultEndpoint = "https://huggingface.co"

// Name is a model on the hub, and which of its revisions.
type Name struct {
	Repository string // "org/name", or "name" alone
	Revision   string // branch, tag or commit; never empty
}

var (
	repositoryRule = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?$`)
	revisionRule   = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`)
)

// ParseName reads "org/name" or "org/name@revision".
func ParseName(text string) (Name, error) {
	repository, revision, given := strings.Cut(text, "@")
	if !given {
		revision = "main"
	}
	for _, part := range strings.Split(repository+"/"+revision, "/") {
		if part == "." || part == ".." || strings.Contains(part, "--") {
			return Name{}, fmt.Errorf("%q is not the name of a model on a hub", text)
		}
	}
	if !repositoryRule.MatchString(repository) || !revisionRule.MatchString(revision) {
		return Name{}, fmt.Errorf("%q is not the name of a model on a hub: write ORG/NAME or ORG/NAME@REVISION", text)
	}
	return Name{repository, revision}, nil
}

// String is what ParseName reads.
func (n Name) String() string {
	if n.Revision == "main" {
		return n.Repository
	}
	return n.Repository + "@" + n.Revision
}

// folder is the model's own below h.Folder.
func (h *Hub) folder(repository string) string {
	return filepath.Join(h.Folder, "models--"+strings.ReplaceAll(repository, "/", "--"))
}

// wanted says which files of a model's folder are fetched: its configuration, its tokenizer, its
// description, and weights that cannot run code. Of several forms of the same weights one is taken:
// Hugging Face's own, else OpenCLIP's. Parts in subfolders are other programs' forms.
func wanted(files []file) ([]file, error) {
	has := map[string]bool{}
	for _, f := range files {
		has[f.Path] = true
	}
	const plain, sharded, openCLIP = "model.safetensors", "model.safetensors.index.json", "open_clip_model.safetensors"
	transformers := has["config.json"] && (has[plain] || has[sharded])
	if !transformers && !has[openCLIP] && !has[plain] {
		return nil, fmt.Errorf("%w: it offers %s", ErrWeights, otherWeights(files))
	}
	var take []file
	for _, f := range files {
		weights := strings.HasSuffix(f.Path, ".safetensors")
		switch {
		case strings.Contains(f.Path, "/"):
		case weights && f.Path == openCLIP && transformers:
		case weights && isShard(f.Path) && has[plain]:
		case weights && f.Path != plain && f.Path != openCLIP && !isShard(f.Path):
		case weights, kept[f.Path], strings.HasSuffix(f.Path, "LICENSE"):
			take = append(take, f)
		}
	}
	return take, nil
}

// kept are the files beside the weights that a reader of the model can use.
var kept = map[string]bool{
	"config.json": true, "open_clip_config.json": true, "preprocessor_config.json": true,
	"model.safetensors.index.json": true, "reader.json": true, "README.md": true,
	"vocab.txt": true, "vocab.json": true, "merges.txt": true, "tokenizer.json": true,
	"tokenizer_config.json": true, "special_tokens_map.json": true, "added_tokens.json": true,
	"labels.txt": true, "LICENSE.txt": true, "LICENSE.md": true,
}

var shardRule = regexp.MustCompile(`^model-\d+-of-\d+\.safetensors$`)

func isShard(name string) bool { return shardRule.MatchString(name) }

// otherWeights lists the weights that are not taken, for the error.
func otherWeights(files []file) string {
	var found []string
	for _, f := range files {
		switch path.Ext(f.Path) {
		case ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".npz", ".gguf", ".safetensors":
			found = append(found, f.Path)
		}
	}
	if len(found) == 0 {
		return "no weights at all"
	}
	const most = 4
	if len(found) > most {
		found = append(found[:most], fmt.Sprintf("%d more", len(found)-most))
	}
	return strings.Join(found, ", ") + " (forms that can run code, or that evident does not read)"
}
