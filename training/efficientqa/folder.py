"""Writes a trained phrase model as a folder: int8 rows with one scale each, everything small in float32, as the reader's.

    python folder.py --reader ../../models/mix-12x384 --run runs/phrase-12 --out ../../models/phrase-12x384

What was not trained is the reader's and is not written again: config.json names the reader as "base". --whole writes every tensor and
the vocabulary. --golden FILE also writes passages with candidates and vectors, computed in float32 from the stored weights.
"""
import argparse
import json
import os
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import BertTokenizerFast

import evaluate
import passages as p_
from phrase import file_names, from_folder, from_run

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mix"))
from export import quantise  # noqa: E402


def stored(model):
    """The trained tensors under their names in the file."""
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    tensors, own = {}, model.state_dict()
    for ours, names in file_names(model).items():
        if ours in frozen or names[0].startswith("phrase.") and model.config["form"] in ("pair", "alone"):
            continue
        for name, weight in zip(names, own[ours].float().chunk(len(names))):
            if weight.ndim == 2 and name != "candidates.ends.weight":
                tensors[name], tensors[f"{name}.scale"] = quantise(weight)
            else:
                tensors[name] = weight.contiguous()
    return tensors


def write(model, o):
    os.makedirs(o.out, exist_ok=True)
    tensors = stored(model)
    scale = float(model.log_scale.detach().exp())
    with open(f"{o.reader}/config.json", encoding="utf8") as f:
        config = json.load(f)
    keep = ("form", "split", "pooling", "width_max", "overlap")
    config |= {"architectures": ["EvidentPhraseEncoder"]} | {k: model.config[k] for k in keep}
    config |= {"scale": round(scale, 4), "prior_weight": round(o.prior / scale, 6), "prior_mean": o.prior_mean, "distinct": True,
               "passage_tokens": 384, "question_tokens": 64, "candidates": o.candidates}
    if o.whole:
        reader = load_file(f"{o.reader}/model.safetensors")
        tensors = {k: v for k, v in reader.items() if k.startswith("bert.") and k not in tensors
                   and k.removesuffix(".scale") not in tensors} | tensors
        shutil.copy(f"{o.reader}/vocab.txt", f"{o.out}/vocab.txt")
    else:
        config["base"] = os.path.basename(os.path.normpath(o.reader))
    save_file(tensors, f"{o.out}/model.safetensors", {"format": "evident"})
    with open(f"{o.out}/config.json", "w", encoding="utf8") as f:
        json.dump(config, f, indent=1)
        f.write("\n")
    size = os.path.getsize(f"{o.out}/model.safetensors")
    print(f"{o.out}: {len(tensors)} tensors, {size / 2**20:.2f} MiB")


PASSAGES = [
    "The lighthouse at Kessel Point was built in 1871 by the engineer Marta Lindqvist. It is 43 metres high and its lamp, which burned "
    "rapeseed oil until 1904, can be seen from 22 nautical miles away. In 1953 a storm broke two of its windows; the keeper, Johan "
    "Brandt, and his daughter kept the light burning for three nights.",
    "Osmium is the densest element that occurs in nature. It was discovered in London by Smithson Tennant in 1803, in the residue left "
    "when crude platinum is dissolved in aqua regia. Its name comes from the Greek word for smell, because its oxide smells of chlorine.",
    "Bees tell one another where flowers are by dancing. The length of the waggle run gives the distance: about one second for every "
    "kilometre. Its angle to the vertical gives the direction relative to the sun."]
QUESTIONS = ["Who built the lighthouse at Kessel Point?", "How high is the lighthouse?", "When was osmium discovered?",
             "What does the angle of the waggle run show?", "What did the lamp burn before 1904?"]


def golden(o):
    """What another implementation of the stored model should compute."""
    model = from_folder(o.out, o.reader)
    tokenizer = BertTokenizerFast(vocab_file=f"{o.reader}/vocab.txt", do_lower_case=True)
    prior = lambda value: round(o.prior / float(model.log_scale.detach().exp()), 6) * (value - o.prior_mean)
    passages = []
    for text, found in zip(PASSAGES, evaluate.candidates_of(model, tokenizer, PASSAGES, 12)):
        candidates = []
        for (s, t, answer, value, at), vector in zip(found["candidates"], found["vectors"]):
            begin = len(text[:at].encode())
            candidates.append({"byte": [begin, begin + len(answer.encode())], "token": [s, t], "text": answer, "logp": value,
                               "vector": vector.tolist() + [prior(value)]})
        ids = p_.tokenise(tokenizer, [text], 384, empty_first=True)["input_ids"][0].tolist()
        passages.append({"text": text, "ids": ids, "candidates": candidates})
    vectors = evaluate.question_vectors(model, tokenizer, QUESTIONS)
    questions = [{"text": q, "ids": p_.tokenise(tokenizer, [q], 64)["input_ids"][0].tolist(), "vector": v.tolist() + [1.0]}
                 for q, v in zip(QUESTIONS, vectors)]
    with open(o.golden, "w", encoding="utf8") as f:
        json.dump({"passages": passages, "questions": questions}, f)
    for q, v in zip(QUESTIONS, questions):
        best = max((sum(a * b for a, b in zip(c["vector"], v["vector"])), c["text"]) for p in passages for c in p["candidates"])
        print(f"{q}  {best[1]}  {best[0]:.3f}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--reader", required=True)
    p.add_argument("--run", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--prior", type=float, default=0.5, help="weight of the log-score beside scale times cosine")
    p.add_argument("--prior-mean", type=float, default=-6.0, help="subtracted from the log-score; shifts all matches alike")
    p.add_argument("--candidates", type=int, default=50)
    p.add_argument("--whole", action="store_true")
    p.add_argument("--golden")
    o = p.parse_args()
    write(from_run(o.reader, o.run), o)
    if o.golden:
        golden(o)


if __name__ == "__main__":
    main()
