"""Writes unanswerable questions about the held-out titles, for the calibration: a name or number of the question becomes another
of the same paragraph that the answer's sentence does not hold.

    python swaps.py --data DATA/qa --out swaps.jsonl.gz
    (cd ../.. && go run ./bench/fusion -model models/mix-12x384 -data DATA/qa -out features.jsonl.gz swaps.jsonl.gz)

People wrote unanswerable questions about two articles only, of which one is held out; these come from six more. No training run
has seen questions changed in this way: there, names come from other articles (data.py). A few still have an answer.
"""
import argparse
import gzip
import json
import re

import numpy as np

import data


def sentence_of(context, at):
    """Start and end of the sentence that holds character `at`."""
    starts = [0] + [m.end() for m in re.finditer(r"[.!?][\"')\]]*\s+", context)]
    i = int(np.searchsorted(starts, at, side="right")) - 1
    return starts[i], starts[i + 1] if i + 1 < len(starts) else len(context)


def swapped(row):
    """The question with one of its names exchanged, or None."""
    rng, context, question = data.rng("swap", row["id"]), row["context"], row["question"]
    a, b = sentence_of(context, row["answers"][0]["start"])
    near = sorted(n for n in data.names(context) if n not in context[a:b] and n not in question)
    ways = []
    for name in data.NAME.findall(question):
        alike = [n for n in near if n[0].isdigit() == name[0].isdigit()]
        if alike:
            ways.append(question.replace(name, rng.choice(alike)))
    return rng.choice(ways) if ways else None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    o = p.parse_args()
    count = 0
    with gzip.open(o.out, "wt", encoding="utf8") as f:
        for row in data.read_rows(f"{o.data}/train_paragraph.jsonl.gz"):
            if not (row["answers"] and row["source"] in data.SQUAD_LIKE and data.held_out(row["title"])):
                continue
            question = swapped(row)
            if question:
                count += 1
                f.write(json.dumps(row | {"id": "swap-" + row["id"], "question": question, "answers": []}) + "\n")
    print(f"{count} questions")


if __name__ == "__main__":
    main()
