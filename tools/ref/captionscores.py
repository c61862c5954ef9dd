"""Writes eval/testdata/captions.json: captions, references, and what pycocoevalcap 1.2 scores them with.

    pip install --no-deps pycocoevalcap==1.2 && python tools/ref/captionscores.py

The sentences are made here, of few words, so that n-grams repeat; the scorers get them as words, without the package's own
tokenizer, which is a Java program.
"""
import json
import os
import random

from pycocoevalcap.bleu.bleu_scorer import BleuScorer
from pycocoevalcap.cider.cider_scorer import CiderScorer

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "eval", "testdata", "captions.json")
WHO = ["a dog", "two dogs", "a young boy", "a girl in a red dress", "the man's t-shirt", "people"]
DOES = ["runs", "is running", "jumps over a log", "sits", "looks at the camera", "plays with a ball"]
WHERE = ["", "on the grass", "in the snow", "near the water", "on a street at night", "on the grass near the water"]


def sentence(r):
    return f"{r.choice(WHO)} {r.choice(DOES)} {r.choice(WHERE)}".strip()


def scores(items):
    bleu, cider = BleuScorer(n=4), CiderScorer(n=4, sigma=6.0)
    for item in items:
        bleu += (item["caption"], item["references"])
        cider += (item["caption"], item["references"])
    total, each = cider.compute_score()
    return {"bleu": bleu.compute_score(option="closest")[0], "cider": float(total), "cider_each": [float(x) for x in each]}


def main():
    r = random.Random(5)
    long = [{"caption": sentence(r), "references": [sentence(r) for _ in range(r.randint(1, 5))]} for _ in range(23)]
    short = [{"caption": r.choice(WHO), "references": [sentence(r) for _ in range(3)]} for _ in range(7)]
    sets = {"long": long, "short": short, "one word": [{"caption": "people", "references": ["a dog", "people"]}] + short[:2]}
    with open(OUT, "w", encoding="utf8") as f:
        json.dump({name: {"items": items, **scores(items)} for name, items in sets.items()}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
