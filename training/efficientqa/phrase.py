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
OVERLAP = 0.8  # what a candidate loses of its log-score for covering the same characters as one before it
LOW = -1e4  # the score of a span that is not allowed


class Rows:
    """Which rows of a padded grid [B, T] hold tokens. What is computed token by token is computed on those rows only, packed [N, …];
    both directions are copies, where indexing's own derivative would add."""

    def __init__(self, mask):
        self.mask, self.at = mask, mask.flatten().nonzero()[:, 0]
        self.blocked = torch.zeros(mask.shape).masked_fill(~mask, LOW)  # added to attention's scores

    def pack(self, grid):
        return Pack.apply(grid, self.at)

    def spread(self, rows):
        return Spread.apply(rows, self.at, self.mask.shape)


class Pack(torch.autograd.Function):
    @staticmethod
    def forward(ctx, grid, at):
        ctx.save_for_backward(at)
        ctx.shape = grid.shape[:2]
        return grid.flatten(0, 1).index_select(0, at)

    @staticmethod
    def backward(ctx, g):
        return Spread.apply(g, *ctx.saved_tensors, ctx.shape), None


class Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows, at, shape):
        ctx.save_for_backward(at)
        grid = rows.new_zeros(shape[0] * shape[1], *rows.shape[1:])
        return grid.index_copy_(0, at, rows).unflatten(0, shape)

    @staticmethod
    def backward(ctx, g):
        return Pack.apply(g, *ctx.saved_tensors), None, None


def attention(q, k, v, blocked):
    """softmax(q·kᵀ/√d + blocked)·v for q [B, h, Tq, d], k and v [B, h, Tk, d], blocked [B, 1 or Tq, Tk]; returns [B, Tq, h·d]."""
    b, h, tq, d = q.shape
    tk = k.shape[2]
    bias = blocked.to(q.dtype)[:, None].expand(b, h, tq, tk).reshape(b * h, tq, tk)
    flat = lambda x: x.reshape(b * h, x.shape[2], d)
    weights = torch.baddbmm(bias, flat(q), flat(k).transpose(1, 2), alpha=1 / math.sqrt(d)).softmax(-1)
    return (weights @ flat(v)).view(b, h, tq, d).transpose(1, 2).flatten(2)


class Layer(nn.Module):
    """One post-norm BERT layer on packed rows [N, d]."""

    def __init__(self, d, inner, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.wide, self.narrow = nn.Linear(d, inner), nn.Linear(inner, d)
        self.norm, self.last_norm = nn.LayerNorm(d, eps=1e-12), nn.LayerNorm(d, eps=1e-12)

    def products(self, grid):
        """Queries, keys and values [3, B, h, T, d/h] of a grid of rows' products [B, T, 3·d]."""
        return grid.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def rest(self, x, attended):
        """What follows the attention: x and attended [..., d] of the same rows."""
        drop = lambda v: F.dropout(v, self.dropout, self.training)
        x = self.norm(x + drop(self.out(attended)))
        return self.last_norm(x + drop(self.narrow(F.gelu(self.wide(x)))))

    def forward(self, x, rows):
        """x [N, d]. Also returns the keys and values [B, h, T, d/h] that candidates attend to."""
        q, k, v = self.products(rows.spread(self.qkv(x)))
        return self.rest(x, rows.pack(attention(q, k, v, rows.blocked[:, None]))), (k, v)

    def beside(self, c, keys, values, rows):
        """Candidates c [P, C, d] attend to the passage's keys and values and each to itself; the passage does not see them."""
        q, k, v = self.products(self.qkv(c))
        self_only = torch.full((c.shape[1], c.shape[1]), LOW).fill_diagonal_(0).expand(len(c), -1, -1)
        blocked = torch.cat([rows.blocked[:, None].expand(-1, c.shape[1], -1), self_only], -1)
        return self.rest(c, attention(q, torch.cat([keys, k], 2), torch.cat([values, v], 2), blocked))


class PhraseModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        d = config["hidden_size"]
        self.config = {"overlap": OVERLAP} | config
        self.fast = False  # products in float32
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

    def quicken(self):
        """Products in bf16 from here on; the frozen layers are stored so."""
        self.fast = True
        for layer in self.layers[:self.config["split"]]:
            layer.bfloat16()
        return self

    def autocast(self):
        """To be entered around a whole step: weights are rounded once for all that is computed inside."""
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.fast)

    def lower(self, texts):
        """States [N, d] of the frozen layers."""
        ids, types, rows = texts["input_ids"], texts["token_type_ids"], Rows(texts["attention_mask"].bool())
        places = torch.arange(ids.shape[1]).expand_as(ids)[rows.mask]
        x = self.embedding_norm(self.words(ids[rows.mask]) + self.positions(places) + self.types(types[rows.mask]))
        x = x.bfloat16() if self.fast else x
        for layer in self.layers[:self.config["split"]]:
            x, _ = layer(x, rows)
        return x, rows

    def encode(self, texts):
        """Returns the states at the split and at the end as grids [B, T, d], the rows and the upper layers' keys and values."""
        with self.autocast():
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.config["split"] == 0):
                x, rows = self.lower(texts)
            middle, memory = rows.spread(x), []
            for layer in self.layers[self.config["split"]:]:
                x, kv = layer(x, rows)
                memory.append(kv)
            return middle, rows.spread(x).float(), rows, memory

    def span_scores(self, last, allowed):
        """Scores [P, T, W] of the span that begins at a token and has W + 1 tokens; `last` [P, T, d], `allowed` [P, T, W]."""
        with torch.autocast("cpu", enabled=False):
            a, b = self.ends(last).unbind(-1)
            whole = self.start(last) @ self.end(last).transpose(1, 2) / math.sqrt(BILINEAR) + a[..., None] + b[:, None]
        t, w = last.shape[1], len(self.width)
        at = (torch.arange(t)[:, None] + torch.arange(w)[None]).clamp_max(t - 1)
        return (whole.gather(2, at.expand(len(last), -1, -1)) + self.width).masked_fill(~allowed, LOW)

    def phrases(self, middle, last, rows, memory, spans):
        """Vectors [P, C, d − 1] of spans [P, C, 2] (token numbers, both inclusive)."""
        grid = last if self.config["form"] == "ends" else middle
        first, final = (torch.gather(grid, 1, spans[..., i, None].expand(-1, -1, grid.shape[-1])) for i in (0, 1))
        if self.config["form"] == "ends":
            return self.halves(first, final)
        with self.autocast():
            x = self.phrase_norm(self.phrase_start(first) + self.phrase_end(final) + self.phrase_bias.to(first.dtype))
            for layer, (k, v) in zip(self.layers[self.config["split"]:], memory):
                x = layer.beside(x, k, v, rows)
        return unit(x.float())

    def halves(self, first, final):
        """The ablation after DenSPI: half of the vector from the first token, half from the last; a question gives both."""
        half = first.shape[-1] // 2
        return unit(torch.cat([self.phrase_start(first)[..., :half], self.phrase_end(final)[..., :half]], -1))

    def pooled(self, texts):
        """Vectors [B, d − 1] of whole texts: questions, or candidates of the forms without shared context."""
        _, last, rows, _ = self.encode(texts)
        pooled = rows.mask & (texts["token_type_ids"] == 0) if self.config["pooling"] == "first" else rows.mask
        y = last[:, 0] if self.config["pooling"] == "cls" else (last * pooled[..., None]).sum(1) / pooled.sum(1, keepdim=True)
        return self.halves(y, y) if self.config["form"] == "ends" else unit(y)


