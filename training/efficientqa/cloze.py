"""Questions made from passages that nobody asked about (after Lewis et al. 2019, arXiv:1906.04980).

The answer's words in its sentence give way to a question word, some of the others are dropped, and half of the time the question word
moves to the front. Such questions are poor English, but they ask for one phrase of one passage, and there are as many as
there are passages.
"""
import collections
import re

from passages import SENTENCE, data

NUMBERS = ("how many", "how much", "what number of", "how long", "what percentage")
YEARS = ("when", "what year", "in what year", "when did", "when was")
NAMES = ("who", "who", "what", "which", "where", "what is the name of", "whose")
THINGS = ("what", "what", "which", "how", "what kind of", "why", "what type of")
AROUND = 14  # words kept on either side of the answer, at most


def passages(path, excluded):
    """Texts of a corpus (JSON Lines of {title, text}) whose title and text are neither among the test set's nor held out, as passages
    without questions. `excluded`: files in SQuAD's format that must stay unseen, texts and titles."""
    unseen = {key for p in excluded for row in data.read_rows(p) for key in (named(row["title"]), row["context"])}
    held = lambda title: data.held_out(title) or data.held_out(title.replace(" ", "_"))
    rows = [r for r in data.read_lines(path) if not unseen & {named(r["title"]), r["text"]} and not held(r["title"])]
    return [{"text": r["text"], "title": r["title"], "kind": "cloze", "questions": []} for r in rows if len(r["text"].split()) >= 30]


def named(title):
    """SQuAD writes "Doctor_Who", other sets "Doctor Who"."""
    return title.replace("_", " ").lower()


def question_word(rng, answer, begins_sentence):
    if re.search(r"\d", answer):
        return rng.choice(YEARS if re.search(r"\b1[0-9]{3}\b|\b20[0-2][0-9]\b", answer) else NUMBERS)
    return rng.choice(NAMES if answer[:1].isupper() and not begins_sentence else NAMES + THINGS if answer[:1].isupper() else THINGS)


def question(rng, text, start, end, dropped=0.3):
    """A question for the characters [start, end) of a passage."""
    cuts = [0] + [m.end() for m in SENTENCE.finditer(text)] + [len(text)]
    low, high = max(c for c in cuts if c <= start), min(c for c in cuts if c >= end)
    before, after = text[low:start].split()[-AROUND:], text[end:high].rstrip(" .!?").split()[:AROUND]
    asked = question_word(rng, text[start:end], start == low)
    before, after = ([w for w in side if rng.random() >= dropped] for side in (before, after))
    order = [asked, *after, *before] if rng.random() < 0.5 else [*before, asked, *after]
    return " ".join(order) + "?"


def ask(rng, passage, spans, most):
    """Gives a passage at most `most` questions, each for another of the character spans [(start, end), …]."""
    text, kinds = passage["text"], collections.OrderedDict()
    for start, end in spans:
        kinds.setdefault(data.normalise(text[start:end]), (start, end))
    kinds.pop("", None)
    chosen = rng.sample(list(kinds.values()), min(most, len(kinds)))
    return passage | {"questions": [(question(rng, text, *span), [span]) for span in chosen], "golds": sorted(chosen)}
