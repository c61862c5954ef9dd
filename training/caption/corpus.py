"""The texts that the decoder learns: captions, short phrases found in them, and names of things.

Nothing here looks at a photo. What a text's input is and what is to be said of it can differ: of the name "airplane" the
input is the vector of "a photo of a airplane", as the vision-language model asks for names, and the target "an airplane".
"""
import collections
import json
import os
import re
import sys
import tarfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vision"))
from data import PEOPLE, canonical, split_of  # noqa: E402

DETERMINERS = "a an the two three four five several some many".split()
BETWEEN = 3  # words at most between a phrase's determiner and its noun
PROMPTS = ("a photo of a {}", "a {}")


def rows(folder, collection):
    """The lines of a collection's manifest; its photos are not opened."""
    with tarfile.open(f"{folder}/{collection}.tar") as tar:
        return [json.loads(line) for line in tar.extractfile("manifest.jsonl").read().decode().splitlines()]


def tidy(caption):
    """A caption without capitals, final point and double spaces."""
    return re.sub(r"\s+", " ", caption.lower()).strip(" .")


def captions(folder):
    """The captions of Flickr8k's training part, [photos][5]."""
    return [[tidy(c) for c in row["captions"]] for i, row in enumerate(rows(folder, "flickr8k"))
            if split_of("flickr8k", i, row) == "train"]


def names(folder):
    """Names of things, and of stuff such as grass: CLIP's nouns, and the labels of COCO's photos for training."""
    with open(f"{folder}/clip_vit_b32_text_names.json", encoding="utf8") as f:
        found = {re.sub(r"_?\(.*?\)", "", n["name"]).replace("_", " ").strip().lower() for n in json.load(f)}
    for i, row in enumerate(rows(folder, "coco-seg")):
        if split_of("coco-seg", i, row) == "train":
            found |= {canonical(n) for n in row["labels"]}
    return sorted(found)


def article(name):
    """A name as one says it: "an airplane", "scissors"."""
    if re.search(r"[^s]s$", name):
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def phrases(captions, names, least):
    """Parts of captions such as "a brown dog", most frequent first: determiner, up to BETWEEN words, a noun; said `least` times.

    A noun is a name of one word, its plural, or a word for people; the phrase ends with the last noun that is in reach.
    """
    singles = {n for n in names if re.fullmatch(r"[a-z]+", n)}
    nouns = singles | {n + e for n in singles for e in ("s", "es")} | set(PEOPLE)
    breaks = set(("and or of in on at with by is are was to from for near through over into while as that its his her their "
                  "one who which up down out off under behind").split()) | set(DETERMINERS)
    counts = collections.Counter()
    for five in captions:
        for caption in five:
            words = re.findall(r"[a-z]+|[^a-z\s]", caption)
            for i, word in enumerate(words):
                if word not in DETERMINERS:
                    continue
                last = None
                for k in range(i + 1, min(len(words), i + 2 + BETWEEN)):
                    if words[k] in breaks or not words[k].isalpha() or words[k].endswith("ing"):
                        break
                    if words[k] in nouns:
                        last = k
                if last is not None:
                    counts[" ".join(words[i:last + 1])] += 1
    return [p for p, n in counts.most_common() if n >= least]


def pieces(tokenizer, texts):
    """The word pieces of each text, without begin and end."""
    return [e.tokens for e in tokenizer.backend_tokenizer.encode_batch(list(texts), add_special_tokens=False)]


class Vocabulary:
    """The word pieces that occur, among those of the text tower's tokenizer. Piece 0 ends a text, 1 stands for rare ones."""

    END, RARE = 0, 1

    def __init__(self, known):
        self.pieces = known
        self.number = {p: i for i, p in enumerate(known)}

    @classmethod
    def of(cls, tokenizer, frequent, whole, least):
        """Pieces said `least` times in the texts of `frequent`, and all pieces of those of `whole`."""
        counts = collections.Counter(p for t in pieces(tokenizer, frequent) for p in t)
        kept = {p for p, n in counts.items() if n >= least} | {p for t in pieces(tokenizer, whole) for p in t}
        return cls(["[SEP]", "[UNK]"] + sorted(kept))

    def ids(self, tokenizer, texts):
        """The numbers of each text's pieces."""
        return [[self.number.get(p, self.RARE) for p in t] for t in pieces(tokenizer, texts)]
