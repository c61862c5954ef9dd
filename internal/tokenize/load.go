package tokenize

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Load reads the tokenizer of a Hugging Face folder: tokenizer.json, or else vocab.txt
// (WordPiece), or else vocab.json with merges.txt (byte-level BPE). A tokenizer_config.json
// beside it may change case folding, accents, ideographs and the prefixed blank.
func Load(folder fs.FS) (Tokenizer, error) {
	var over overrides
	data, err := fs.ReadFile(folder, "tokenizer_config.json")
	if err == nil {
		err = json.Unmarshal(data, &over)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read tokenizer_config.json: %w", err)
	}
	for _, form := range []struct {
		name string
		read func(fs.FS, fs.File, overrides) (Tokenizer, error)
	}{{"tokenizer.json", loadJSON}, {"vocab.txt", loadWordPiece}, {"vocab.json", loadBPE}} {
		f, err := folder.Open(form.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read tokenizer: %w", err)
		}
		t, err := form.read(folder, f, over)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("read tokenizer %s: %w", form.name, err)
		}
		return t, nil
	}
	return nil, fmt.Errorf("no tokenizer: none of tokenizer.json, vocab.txt, vocab.json: %w",
		fs.ErrNotExist)
}

func loadJSON(_ fs.FS, f fs.File, over overrides) (Tokenizer, error) {
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	return parseJSON(data, over)
}

func loadWordPiece(_ fs.FS, f fs.File, over overrides) (Tokenizer, error) {
	var opts WordPieceOptions
	opts.override(over)
	return ReadWordPiece(f, opts)
}

func loadBPE(folder fs.FS, f fs.File, over overrides) (Tokenizer, error) {
	merges, err := folder.Open("merges.txt")
	if err != nil {
		return nil, err
	}
	defer merges.Close()
	return LoadBPE(f, merges, BPEOptions{AddPrefixSpace: or(over.AddPrefixSpace, false)})
}
