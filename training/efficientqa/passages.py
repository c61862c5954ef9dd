"""Training passages of the phrase model: every question of a passage together, in batches of passages that BM25 finds near.

Passage: {"text", "title", "kind": "near" | "far" | "sentence", "questions": [(question, [(start, end), …] in characters), …]}.
"""
import collections
import os
import re
import sys

import torch

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mix"))
import data  # noqa: E402


def read(folder, squad=()):
    """All passages of the training rows, grouped by their context: (trained on, held out)."""
    rows = data.read_rows(f"{folder}/train_paragraph.jsonl.gz") + [r for f in squad for r in data.read_rows(f)]
    for r in rows:
        r["kind"] = "near" if r["source"] in data.SQUAD_LIKE else "far"
    sentences = data.read_rows(f"{folder}/train_sentence.jsonl.gz")
    for r in sentences:
        r["kind"] = "sentence"
    grouped = collections.defaultdict(list)
    for r in rows + sentences:
        if r["answers"]:
            grouped[r["context"]].append(r)
    passages = [{"text": text, "title": rs[0]["title"], "kind": rs[0]["kind"],
                 "questions": [(r["question"], [(a["start"], a["start"] + len(a["text"])) for a in r["answers"]]) for r in rs]}
                for text, rs in grouped.items()]
    held = [p for p in passages if p["kind"] == "near" and data.held_out(p["title"])]
    return [p for p in passages if p["kind"] == "sentence" or not data.held_out(p["title"])], held


def test_set(path):
    """The passages of a file in SQuAD's format, with the answers' texts as they stand there."""
    grouped = collections.defaultdict(list)
    for r in data.read_rows(path):
        grouped[r["context"]].append(r)
    return [{"text": text, "title": rs[0]["title"], "kind": "near",
             "questions": [(r["question"], [(a["start"], a["start"] + len(a["text"])) for a in r["answers"]]) for r in rs]}
            for text, rs in grouped.items()]


def cut(rng, passage, words, questions):
    """A window of at most `words` words with the questions that it answers, at most `questions` of them."""
    anchor = rng.choice(rng.choice(passage["questions"])[1])
    text, start, _ = data.window(rng, passage["text"], *anchor, words)
    low = anchor[0] - start
    inside = [(q, [(a - low, b - low) for a, b in spans if low <= a and b <= low + len(text)]) for q, spans in passage["questions"]]
    return chosen(rng, text, passage["kind"], [(q, spans) for q, spans in inside if spans], questions)


def chosen(rng, text, kind, inside, questions):
    """A training passage: some of its questions, and the answers of all ("golds", for the extractor)."""
    golds = sorted({span for _, spans in inside for span in spans})
    return {"text": text, "kind": kind, "questions": rng.sample(inside, min(questions, len(inside))), "golds": golds}


def joined(rng, sentences, questions):
    """One to five unrelated sentences as one passage, so that the answer's sentence has to be found."""
    text, inside = "", []
    for s in sentences:
        at = len(text) + (1 if text else 0)
        text = f"{text} {s['text']}" if text else s["text"]
        inside += [(q, [(a + at, b + at) for a, b in spans]) for q, spans in s["questions"]]
    return chosen(rng, text, "sentence", inside, questions)


def neighbours(passages, k=8):
    """For each passage, the others that BM25 finds best for two of its questions."""
    index = data.BM25([p["text"] for p in passages])
    queries = [" ".join(q for q, _ in p["questions"][:2]) for p in passages]
    return [[j for j in best if j != i][:k] for i, best in enumerate(index.top(queries, k + 1))]


class Stream:
    """Endless stream of list items in a random order that is drawn anew each epoch."""

    def __init__(self, rng, items):
        self.rng, self.items, self.order = rng, items, []

    def take(self, n):
        taken = []
        while len(taken) < n:
            if not self.order:
                self.order = data.shuffled(self.rng, range(len(self.items)))
            taken.append(self.order.pop())
        return taken


class Batches:
    """Batch number n, the same in every run with the same options: batches are drawn in order, so a resumed run draws over the
    ones that it has had."""

    def __init__(self, o, passages):
        self.o, self.rng = o, data.rng(o.seed, "batches")
        kinds = {kind: [p for p in passages if p["kind"] == kind] for kind in ("near", "far", "sentence")}
        self.passages = kinds["near"] + kinds["far"]
        self.near = neighbours(self.passages)
        n = len(kinds["near"])
        self.streams = {"near": Stream(self.rng, range(n)), "far": Stream(self.rng, range(n, len(self.passages)))}
        self.sentences = Stream(self.rng, kinds["sentence"])
        self.counts = {kind: len(v) for kind, v in kinds.items()}

    def draw(self, warm):
        """The passages of the next batch. Warm-up batches hold sentences only."""
        o, rng = self.o, self.rng
        if warm or rng.random() < o.sentences:
            sizes = [rng.randint(1, 5) for _ in range(o.batch)]
            return [joined(rng, [self.sentences.items[i] for i in self.sentences.take(n)], o.questions) for n in sizes]
        kind = "far" if rng.random() < o.others else "near"
        stream = self.streams[kind]
        drawn = []
        for i in (stream.items[j] for j in stream.take(o.batch // 2)):
            drawn += [i, rng.choice(self.near[i])]
        return [cut(rng, self.passages[i], rng.choice((o.words, o.words, o.words * 3 // 2)), o.questions) for i in dict.fromkeys(drawn)]


SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[A-Z0-9\"“(])")


def surroundings(text, start, end):
    """The sentence of a character span with the one before and the one after it: the context of the pair form."""
    cuts = [0] + [m.end() for m in SENTENCE.finditer(text)] + [len(text)]
    first = max(i for i, c in enumerate(cuts) if c <= start)
    last = min(i for i, c in enumerate(cuts) if c >= end)
    return text[cuts[max(0, first - 1)]:cuts[min(len(cuts) - 1, last + 1)]].strip()


def tokenise(tokenizer, texts, length_max, empty_first=False):
    """Texts as token ids; `empty_first`: as the second text of a pair whose first is empty."""
    pair = ([""] * len(texts), texts) if empty_first else (texts,)
    return tokenizer(*pair, truncation=True, max_length=length_max, padding="longest", return_tensors="pt")


def allowed_spans(tokenizer, e, widths):
    """[P, T, W] whether a span of the passage has whole words at both ends, and the passage's tokens [P, T]."""
    pieces = continuation(tokenizer)[e["input_ids"]]
    inside = (e["token_type_ids"] == 1) & (e["attention_mask"] == 1)
    last = inside & ~torch.nn.functional.pad(inside[:, 1:], (0, 1))
    inside &= ~last  # the closing [SEP]
    starts = inside & ~pieces
    ends = inside & ~torch.nn.functional.pad(pieces[:, 1:], (0, 1))
    at = torch.arange(inside.shape[1])[:, None] + torch.arange(widths)[None]
    return starts[..., None] & torch.nn.functional.pad(ends, (0, widths))[:, at]


def continuation(tokenizer, kept={}):
    """[vocabulary] whether a piece continues a word."""
    if "pieces" not in kept:
        kept["pieces"] = torch.tensor([t.startswith("##") for t in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))])
    return kept["pieces"]


def token_span(e, i, span):
    """Token numbers (first, last) of a character span of passage i, None where it was cut off."""
    first, last = e.char_to_token(i, span[0], 1), e.char_to_token(i, span[1] - 1, 1)
    return None if first is None or last is None else (first, last)
