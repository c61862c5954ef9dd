"""Writes the goldens of internal/tokenize for tokenizers made of SentencePiece models, with the reference tokenizers.

    python tools/ref/unigram.py --text TEXT... --out internal/tokenize/testdata

TEXT are plain files. The vocabularies of SigLIP (c4_en, 32,000 pieces) and SigLIP 2 (Gemma, 256,000) are in no package
registry, so small models are trained here and put into files of the same form: a unigram model with SentencePiece's own
normalisation table (nmt_nfkc), as SigLIP's; and byte-pair merges over characters with bytes to fall back on, as SigLIP 2's. Two
more files use what the first two leave out. Needs tokenizers 0.22.2, sentencepiece 0.2.3, protobuf.
"""
import argparse
import base64
import gzip
import json
import os
import re
import string
import tempfile
import zlib

import sentencepiece as spm
import sentencepiece.sentencepiece_model_pb2 as pb
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from pieces import write

EXTRA = ["</s>", "a </s> b", "x</s>y", "<unk>", "<pad>", "<eos> a <bos>", "<0x41> <0xE4>", "\n\n", "a\n\n\nb", "▁▁a▁b", "<table>x</table>", "＜/s＞",
         "unWORDun WORD WORDs WORD.", "left  LEFT  both  BOTH  RIGHT  x", "①\u0301 ｱﾞ ㍿ ﷺ ﬁ ½ ² Å", "a\r\nb\rc\x0bd", "caf\u0065\u0301 CAFE\u0301", "  two  three   ",
         "\u0000a\u0001", "a\u200db", "e\u0301\u0301", "각 가", "ﾊﾟｰﾃｨ", "“quotes” — dash…", "I İ ı ß ẞ ﬀ", "word," * 40, "𝕳𝖊𝖑𝖑𝖔 𝟘", "Ⅷ ⅷ ℡ ㌀", "a\u00adb\u2060c",
         "NORM norm Norm", "ｎｏｒｍ", "!!! ??? _a_b_"]
PLACEHOLDER = "CHARSMAP"


def lines(paths):
    for path in paths:
        with open(path, encoding="utf8") as f:
            yield from (line.strip() for line in f if line.strip())


def unigram(corpus, folder, size, fallback):
    prefix = os.path.join(folder, "m")
    spm.SentencePieceTrainer.train(sentence_iterator=iter(corpus), model_prefix=prefix, vocab_size=size, model_type="unigram", minloglevel=2,
                                   normalization_rule_name="nmt_nfkc", byte_fallback=fallback, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
                                   character_coverage=0.98, num_threads=1, hard_vocab_limit=False)
    m = pb.ModelProto()
    with open(prefix + ".model", "rb") as f:
        m.ParseFromString(f.read())
    vocabulary = [(p.piece, round(p.score, 4)) for p in m.pieces]
    return Tokenizer(models.Unigram(vocabulary, 2, fallback)), m.normalizer_spec.precompiled_charsmap


def siglip(corpus, folder):
    """As transformers converts SigLIP's model (SpmConverter), with T5's end."""
    t, charsmap = unigram(corpus, folder, 1200, False)
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    t.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    t.add_special_tokens([AddedToken(x, normalized=False, special=True) for x in ("<pad>", "</s>", "<unk>")])
    return t, charsmap


def folding(corpus, folder):
    """Lower case, punctuation left out, words at white space, bytes to fall back on; tokens found after normalisation."""
    t, charsmap = unigram([c.lower() for c in corpus], folder, 900, True)
    marks = Regex("[" + re.escape(string.punctuation.replace("<", "").replace(">", "")) + "]")
    t.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(marks, ""), normalizers.Precompiled(charsmap),
                                         normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip(), normalizers.Prepend("> ")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
    t.post_processor = processors.TemplateProcessing("<pad> $A </s>", "<pad> $A </s> $B </s>", [("<pad>", 0), ("</s>", 1)])
    t.add_special_tokens([AddedToken(x, normalized=False, special=True, lstrip=True, rstrip=True) for x in ("<pad>", "</s>")])
    t.add_tokens([AddedToken("WORD", single_word=True, normalized=True), AddedToken("LEFT", lstrip=True, normalized=False),
                  AddedToken("RIGHT", rstrip=True, normalized=False), AddedToken("norm", normalized=True)])
    return t, charsmap


