"""Writes a small random phrase encoder in each form, and what transformers and torch compute from it.

    python tools/ref/phrase.py efficientqa/testdata

A candidate in the shared form is computed from what it is: the last token of a longer sequence of which the others have
not noticed. So every layer runs, for every candidate, on the passage's rows and the candidate's. Needs torch 2.9.1,
transformers 4.57.1.
"""
import json
import os
import re
import shutil
import string
import sys

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, BertTokenizerFast

KEPT, TOP = 9, 12
PASSAGES = ["abc de fgh. ij, klm an no the de", "a", "... !", "the a an",
            "Abc de fgh. Ij klm (an no? Ba dec.) fab hen! \"Loan gem kid.\" \u201cJab lame. One dog big.",
            "ba dec fab-hen loan gem kid jab lame one dog big fan egg hike ham cod men ail jog lab bee aim can do had ban ace man"]
QUESTIONS = ["de fgh?", "", "ham cod men ail jog lab bee aim can do had ban ace"]
SETTINGS = {"split": 2, "width_max": 5, "overlap": 0.8, "scale": 7.5, "prior_weight": 0.03, "prior_mean": -4.5, "distinct": True,
            "passage_tokens": 96, "question_tokens": 17, "candidates": KEPT}


def normalise(text):
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def in_bytes(text, start, end):
    return [len(text[:i].encode()) for i in (start, end)]


def shared(a, b):
    """How much of the bytes of two spans is in both."""
    a, b = set(range(*a)), set(range(*b))
    return len(a & b) / len(range(min(a | b), max(a | b) + 1)) if a & b else 0


def surroundings(text, start, end):
    """The sentences of a span with one more on either side."""
    parts = re.split(r"""((?<=[.!?])["')\]]*\s+(?=[A-Z0-9"“(]))""", text)
    whole = [a + b for a, b in zip(parts[::2], parts[1::2] + [""])]  # each with the white space behind it
    begins = [sum(map(len, whole[:i])) for i in range(len(whole) + 1)]
    touched = [i for i in range(len(whole)) if begins[i] < end and begins[i + 1] > start]
    return begins[max(0, touched[0] - 1)], begins[min(len(whole), touched[-1] + 2)]


class Phrases(torch.nn.Module):
    def __init__(self, config, form):
        super().__init__()
        d = config.hidden_size
        self.bert = BertModel(config, add_pooling_layer=False)
        self.candidates = torch.nn.ModuleDict({"ends": torch.nn.Linear(d, 2), "start": torch.nn.Linear(d, 64), "end": torch.nn.Linear(d, 64)})
        self.candidates.register_parameter("width", torch.nn.Parameter(torch.zeros(SETTINGS["width_max"])))
        if form == "shared":
            self.phrase = torch.nn.ModuleDict({"start": torch.nn.Linear(d, d, bias=False), "end": torch.nn.Linear(d, d, bias=False),
                                               "norm": torch.nn.LayerNorm(d, eps=config.layer_norm_eps)})
            self.phrase.register_parameter("bias", torch.nn.Parameter(torch.zeros(d)))

    def states(self, ids, types):
        return self.bert(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types]), output_hidden_states=True).hidden_states

    def pool(self, ids, types, how):
        last = self.states(ids, types)[-1][0]
        return {"mean": last, "first": last[:types.count(0)], "cls": last[:1]}[how].mean(0)

    def spans(self, hidden, words, first):
        """All allowed spans [s, e] in input tokens with their scores."""
        a, b = self.candidates["ends"](hidden).T
        left, right = self.candidates["start"](hidden), self.candidates["end"](hidden)
        out = []
        for s in range(len(words)):
            for e in range(s, min(s + SETTINGS["width_max"], len(words))):
                if words[s].startswith("##") or e + 1 < len(words) and words[e + 1].startswith("##"):
                    continue
                i, j = first + s, first + e
                out.append((a[i] + b[j] + left[i] @ right[j] / 8 + self.candidates.width[e - s], s, e))
        return out

    def guest(self, states, s, e):
        x = self.phrase["norm"](self.phrase["start"](states[SETTINGS["split"]][0, s]) + self.phrase["end"](states[SETTINGS["split"]][0, e]) + self.phrase.bias)
        for layer in range(SETTINGS["split"], len(self.bert.encoder.layer)):
            together = torch.cat([states[layer][0], x[None]])[None]
            out = self.bert.encoder.layer[layer](together)
            x = (out[0] if isinstance(out, tuple) else out).reshape(-1, x.shape[0])[-1]
        return x


