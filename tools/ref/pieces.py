"""Writes the goldens of internal/tokenize with the reference tokenizers.

    python tools/ref/pieces.py --vocab VOCAB.TXT --text TEXT... --out internal/tokenize/testdata

VOCAB.TXT is the vocabulary of any BERT uncased model. TEXT are plain files or .jsonl(.gz) with a "text" or
"context" field; a byte-level BPE of 3,000 merges is trained on them, because RoBERTa's own vocabulary is not
in any package registry. Needs tokenizers 0.22.2 and transformers 4.57.1.
"""
import argparse
import gzip
import json
import os
import random
import tempfile
import zlib

from tokenizers import ByteLevelBPETokenizer, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertTokenizerFast, RobertaTokenizerFast

HAND = """|hello|Hello, World!|I'll say: don't we've they're I'm he'd it's 'sam 'S 'LL ''ll|  two  spaces |	tab
newline
crlf
end|ÀÉÎõü ñ Ç å Ø ß ẞ Æ œ ł Đ|cafe\u0301 cafe\u0301s e\u0301\u0323x e\u0323\u0301|İstanbul ISTANBUL ıI|ΑΣ ΣΑΣ σς|ǅ ǈ Ǆ|ﬁ ﬂ ﬀ|
한국어 조선말 각 가 힣 ㄱ ᄀ 가|東京は日本の首都です。|汉字漢字 㐀 豈 龍龍 \U0002A700 \U0002B820 \U0002F800|العربية مرحبا بِسْمِ|שָׁלוֹם עולם|नमस्ते हिन्दी क्षि|ไทย ภาษา|
👩‍👩‍👧‍👦 👍🏽 🇫🇷 🏳️‍🌈 ❤️ 😀|a\u200bb c\u200dd e\ufefff|\u00a0nbsp\u00a0 \u2003em \u3000ideographic \u1680 \u180e|a\u2028b\u2029c|a\x00b\x01c\x7fd\x85e|\ufffd x\ufffdy|
[CLS] [SEP] [UNK] [MASK] [PAD] <s> </s> <unk>|##ing ## # a##b|https://example.com/a?b=c&d=%20e#f-g_h|user.name+tag@example.co.uk|3.14159 1,000,000 ½ ² ⅷ ٣ 2nd 1e-9|
≠ ≮ ≯ ; · ` ´ ΅ K Å Ω|$€£¥ © ® ™ ° ± × ÷|“quotes” ‘single’ —dash– …|C:\\path\\file.txt|snake_case camelCase SCREAMING|\t\t\n\n  \r\n x|x   |   x|   |\n|\u0301|\u0301a|a\u0301|
\u0323\u0301|\u0301\u0323|\U0001D165\U0001D16E|\U0001D15E|a\U0001D165\u0301|\u302e\u0301|\u0344x|é'll l'été|it’s|'|''|' s|  's|\u00a0's| 't|""" + "a'b|\U0001F1E6|ﷺ ﷲ|\u0130\u0307|İ"

WORDS = """the of and in to was his first world war city people language mathematics university president river between
united states government philosophy unbelievable antidisestablishmentarianism electroencephalography internationalization
New York London Paris JavaScript kubernetes photosynthesis mitochondria Schrödinger naïve façade Zürich Łódź São Tromsø""".split()

BLOCKS = [(0x20, 0x7E), (0xA0, 0xFF), (0x100, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F),
          (0x530, 0x5FF), (0x600, 0x6FF), (0x700, 0x74F), (0x8A0, 0x8FF), (0x900, 0xDFF), (0xE00, 0xEFF), (0xF00, 0xFFF),
          (0x1000, 0x109F), (0x10A0, 0x11FF), (0x1200, 0x139F), (0x13A0, 0x17FF), (0x1800, 0x1CFF), (0x1D00, 0x1DFF),
          (0x1E00, 0x1FFF), (0x2000, 0x20CF), (0x2100, 0x23FF), (0x2460, 0x27BF), (0x2C00, 0x2E7F), (0x3000, 0x30FF),
          (0x3130, 0x318F), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA000, 0xABFF), (0xAC00, 0xD7A3), (0xE000, 0xF8FF),
          (0xF900, 0xFAFF), (0xFB00, 0xFEFF), (0xFF00, 0xFFFF), (0x10000, 0x10FFF), (0x11000, 0x11FFF), (0x12000, 0x16FFF),
          (0x1D000, 0x1D7FF), (0x1E000, 0x1EFFF), (0x1F300, 0x1FAFF), (0x20000, 0x2FA1F), (0xE0000, 0xE01EF), (0, 0x10FFFF)]
