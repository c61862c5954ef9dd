package tokenize

import (
	"bytes"
	_ "embed"
)

// clipTable is the merge table that OpenAI published with CLIP (MIT, see NOTICE). OpenCLIP's folders need not
// have it: it comes with the program there too.
//
//go:embed bpe_simple_vocab_16e6.txt.gz
var clipTable []byte

// DefaultCLIP is the tokenizer of OpenAI's CLIP, and of all models that were trained with it.
func DefaultCLIP(opts CLIPOptions) (*CLIP, error) {
	return ReadCLIPMerges(bytes.NewReader(clipTable), opts)
}