def unit(y):
    """The last coordinate is left free: the extractor's log-score is stored there."""
    return F.normalize(y[..., :-1].float(), dim=-1)


PARTS = {"qkv": ("attention.self.query", "attention.self.key", "attention.self.value"), "out": ("attention.output.dense",),
         "norm": ("attention.output.LayerNorm",), "wide": ("intermediate.dense",), "narrow": ("output.dense",),
         "last_norm": ("output.LayerNorm",)}
HEADS = {"ends": "candidates.ends", "start": "candidates.start", "end": "candidates.end", "width": "candidates.width",
         "phrase_start": "phrase.start", "phrase_end": "phrase.end", "phrase_bias": "phrase.bias", "phrase_norm": "phrase.norm",
         "words": "bert.embeddings.word_embeddings", "positions": "bert.embeddings.position_embeddings",
         "types": "bert.embeddings.token_type_embeddings", "embedding_norm": "bert.embeddings.LayerNorm"}


def file_names(model):
    """Our own tensor names → those of the file, in the order in which ours is cut; they are BERT's where BERT has the tensor."""
    names = {}
    for name in model.state_dict():
        first, _, rest = name.partition(".")
        if first == "layers":
            number, part, leaf = rest.split(".")
            names[name] = [f"bert.encoder.layer.{number}.{p}.{leaf}" for p in PARTS[part]]
        elif first in HEADS:
            names[name] = [HEADS[first] + ("." + rest if rest else "")]
    return names


def from_reader(folder, **settings):
    """A phrase model that begins with a joint reader: all of its layers, and its span head as the extractor's."""
    with open(f"{folder}/config.json", encoding="utf8") as f:
        config = json.load(f)
    model = PhraseModel(config | settings)
    weights = load_reader(f"{folder}/model.safetensors")
    weights["candidates.ends.weight"], weights["candidates.ends.bias"] = weights["span.weight"], weights["span.bias"]
    load(model, weights)
    below = weights[f"bert.encoder.layer.{max(1, model.config['split']) - 1}.output.LayerNorm.weight"]
    with torch.no_grad():  # a candidate's first state has the size of its neighbours'
        model.phrase_norm.weight.fill_(below.square().mean().sqrt())
    return model


def from_run(reader, run):
    """The model of a run's checkpoint, which holds what was trained."""
    saved = torch.load(f"{run}/checkpoint.pt", map_location="cpu")
    model = from_reader(reader, **saved["settings"])
    model.load_state_dict(saved["model"], strict=False)
    return model


def from_folder(folder, base=None, dropout=0.0, form=None):
    """A model as folder.py wrote it; `base` is the reader's folder where the model is an overlay of a reader, `form` another form
    than the model's own."""
    with open(f"{folder}/config.json", encoding="utf8") as f:
        config = json.load(f)
    weights = load_reader(f"{base}/model.safetensors") if "base" in config else {}
    model = PhraseModel(config | {"dropout": dropout, "form": form or config["form"]})
    load(model, weights | load_reader(f"{folder}/model.safetensors"))
    with torch.no_grad():
        model.log_scale.fill_(math.log(config["scale"]))
    return model.eval()


def load(model, weights):
    """Fills a model with tensors under the file's names; all of BERT's must be there."""
    names = file_names(model)
    missing = [f for files in names.values() for f in files if f.startswith("bert.") and f not in weights]
    if missing:
        raise ValueError(f"tensors missing: {missing[:5]} and {len(missing[5:])} more")
    found = {ours: torch.cat([weights[f].float() for f in files]) for ours, files in names.items() if files[0] in weights}
    model.load_state_dict(found, strict=False)