def direction(y):
    return y[:-1] / y[:-1].norm()


def golden(model, tokenizer, form, pooling):
    result = {"passages": [], "questions": []}
    for text in PASSAGES:
        pieces = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        words = tokenizer.convert_ids_to_tokens(pieces["input_ids"])
        ids = [tokenizer.cls_token_id, tokenizer.sep_token_id, *pieces["input_ids"], tokenizer.sep_token_id]
        types = [0, 0] + [1] * (len(ids) - 2)
        states = model.states(ids, types)
        spans = model.spans(states[-1][0], words, 2) if words else []
        total = torch.logsumexp(torch.stack([s for s, _, _ in spans]), 0) if spans else None
        taken, free, kept = set(), [], []
        for score, s, e in sorted(spans, key=lambda x: -x[0].item()):
            at, end = pieces["offset_mapping"][s][0], pieces["offset_mapping"][e][1]
            key = normalise(text[at:end])
            if not key or key in taken or len(free) == 2 * TOP:
                continue
            taken.add(key)
            free.append((score, s, e, at, end))
        while free and len(kept) < TOP:
            worth = [score.item() - sum(shared(in_bytes(text, at, end), c["byte"]) for c in kept) * SETTINGS["overlap"] for score, _, _, at, end in free]
            score, s, e, at, end = free.pop(worth.index(max(worth)))
            if form == "shared":
                y = model.guest(states, s + 2, e + 2)
            else:
                answer = pieces["input_ids"][s:e + 1]
                low, high = surroundings(text, at, end)
                context = [i for i, (a, b) in zip(pieces["input_ids"], pieces["offset_mapping"]) if low <= a and b <= high]
                pair = [tokenizer.cls_token_id, *answer, tokenizer.sep_token_id, *context, tokenizer.sep_token_id]
                y = model.pool(pair, [0] * (len(answer) + 2) + [1] * (len(pair) - len(answer) - 2), pooling)
            logp = (score - total).item()
            vector = direction(y).tolist() + [SETTINGS["prior_weight"] * (logp - SETTINGS["prior_mean"])]
            kept.append({"byte": in_bytes(text, at, end), "token": [s + 2, e + 2], "text": text[at:end], "logp": logp, "vector": vector})
        result["passages"].append({"text": text, "ids": ids, "candidates": kept})
    for text in QUESTIONS:
        ids = tokenizer(text, truncation=True, max_length=SETTINGS["question_tokens"])["input_ids"]
        vector = direction(model.pool(ids, [0] * len(ids), pooling)).tolist() + [1.0]
        result["questions"].append({"text": text, "ids": ids, "vector": vector})
    return result


def main(out):
    for kind, form, pooling in (("shared", "shared", "mean"), ("pair", "pair", "cls"), ("pair-first", "pair", "first")):
        torch.manual_seed(len(kind))
        folder = f"{out}/{kind}"
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        with open(f"{folder}/vocab.txt", "w", encoding="utf8") as f:
            f.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *".,!?-", *"abcdefghijklmno", *("##" + c for c in "abcdefghijklmno")]))
        config = BertConfig(vocab_size=39, hidden_size=22, num_hidden_layers=4, num_attention_heads=2, intermediate_size=29,
                            max_position_embeddings=96, hidden_act="gelu")
        model = Phrases(config, form).eval()
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.normal_(0, 0.5 if "embeddings" in name else 1.7 / max(p.shape) ** 0.5 if p.dim() == 2 else 0.3)
                if "norm" in name.lower() and name.endswith("weight"):
                    p.add_(1)
            tokenizer = BertTokenizerFast(f"{folder}/vocab.txt")
            result = golden(model, tokenizer, form, pooling)
        state = {k: v.contiguous() for k, v in model.state_dict().items() if "position_ids" not in k}
        save_file(state, f"{folder}/model.safetensors")
        keys = json.loads(config.to_json_string(use_diff=False))
        keep = ("model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
                "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "pad_token_id")
        with open(f"{folder}/config.json", "w", encoding="utf8") as f:
            json.dump({"architectures": ["EvidentPhraseEncoder"], "form": form, "pooling": pooling, **SETTINGS, **{k: keys[k] for k in keep}}, f, indent=1)
        with open(f"{folder}/golden.json", "w", encoding="utf8") as f:
            json.dump(result, f)


if __name__ == "__main__":
    main(sys.argv[1])
