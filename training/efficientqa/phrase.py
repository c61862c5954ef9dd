"""The phrase model of EfficientQA (arXiv:2101.02157): candidates, phrase vectors and question vectors of one BERT encoder.

The embeddings and the lower layers are the joint reader's, frozen, so that a program that carries the reader carries them already; the
upper layers and the heads are trained. Shapes: P passages, T tokens, C candidates, Q questions, d = 384, h heads, W widths.
"""
import json
import math
import os
import sys

import torch
from torch import nn
from torch.nn import functional as F

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mix"))
from model import load_reader  # noqa: E402

FORMS = ("shared", "pair", "ends", "alone")
BILINEAR = 64
LOW = -1e4  # the score of a span that is not allowed


class Layer(nn.Module):
    """One post-norm BERT layer on packed rows [N, d]; its parts have BERT's names."""

    def __init__(self, d, inner, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        names = {"attention.self.query": (d, d), "attention.self.key": (d, d), "attention.self.value": (d, d),
                 "attention.output.dense": (d, d), "intermediate.dense": (d, inner), "output.dense": (inner, d)}
        self.names = {}
        for name, (fan_in, fan_out) in names.items():
            self.add(name, nn.Linear(fan_in, fan_out))
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            self.add(name, nn.LayerNorm(d, eps=1e-12))

    def add(self, name, module):
        self.names[name] = name.replace(".", "_")
        self.add_module(self.names[name], module)

    def part(self, name):
        return getattr(self, self.names[name])

    def products(self, x):
        """Queries, keys and values [3, h, ..., d/h] of rows x [..., d]."""
        parts = [self.part(f"attention.self.{n}") for n in ("query", "key", "value")]
        out = F.linear(x, torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts]))
        return out.unflatten(-1, (3, self.heads, -1))

    def rest(self, x, attended):
        """What follows the attention: x and attended [..., d] of the same rows."""
        drop = lambda v: F.dropout(v, self.dropout, self.training)
        x = self.part("attention.output.LayerNorm")(x + drop(self.part("attention.output.dense")(attended)))
        inner = F.gelu(self.part("intermediate.dense")(x))
        return self.part("output.LayerNorm")(x + drop(self.part("output.dense")(inner)))

    def forward(self, x, mask):
        """x [N, d]: the rows of mask [B, T] (true where there is a token), one text after another. Also returns the keys and
        values [B, h, T, d/h] that candidates attend to."""
        b, t = mask.shape
        packed = self.products(x)
        padded = packed.new_zeros(b, t, *packed.shape[1:])
        padded[mask] = packed
        q, k, v = padded.permute(2, 0, 3, 1, 4)
        weights = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        weights = weights.masked_fill(~mask[:, None, None], LOW).float().softmax(-1).to(v.dtype)
        attended = (weights @ v).transpose(1, 2).flatten(2)[mask]
        return self.rest(x, attended), (k, v)

    def beside(self, c, keys, values, mask):
        """Candidates c [P, C, d] attend to the passage's keys and values and each to itself; the passage does not see them."""
        q, k, v = self.products(c).permute(2, 0, 3, 1, 4)  # [P, h, C, d/h]
        scale = 1 / math.sqrt(q.shape[-1])
        there = (q @ keys.transpose(2, 3) * scale).masked_fill(~mask[:, None, None], LOW)
        here = (q * k).sum(-1, keepdim=True) * scale
        weights = torch.cat([there, here], -1).float().softmax(-1).to(v.dtype)
        attended = weights[..., :-1] @ values + weights[..., -1:] * v
        return self.rest(c, attended.transpose(1, 2).flatten(2))


class PhraseModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        d = config["hidden_size"]
        self.config = config
        self.fast = True  # products in bf16
        self.words = nn.Embedding(config["vocab_size"], d)
        self.positions = nn.Embedding(config["max_position_embeddings"], d)
        self.types = nn.Embedding(config["type_vocab_size"], d)
        self.embedding_norm = nn.LayerNorm(d, eps=1e-12)
        self.layers = nn.ModuleList(Layer(d, config["intermediate_size"], config["num_attention_heads"], config["dropout"])
                                    for _ in range(config["num_hidden_layers"]))
        self.ends = nn.Linear(d, 2)
        self.start, self.end = nn.Linear(d, BILINEAR), nn.Linear(d, BILINEAR)
        self.width = nn.Parameter(torch.zeros(config["width_max"]))
        self.phrase_start, self.phrase_end = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.phrase_bias, self.phrase_norm = nn.Parameter(torch.zeros(d)), nn.LayerNorm(d, eps=1e-12)
        self.log_scale = nn.Parameter(torch.tensor(math.log(20.0)))
        for head in (self.start, self.end):
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)
        for head in (self.phrase_start, self.phrase_end):  # a candidate begins as the mean of its first and last token
            nn.init.normal_(head.weight, std=0.005)
            with torch.no_grad():
                head.weight += torch.eye(d) / 2
        self.freeze()

    def freeze(self):
        for part in [self.words, self.positions, self.types, self.embedding_norm, *self.layers[:self.config["split"]]]:
            part.requires_grad_(False)

    def train(self, mode=True):
        super().train(mode)
        for layer in self.layers[:self.config["split"]]:
            layer.train(False)
        return self

    def lower(self, texts):
        """States [N, d] of the frozen layers, on rows packed by the mask."""
        ids, types, mask = texts["input_ids"], texts["token_type_ids"], texts["attention_mask"].bool()
        places = torch.arange(ids.shape[1]).expand_as(ids)[mask]
        x = self.embedding_norm(self.words(ids[mask]) + self.positions(places) + self.types(types[mask]))
        for layer in self.layers[:self.config["split"]]:
            x, _ = layer(x, mask)
        return x, mask

    def encode(self, texts):
        """Returns the packed states at the split and at the end [N, d], the mask [B, T] and the upper layers' keys and values."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.fast):
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.config["split"] == 0):
                x, mask = self.lower(texts)
            middle, memory = x, []
            for layer in self.layers[self.config["split"]:]:
                x, kv = layer(x, mask)
                memory.append(kv)
        return middle, x.float(), mask, memory

    def span_scores(self, last, allowed):
        """Scores [P, T, W] of the span that begins at a token and has W + 1 tokens; `last` [P, T, d], `allowed` [P, T, W]."""
        w = len(self.width)
        a, b = self.ends(last).unbind(-1)
        start, end = self.start(last), self.end(last)
        at = torch.arange(last.shape[1])[:, None] + torch.arange(w)[None]
        later = lambda x: F.pad(x, (0, 0) * (x.ndim - 2) + (0, w))[:, at]
        pairs = torch.einsum("ptk,ptwk->ptw", start, later(end)) / math.sqrt(BILINEAR)
        return (a[..., None] + later(b) + pairs + self.width).masked_fill(~allowed, LOW)

    def phrases(self, middle, last, mask, memory, spans):
        """Vectors [P, C, d − 1] of spans [P, C, 2] (token numbers, both inclusive)."""
        grid = unpacked(last if self.config["form"] == "ends" else middle.float(), mask)
        first, final = (torch.gather(grid, 1, spans[..., i, None].expand(-1, -1, grid.shape[-1])) for i in (0, 1))
        if self.config["form"] == "ends":
            return self.halves(first, final)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.fast):
            x = self.phrase_norm(self.phrase_start(first) + self.phrase_end(final) + self.phrase_bias)
            for layer, (k, v) in zip(self.layers[self.config["split"]:], memory):
                x = layer.beside(x, k, v, mask)
        return unit(x.float())

    def halves(self, first, final):
        """The ablation after DenSPI: half of the vector from the first token, half from the last; a question gives both."""
        half = first.shape[-1] // 2
        return unit(torch.cat([self.phrase_start(first)[..., :half], self.phrase_end(final)[..., :half]], -1))

    def pooled(self, texts):
        """Vectors [B, d − 1] of whole texts: questions, or candidates of the forms without shared context."""
        _, last, mask, _ = self.encode(texts)
        grid = unpacked(last, mask)
        y = grid[:, 0] if self.config["pooling"] == "cls" else grid.sum(1) / mask.sum(1, keepdim=True)
        return self.halves(y, y) if self.config["form"] == "ends" else unit(y)


def unpacked(rows, mask):
    grid = rows.new_zeros(*mask.shape, rows.shape[-1])
    grid[mask] = rows
    return grid


def unit(y):
    """The last coordinate is left free: the extractor's log-score is stored there."""
    return F.normalize(y[..., :-1], dim=-1)


HEADS = {"ends": "candidates.ends", "start": "candidates.start", "end": "candidates.end", "width": "candidates.width",
         "phrase_start": "phrase.start", "phrase_end": "phrase.end", "phrase_bias": "phrase.bias", "phrase_norm": "phrase.norm",
         "words": "bert.embeddings.word_embeddings", "positions": "bert.embeddings.position_embeddings",
         "types": "bert.embeddings.token_type_embeddings", "embedding_norm": "bert.embeddings.LayerNorm"}


def file_names(model):
    """From the model's own tensor names to those of the file, which are BERT's where BERT has the tensor."""
    names = {}
    for name in model.state_dict():
        first, _, rest = name.partition(".")
        if first == "layers":
            number, part, leaf = rest.split(".")
            dotted = {v: k for k, v in model.layers[0].names.items()}[part]
            names[name] = f"bert.encoder.layer.{number}.{dotted}.{leaf}"
        elif first in HEADS:
            names[name] = HEADS[first] + ("." + rest if rest else "")
    return names


def from_reader(folder, **settings):
    """A phrase model that begins with a joint reader: all of its layers, and its span head as the extractor's."""
    with open(f"{folder}/config.json", encoding="utf8") as f:
        config = json.load(f)
    model = PhraseModel(config | settings)
    weights = load_reader(f"{folder}/model.safetensors")
    weights["candidates.ends.weight"], weights["candidates.ends.bias"] = weights["span.weight"], weights["span.bias"]
    load(model, weights)
    return model


def from_run(reader, run):
    """The model of a run's checkpoint, which holds what was trained."""
    saved = torch.load(f"{run}/checkpoint.pt", map_location="cpu")
    model = from_reader(reader, **saved["settings"])
    model.load_state_dict(saved["model"], strict=False)
    return model


def from_folder(folder, base=None):
    """A model as folder.py wrote it; `base` is the reader's folder where the model is an overlay of a reader."""
    with open(f"{folder}/config.json", encoding="utf8") as f:
        config = json.load(f)
    weights = load_reader(f"{base}/model.safetensors") if "base" in config else {}
    model = PhraseModel(config | {"dropout": 0.0})
    load(model, weights | load_reader(f"{folder}/model.safetensors"))
    with torch.no_grad():
        model.log_scale.fill_(math.log(config["scale"]))
    return model.eval()


def load(model, weights):
    """Fills a model with tensors under the file's names; all of BERT's must be there."""
    names = file_names(model)
    missing = [f for f in names.values() if f.startswith("bert.") and f not in weights]
    if missing:
        raise ValueError(f"tensors missing: {missing[:5]} and {len(missing[5:])} more")
    model.load_state_dict({ours: weights[f].float() for ours, f in names.items() if f in weights}, strict=False)