MARKS = "\u0300\u0301\u0323\u0327\u0338\u0345\u05b0\u064e\u093c\u302a\u302e\u1dc0\u20d0\U0001D165\U0001D16D"
SPACES = " \t\n\r\x0b\x0c\x1c\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u200b\ufeff"
EMOJI = ["👩‍🔬", "👨‍👩‍👧", "🤷🏿‍♀️", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "❤️‍🔥", "1️⃣", "🇯🇵", "😂"]


def character(rng, low, high):
    while True:
        c = rng.randint(low, high)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def texts(vocabulary):
    rng = random.Random(5)
    yield from HAND.split("|")
    for n in (1, 99, 100, 101, 257):
        yield "a" * n
        yield "é" * n
        yield "x" + "\u0301" * n + "y" + "中" * (n % 7)
        yield "ab" * n + " " + "1" * n + "." * (n % 23)
    for i, (low, high) in enumerate(BLOCKS):
        for _ in range(14):
            yield "".join(character(rng, low, high) for _ in range(rng.randint(1, 13)))
        for _ in range(6):
            yield "".join(character(rng, *rng.choice([(low, high), (0x61, 0x7A), (0x20, 0x40)])) for _ in range(17))
    pieces = [p.removeprefix("##") for p in vocabulary if not p.startswith("[")]
    for i in range(1100):
        parts = []
        for _ in range(rng.randint(1, 11)):
            kind = rng.randrange(12)
            word = rng.choice(WORDS) if kind % 2 else rng.choice(pieces) + rng.choice(["", "", rng.choice(pieces)])
            if kind == 2:
                word = word.upper()
            if kind == 3:
                word = "".join(c + rng.choice(["", "", rng.choice(MARKS)]) + rng.choice(["", rng.choice(MARKS)]) for c in word)
            if kind == 4:
                word = rng.choice(EMOJI) + rng.choice(["", word])
            if kind == 5:
                word = "".join(character(rng, *rng.choice(BLOCKS)) for _ in range(rng.randint(1, 4)))
            if kind == 6:
                at = rng.randrange(len(word) + 1)
                word = word[:at] + rng.choice(SPACES + "\x00\x08\ufffd\u00ad\u200d") + word[at:]
            if kind == 7:
                word += rng.choice(["'s", "'ll", "n't", "'RE", "'d", "’s", "'"]) + rng.choice(["", "x"])
            parts.append(word)
            parts.append(rng.choice([" ", " ", " ", " ", "", "  ", ", ", ". ", "-", rng.choice(SPACES) * rng.randint(1, 3)]))
        yield "".join(parts[:-1] if rng.random() < 0.7 else parts)


def write(path, lines):
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as f:
        for line in lines:
            f.write((line if isinstance(line, str) else json.dumps(line, ensure_ascii=False, separators=(",", ":"))).encode() + b"\n")


def tokens(tokenizer, text):
    """[id, start, end, …] with byte offsets; each start is given relative to the start before, each end to its start."""
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    e, flat, last = tokenizer.encode(text, add_special_tokens=True), [], 0
    for i, (start, end), special in zip(e.ids, e.offsets, e.special_tokens_mask):
        if not special:
            flat += [i, at[start] - last, at[end] - at[start]]
            last = at[start]
    return flat


def word_pieces(vocabulary):
    for lower, strip, clean, cjk in ((True, None, True, True), (False, None, True, True), (True, False, True, True),
                                     (False, True, False, False)):
        t = Tokenizer(models.WordPiece({p: i for i, p in enumerate(vocabulary)}, unk_token="[UNK]", max_input_chars_per_word=100))
        t.normalizer = normalizers.BertNormalizer(clean, cjk, strip, lower)
        t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        yield t