def pairs(corpus, size, fallback, specials):
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.normalizer = normalizers.Replace(" ", "▁")
    t.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    t.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=size, special_tokens=specials, limit_alphabet=150, show_progress=False))
    trained = json.loads(t.to_str())["model"]
    order = specials + ([f"<0x{b:02X}>" for b in range(256)] if fallback else [])
    order += [p for p in trained["vocab"] if p not in specials]
    return models.BPE({p: i for i, p in enumerate(order)}, [tuple(m) for m in trained["merges"]], unk_token="<unk>", fuse_unk=True, byte_fallback=fallback)


def gemma(corpus, _):
    """As SigLIP 2's: no word is cut off before the merges, every character has bytes, some strings are tokens."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"]
    t = Tokenizer(pairs(corpus, 1500, True, specials))
    t.normalizer = normalizers.Replace(" ", "▁")
    t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    t.post_processor = processors.TemplateProcessing("$A <eos>", "$A <eos> $B <eos>", [("<eos>", 1)])
    t.add_special_tokens([AddedToken(x, normalized=False, special=True) for x in specials])
    t.add_tokens([AddedToken(x, normalized=False) for x in ("\n\n", "\n\n\n", "▁▁", "<table>", "</table>")])
    t.enable_padding(length=64, pad_id=0, pad_token="<pad>")
    return t, None


def unknowns(corpus, _):
    """Unknown characters, neighbours fused; a blank before the first word only."""
    t = Tokenizer(pairs(corpus, 900, False, ["<unk>", "<s>"]))
    t.normalizer = normalizers.Strip()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False),
                                               pre_tokenizers.Split("a", "isolated"), pre_tokenizers.Split("e", "merged_with_next")])
    t.add_special_tokens([AddedToken("<s>", normalized=False, special=True)])
    return t, None


def texts(folder):
    """Those of tokens.jsonl.gz, which pieces.py wrote."""
    with gzip.open(os.path.join(folder, "tokens.jsonl.gz"), "rt", encoding="utf8") as f:
        return [json.loads(line)[0] for line in f]


def golden(t, text, whole):
    """The ids; of most texts only their checksum, for size."""
    ids = t.encode(text).ids
    return ids if whole else zlib.crc32(",".join(map(str, ids)).encode()) & 0xFFFFFF


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--text", nargs="+", required=True)
    args.add_argument("--out", required=True)
    args = args.parse_args()
    corpus, all_texts, made, table = list(lines(args.text)), texts(args.out) + EXTRA, {}, None
    with tempfile.TemporaryDirectory() as folder:
        for make in (siglip, folding, gemma, unknowns):
            made[make.__name__], charsmap = make(corpus, folder)
            table = table or charsmap
    files = {}
    for name, t in made.items():
        files[name] = t.to_str().replace(base64.b64encode(table).decode(), PLACEHOLDER)
        t.no_padding()
    write(os.path.join(args.out, "sentencepiece.json.gz"), files.values())
    with open(os.path.join(args.out, "nmt_nfkc.bin.gz"), "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as f:
        f.write(table)
    first = len(all_texts) - len(EXTRA)
    rows = [EXTRA] + [[golden(t, text, i % 8 == 0 or i >= first) for t in made.values()] for i, text in enumerate(all_texts)]
    write(os.path.join(args.out, "sentencepiece.jsonl.gz"), rows)
    print(len(all_texts), "texts;", {n: t.get_vocab_size() for n, t in made.items()})


if __name__ == "__main__":
    main()
