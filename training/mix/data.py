"""Training rows of the joint reader: reading, held-out titles, windows around an answer, BM25 negatives.

A row is {id, title, context, question, answers: [{text, start}], source, redistributable}, `start` in characters of `context`.
"""
import collections
import gzip
import hashlib
import json
import random
import re

import numpy as np
from scipy import sparse

# Sets written by people who saw a Wikipedia paragraph, like SQuAD's own; the other sets are sampled less often.
SQUAD_LIKE = ("squad11_train_prefix/train", "squad2/train_10articles", "squadshifts/new_wiki", "squad")


def read_rows(path, redistributable_only=True):
    """Rows of a JSON Lines file, or of a file in SQuAD's own JSON format; .gz accepted."""
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf8") as f:
        if ".jsonl" in path:
            rows = [json.loads(line) for line in f]
        else:
            rows = list(squad_rows(json.load(f)))
    return [r for r in rows if r["redistributable"] or not redistributable_only]


def squad_rows(squad):
    for article in squad["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                answers = [{"text": a["text"], "start": a["answer_start"]} for a in qa["answers"]]
                yield {"id": qa["id"], "title": article["title"], "context": paragraph["context"], "question": qa["question"],
                       "answers": answers, "source": "squad", "redistributable": True}


# One of the two articles with unanswerable questions that people wrote is not trained on either: the calibration is fitted on them.
REAL_UNANSWERABLE = "The_Legend_of_Zelda:_Twilight_Princess"


def held_out(title):
    """One title in twelve is never trained on: settings, fusion weights and calibration are chosen there."""
    return hashlib.sha1(title.encode()).digest()[0] % 12 == 0


def normalise(text):
    """The normalisation of SQuAD's exact match."""
    text = "".join(c for c in text.lower() if c not in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def window(rng, context, start, end, words_max):
    """A random run of at most about words_max words holding context[start:end]; returns (text, start, end) of the answer in it."""
    starts = [m.start() for m in re.finditer(r"\S+", context)]
    if len(starts) <= words_max:
        return context, start, end
    first = max(0, int(np.searchsorted(starts, start, side="right")) - 1)
    last = max(first + 1, int(np.searchsorted(starts, end, side="left")))
    low = rng.randint(max(0, last - words_max), max(first, 0)) if last - words_max < first else first
    # Half of the windows begin where a sentence does, as the passages of an index do.
    if rng.random() < 0.5:
        for w in range(low, first + 1):
            if w == 0 or context[:starts[w]].rstrip()[-1:] in ".!?":
                low = w
                break
    high = max(last, min(len(starts), low + words_max))
    lo, hi = starts[low], len(context) if high >= len(starts) else starts[high]
    text = context[lo:hi].rstrip()
    return text, start - lo, end - lo


def chunks(context, words_max=100):
    """Cuts a context into passages of about words_max words, as an index would."""
    starts = [m.start() for m in re.finditer(r"\S+", context)]
    cuts = [starts[i] for i in range(0, max(1, len(starts) - words_max // 3), words_max)] if starts else []
    return [context[a:b].strip() for a, b in zip(cuts, cuts[1:] + [len(context)])]


class BM25:
    """Plain BM25 over a list of texts, only to mine training negatives (the product's index is bm25/)."""

    def __init__(self, texts, k1=0.9, b=0.4):
        self.vocabulary = {}
        rows, columns, counts = [], [], []
        for i, text in enumerate(texts):
            for term, n in collections.Counter(words(text)).items():
                rows.append(i)
                columns.append(self.vocabulary.setdefault(term, len(self.vocabulary)))
                counts.append(n)
        tf = sparse.csr_matrix((np.array(counts, np.float32), (rows, columns)), (len(texts), len(self.vocabulary)))
        length = np.asarray(tf.sum(1)).ravel()
        df = np.bincount(tf.indices, minlength=len(self.vocabulary))
        idf = np.log(1 + (len(texts) - df + 0.5) / (df + 0.5)).astype(np.float32)
        norm = k1 * (1 - b + b * length / length.mean())
        tf.data = idf[tf.indices] * tf.data / (tf.data + np.repeat(norm, np.diff(tf.indptr)))
        self.weights = tf.T.tocsr()

    def top(self, questions, k):
        """Yields, for each question, the ids of its k best texts."""
        for at in range(0, len(questions), 256):
            batch = questions[at:at + 256]
            pairs = [(i, self.vocabulary[t]) for i, q in enumerate(batch) for t in set(words(q)) if t in self.vocabulary]
            if not pairs:
                yield from ([] for _ in batch)
                continue
            r, c = zip(*pairs)
            query = sparse.csr_matrix((np.ones(len(r), np.float32), (r, c)), (len(batch), len(self.vocabulary)))
            scores = (query @ self.weights).toarray()
            best = np.argpartition(-scores, k, axis=1)[:, :k]
            for i in range(len(batch)):
                yield best[i][np.argsort(-scores[i][best[i]])].tolist()


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


def mine_negatives(rows, distractors=(), k=20, keep=8):
    """For each row, up to `keep` passages that BM25 ranks among its best k and that hold none of its answers."""
    passages = sorted({c for r in rows for c in chunks(r["context"])} | set(distractors))
    plain = [f" {normalise(p)} " for p in passages]
    index = BM25(passages)
    negatives = []
    for row, best in zip(rows, index.top([r["question"] for r in rows], k)):
        answers = [f" {normalise(a['text'])} " for a in row["answers"]]
        head = normalise(row["context"])
        found = [i for i in best if not any(a in plain[i] for a in answers)]
        if not row["answers"]:  # an unanswerable question: its own paragraph is the point, not a negative
            found = [i for i in found if plain[i].strip() not in head]
        negatives.append([passages[i] for i in found[:keep]])
    return negatives


def shuffled(rng, rows):
    rows = list(rows)
    rng.shuffle(rows)
    return rows


def rng(*seed):
    return random.Random("/".join(map(str, seed)))


ANTONYMS = [p.split("/") for p in """first/last largest/smallest biggest/smallest highest/lowest most/least before/after increase/decrease
    increased/decreased north/south northern/southern east/west eastern/western high/low higher/lower more/fewer old/new oldest/newest
    older/younger early/late earliest/latest male/female men/women win/lose won/lost winner/loser largest/second-largest best/worst
    begin/end began/ended begins/ends start/stop started/stopped founded/dissolved born/buried longest/shortest long/short major/minor
    majority/minority minimum/maximum inside/outside above/below allow/forbid allowed/forbidden positive/negative rich/poor
    support/oppose supported/opposed accept/reject accepted/rejected larger/smaller public/private modern/ancient""".split()]
OPPOSITE = {a: b for x, y in ANTONYMS for a, b in ((x, y), (y, x))}
NAME = re.compile(r"(?<=[a-z,] )[A-Z][\w'-]+(?: (?:of (?:the )?)?[A-Z][\w'-]+)*|\b\d{2,4}\b")
NEGATED = re.compile(r"\b(did|does|do|was|were|is|are|has|had|can|could|would)\b( \w+)?")


def names(text):
    return set(NAME.findall(text))


def made_unanswerable(rng, question, context, foreign_names):
    """The question changed so that its paragraph no longer answers it: another name or number, an opposite, or a negation,
    the changes that SQuAD 2.0's authors report of their writers; None where none applies."""
    ways = []
    mine = [n for n in NAME.findall(question)]
    for name in mine:
        others = [n for n in foreign_names if n[0].isdigit() == name[0].isdigit() and n not in context and n not in question]
        if others:
            other = rng.choice(others)
            ways += [question.replace(name, other)] * 2
    tokens = question.split(" ")
    for i, t in enumerate(tokens):
        if t.lower() in OPPOSITE:
            ways += [" ".join(tokens[:i] + [OPPOSITE[t.lower()]] + tokens[i + 1:])] * 2
    found = NEGATED.search(question)
    if found and (not ways or rng.random() < 0.3):
        ways.append(question[:found.end()] + rng.choice([" not", " never"]) + question[found.end():])
    return rng.choice(ways) if ways else None
