"""Writes model/caption/testdata: a small random decoder, and what torch computes from it and from the shipped one, in float32.

    python tools/ref/caption.py [--shipped-only]

needs training/caption/requirements.txt. Every size of the small decoder is another number, so that a swapped axis cannot pass.
The search is transformers' beam search with early stopping, written anew over the whole distribution.
"""
import argparse
import json
import os
import sys

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "training", "caption"))
from corpus import Vocabulary  # noqa: E402
from decoder import Decoder, project  # noqa: E402
from folder import KINDS, write  # noqa: E402

OUT = os.path.join(ROOT, "model", "caption", "testdata")
SMALL = dict(size=29, pieces=67, width=42, layers=2, heads=3, length=11)
ROWS = (13, 7, 5)  # of the memory, by kind
READING = {"picture": {"memory": ["captions"], "temperature": 0.05},
           "region": {"memory": ["names", "phrases"], "temperature": 0.1}, "beams": 3, "length_power": 0.7}


def load(folder):
    """A decoder and its memory by kind, of an exported folder: the weights as they were stored."""
    with open(f"{folder}/config.json", encoding="utf8") as f:
        config = json.load(f)
    tensors, weights = load_file(f"{folder}/model.safetensors"), {}
    for name, t in tensors.items():
        if not name.endswith(".scale"):
            weights[name] = t.float() * (tensors[f"{name}.scale"][:, None] if f"{name}.scale" in tensors else 1)
    rows, memory, at = F.normalize(weights.pop("memory"), dim=-1), {}, 0
    for kind in config["memory"]:
        memory[kind["kind"]], at = rows[at:at + kind["rows"]], at + kind["rows"]
    weights.pop("probe")
    d = Decoder(config["embedding_size"], config["pieces"], config["width"], config["layers"], config["heads"], config["max_length"])
    d.load_state_dict(weights)
    with open(f"{folder}/pieces.txt", encoding="utf8") as f:
        pieces = f.read().split("\n")[:-1]
    return d.eval(), memory, pieces, config


def seen(vector, memory, projection):
    return project(vector[None], torch.cat([memory[k] for k in projection["memory"]]), projection["temperature"])[0]


def search(decoder, vector, beams, power):
    """Finished captions [(score, ids, log-probability)], the best first; ids without the end."""
    length, live, finished = decoder.settings["length"], [([], 0.0)], []
    while live and len(finished) < beams:
        grown = []
        for ids, log in live:
            logits = decoder(vector[None], torch.tensor([ids], dtype=torch.long))[0, -1].double()
            p = logits.log_softmax(-1)
            p[Vocabulary.RARE] = -torch.inf
            grown += [(log + p[k].item(), ids + [k]) for k in range(len(p))]
        grown.sort(key=lambda g: -g[0])
        live = []
        for rank, (log, ids) in enumerate(grown[:2 * beams]):
            if ids[-1] == Vocabulary.END:
                if rank < beams:
                    finished.append((log / len(ids) ** power, ids[:-1], log / len(ids)))
            elif len(live) < beams:
                live.append((ids, log))
        if live and len(live[0][0]) == length - 1:
            finished += [(log / len(ids) ** power, ids, log / len(ids)) for ids, log in live]
            live = []
    return sorted(finished, key=lambda f: -f[0])


def joined(ids, pieces):
    """The text of word pieces."""
    text = " ".join(pieces[i] for i in ids).replace(" ##", "")
    for mark in ".,;:!?)":
        text = text.replace(f" {mark}", mark)
    for mark in "'-":
        text = text.replace(f" {mark} ", mark).replace(f" {mark}", mark).replace(f"{mark} ", mark)
    return text.replace("( ", "(")


def small():
    """The small decoder's folder and golden.safetensors."""
    torch.manual_seed(7)
    folder = f"{OUT}/small"
    d = Decoder(**SMALL)
    for name, p in d.named_parameters():
        torch.nn.init.normal_(p, mean=1.0 if "norm" in name and name.endswith("weight") else 0.0, std=0.35)
    words = [f"w{i}" for i in range(SMALL["pieces"] - 12)] + ["##ing", "##s", ",", ".", "'", "-", "(", ")", "t", "!"]
    memory = {k: F.normalize(torch.randn(n, SMALL["size"]), dim=-1) for k, n in zip(KINDS, ROWS)}
    probe = ("a probe", F.normalize(torch.randn(SMALL["size"]), dim=-1))
    write(d, Vocabulary(["[SEP]", "[UNK]"] + words), memory, probe, READING, folder)
    d, memory, pieces, config = load(folder)
    vectors = F.normalize(torch.randn(5, SMALL["size"]), dim=-1)
    ids = torch.randint(2, SMALL["pieces"], (5, SMALL["length"] - 1))
    tensors = {"vectors": vectors, "ids": ids, "logits": d(vectors, ids)}
    captions = {}
    for kind in ("picture", "region"):
        tensors[kind] = torch.stack([seen(v, memory, READING[kind]) for v in vectors])
        for beams in (1, 3):
            captions[f"{kind} {beams}"] = [[(joined(c[1], pieces), round(float(torch.tensor(c[2]).exp()), 6))
                                            for c in search(d, v, beams, READING["length_power"])[:beams]] for v in tensors[kind]]
    save_file({k: t.contiguous() for k, t in tensors.items()}, f"{folder}/golden.safetensors")
    with open(f"{folder}/captions.json", "w", encoding="utf8") as f:
        json.dump(captions, f, indent=1)
        f.write("\n")


def shipped():
    """Captions that the shipped decoder writes of vectors between texts of its memory."""
    d, memory, pieces, config = load(os.path.join(ROOT, "models", "vision-192", "caption"))
    reading, out = config["reading"], []
    for kind in ("picture", "region"):
        rows = torch.cat([memory[k] for k in reading[kind]["memory"]])
        for i in range(5):
            mixed = [rows[(i * 997 + 11) % len(rows)], rows[(i * 1499 + 5) % len(rows)]]
            vector = seen(F.normalize(mixed[0] + 0.25 * mixed[1], dim=-1), memory, reading[kind])
            greedy = search(d, vector, 1, reading["length_power"])[0]
            beams = search(d, vector, reading["beams"], reading["length_power"])[0]
            out.append({"kind": kind, "rows": [(i * 997 + 11) % len(rows), (i * 1499 + 5) % len(rows)],
                        "greedy": joined(greedy[1], pieces), "beams": joined(beams[1], pieces)})
    with open(f"{OUT}/vision-192.json", "w", encoding="utf8") as f:
        json.dump(out, f, indent=1)
        f.write("\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shipped-only", action="store_true", help="after the shipped decoder was trained again")
    o = p.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        if not o.shipped_only:
            small()
        shipped()


if __name__ == "__main__":
    main()
