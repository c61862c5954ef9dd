"""Writes held-out questions changed so that their paragraph no longer answers them, for the fit of the calibration.

    python heldout.py --data DATA/qa --out changed.jsonl
"""
import argparse
import collections
import json

import data


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    o = p.parse_args()
    rows = data.read_rows(f"{o.data}/train_paragraph.jsonl.gz")
    rows = [r for r in rows if data.held_out(r["title"]) and r["answers"] and r["source"] in data.SQUAD_LIKE]
    foreign = collections.defaultdict(set)
    for r in rows:
        foreign[r["title"]] |= data.names(r["context"])
    foreign = {title: sorted(found) for title, found in foreign.items()}
    rng = data.rng("changed")
    written = 0
    with open(o.out, "w", encoding="utf8") as f:
        for r in data.shuffled(rng, rows):
            changed = data.made_unanswerable(rng, r["question"], r["context"], foreign[r["title"]])
            if changed:
                f.write(json.dumps({"title": r["title"], "context": r["context"], "question": changed, "answers": []}) + "\n")
                written += 1
    print(f"{o.out}: {written} of {len(rows)} questions could be changed")


if __name__ == "__main__":
    main()