def byte_pairs(vocab, merges):
    for prefix, trim in ((False, True), (True, True), (True, False)):
        # An instance without added tokens: text is only ever text. Ids 0 to 4 are in the vocabulary.
        t = Tokenizer(models.BPE.from_file(vocab, merges))
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
        t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=trim, add_prefix_space=prefix)
        yield t


def classes():
    """For every 256 code points, a checksum of what BERT uncased makes of each: alone, and between two letters."""
    fold = normalizers.BertNormalizer(False, False, True, True)
    full = normalizers.BertNormalizer()
    words = pre_tokenizers.BertPreTokenizer()
    sums = []
    for block in range(0, 0x110000, 256):
        seen = []
        for c in range(block, block + 256):
            if 0xD800 <= c < 0xE000:
                continue
            alone = fold.normalize_str(chr(c))
            if len(words.pre_tokenize_str("a" + alone + "b")) > 1:
                alone = "|"
            count = len(words.pre_tokenize_str(full.normalize_str("a" + chr(c) + "b")))
            seen.append(f"{alone}{count}")
        sums.append(zlib.crc32("\n".join(seen).encode()))
    return sums


def training_text(paths):
    for path in paths:
        opener = gzip.open if path.endswith(".gz") else open
        with opener(path, "rt", encoding="utf8") as f:
            for line in f:
                if ".jsonl" in path:
                    row = json.loads(line)
                    line = row.get("text") or row.get("context") or ""
                yield line


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--vocab", required=True)
    p.add_argument("--text", required=True, nargs="+")
    p.add_argument("--out", required=True)
    o = p.parse_args()
    vocabulary = open(o.vocab, encoding="utf8").read().splitlines()
    cases = list(texts(vocabulary))
    print(len(cases), "texts")
    write(f"{o.out}/vocab.txt.gz", vocabulary)

    bpe = ByteLevelBPETokenizer()
    lines = list(training_text(o.text))
    random.Random(7).shuffle(lines)
    bpe.train_from_iterator(lines[:20000] + cases, vocab_size=3261, min_frequency=2, show_progress=False,
                            special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    with tempfile.TemporaryDirectory() as folder:
        bpe.save_model(folder)
        vocab, merges = f"{folder}/vocab.json", f"{folder}/merges.txt"
        write(f"{o.out}/vocab.json.gz", [open(vocab, encoding="utf8").read()])
        write(f"{o.out}/merges.txt.gz", open(merges, encoding="utf8").read().splitlines())
        ours = [*word_pieces(vocabulary), *byte_pairs(vocab, merges)]
        write(f"{o.out}/tokens.jsonl.gz", [[t, *(tokens(x, t) for x in ours)] for t in cases])

        bert, roberta = BertTokenizerFast(o.vocab), RobertaTokenizerFast(vocab, merges)
        plain = [t for t in cases if not any(s in t for s in ("[", "<"))]
        for whole, part in ((bert, ours[0]), (roberta, ours[4])):
            for t in plain:
                assert whole(t, add_special_tokens=False)["input_ids"] == part.encode(t, add_special_tokens=False).ids, t
        rng, pairs = random.Random(11), []
        for _ in range(97):
            first, second, longest = rng.choice(plain), rng.choice(plain), rng.choice([0, 31, 47])
            for name, t in (("bert", bert), ("roberta", roberta)):
                a = len(t(first, "")["input_ids"])
                if not second.strip() or longest and a + 4 >= longest:
                    continue
                e = t(first, second, max_length=longest or None, truncation="only_second" if longest else False,
                      return_token_type_ids=True)
                single = t(first, return_token_type_ids=True)
                pairs.append({"family": name, "first": first, "second": second, "max": longest, "ids": e["input_ids"],
                              "types": e["token_type_ids"], "one": single["input_ids"]})
        write(f"{o.out}/pairs.jsonl.gz", pairs)
        # The reference's own tokenizer.json, its vocabulary left out: the test puts vocab.txt's there.
        whole = json.loads(bert.backend_tokenizer.to_str())
        whole["model"]["vocab"] = {}
        write(f"{o.out}/bert.tokenizer.json.gz", [whole])
        write(f"{o.out}/roberta.tokenizer.json.gz", [json.loads(roberta.backend_tokenizer.to_str())])
    write(f"{o.out}/classes.json.gz", [classes()])


if __name__ == "__main__":
    main()
