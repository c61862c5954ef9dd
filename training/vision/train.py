"""Trains the vision-language model: first the text head on frozen features, then everything.

    python train.py --cache runs/cache.pt --data DATA/vision --encoder ENCODERS/minilm-l6 --out runs/vision-192

A checkpoint every five minutes holds model, average, optimiser and the time used, so --resume continues where a run stopped.
"""
import argparse
import copy
import json
import os
import time

import numpy as np
import torch
from torch.nn import functional as F
from transformers import BertTokenizerFast

import batches
import evaluate
from data import PROMPTS, sentences, tokenise
from model import DEPTH, begin, legrad, spread

FROZEN = 4  # text layers that keep MiniLM's weights


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", required=True, help="what data.py wrote")
    p.add_argument("--data", required=True, help="folder with the image tower to start from")
    p.add_argument("--encoder", required=True, help="MiniLM: config.json, model.safetensors, vocab.txt")
    p.add_argument("--out", required=True)
    p.add_argument("--head-steps", type=int, default=400, help="steps of the text head alone")
    p.add_argument("--minutes", type=float, default=42.5, help="time for the whole model; the learning rate falls to its end there")
    p.add_argument("--captioned", type=int, default=96, help="captioned photos a step")
    p.add_argument("--small", type=int, default=10, help="photos with masks a step, at 224 pixels")
    p.add_argument("--large", type=int, default=3, help="the same at 448 pixels")
    p.add_argument("--mosaics", type=float, default=0.35)
    p.add_argument("--lr", type=float, default=1.5e-4, help="of the last block; every block before it learns at 0.8 of the next")
    p.add_argument("--text-lr", type=float, default=5e-5)
    p.add_argument("--head-lr", type=float, default=5e-4)
    p.add_argument("--refit-steps", type=int, default=400, help="steps of the text head alone after it")
    p.add_argument("--refit-lr", type=float, default=1e-3)
    p.add_argument("--refit-scale", type=float, default=0, help="factor of the cosines then; 0 keeps what was learned")
    p.add_argument("--map-weight", type=float, default=1.0)
    p.add_argument("--caption-weight", type=float, default=1.5)
    p.add_argument("--keep-weight", type=float, default=1.0)
    p.add_argument("--evaluate-every", type=float, default=11, help="minutes")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--resume", action="store_true")
    return p.parse_args()


def spread_targets(logits, positive, ignored=None):
    """Cross-entropy whose target is shared evenly by all positives of a row; ignored columns do not compete."""
    if ignored is not None:
        logits = logits.masked_fill(ignored & ~positive, -1e4)
    rows = positive.any(1)
    if not rows.any():
        return logits.sum() * 0
    target = positive[rows].float()
    return -(F.log_softmax(logits[rows], -1) * target).sum(1).div(target.sum(1)).mean()


def both_ways(logits):
    """The symmetric contrastive loss of a square of logits whose diagonal is true."""
    y = torch.arange(len(logits))
    return (F.cross_entropy(logits, y) + F.cross_entropy(logits.T, y)) / 2


class Trainer:
    """Holds the towers, the fixed teachers (classifier rows, CLIP's nouns)."""

    def __init__(self, o):
        self.o, self.rng = o, np.random.default_rng(o.seed)
        torch.manual_seed(o.seed)
        self.cache = torch.load(o.cache, weights_only=False)
        self.tokenizer = BertTokenizerFast(f"{o.encoder}/vocab.txt", do_lower_case=True)
        self.model, head = begin(f"{o.data}/vit_tiny_patch16_224_in1k.safetensors", o.encoder)
        self.rows, self.row_bias = head["head.weight"], head["head.bias"]
        self.anchors = F.normalize(self.rows, dim=-1)
        self.train = np.array([i for i, s in enumerate(self.cache["splits"]) if s == "train"])
        self.first = np.concatenate([[0], np.cumsum([len(c) for c in self.cache["captions"]])])
        clip = F.normalize(self.cache["clip"], dim=-1)
        self.clip = F.normalize(clip - clip.mean(0), dim=-1)
        self.dense = batches.Dense(self.cache)
        counts = np.bincount([j for i in self.train for j in self.cache["nouns"][i]], minlength=len(self.clip))
        self.common = {j for j in range(len(self.clip)) if counts[j] >= 15}
        known = {n for i in self.dense.items for n in self.cache["items"][i]["labels"]}
        self.vocabulary = sorted(known | {self.cache["clip_names"][j] for j in self.common} | set(self.cache["caltech_names"]))
        with torch.no_grad():
            features = self.cache["features"]
            cls = self.model.visual.norm(features[:, 0])
            self.frozen = torch.stack([cls, self.model.visual.norm(features[:, 1])], 1)
            self.teacher = (cls @ self.rows.T + self.row_bias).log_softmax(-1).half()
        self.step, self.used, self.ema, self.log = 0, 0.0, None, {}

    def scale(self):
        return self.model.log_scale.exp().clamp(max=60)

    # The text head alone, on the frozen towers' vectors.

    def head_stage(self):
        """Fits the text head to classifier rows, captions, nouns in captions and CLIP's geometry."""
        o, model, rng = self.o, self.model, self.rng
        model.eval()
        every = [p.format(c) for c in self.cache["classes"] for p in PROMPTS]
        anchors = sentences(model, self.tokenizer, every).reshape(len(self.cache["classes"]), len(PROMPTS), -1)
        nouns = sentences(model, self.tokenizer, [f"a {n}" for n in self.cache["clip_names"]])
        common = sorted(self.common)
        column = {j: c for c, j in enumerate(common)}
        named = [[p.format(self.cache["clip_names"][j]) for j in common] for p in PROMPTS]
        named = torch.stack([sentences(model, self.tokenizer, strings) for strings in named], 1)
        sentence, began = self.cache["sentence"].float(), time.time()
        parameters = [*model.text_head.parameters(), model.log_scale]
        optimiser = torch.optim.AdamW(parameters, lr=4e-3, weight_decay=0.05)
        model.text_head.train()
        for step in range(o.head_steps):
            for group in optimiser.param_groups:
                group["lr"] = 4e-3 * min(1, (step + 1) / 30) * (0.5 + 0.5 * np.cos(np.pi * step / o.head_steps)) + 1e-6
            chosen, s = rng.choice(self.train, 512, replace=False), self.scale()
            text = model.name(sentence[self.first[chosen] + rng.integers(5, size=512)])
            image = F.normalize(F.dropout(self.frozen[chosen], 0.1), dim=-1)
            loss = both_ways(s * image[:, 0] @ text.T) + 0.5 * both_ways(s * image[:, 1] @ text.T)
            picked = model.name(anchors[:, rng.integers(len(PROMPTS))])
            loss = loss + both_ways(s * picked @ self.anchors.T)
            words = model.name(named[:, rng.integers(len(PROMPTS))])
            positive = torch.zeros(512, len(common), dtype=torch.bool)
            for r, i in enumerate(chosen):
                positive[r, [column[j] for j in self.cache["nouns"][i] if j in column]] = True
            loss = loss + 0.3 * spread_targets(s * image[:, 0] @ words.T, positive)
            some = rng.choice(len(nouns), 512, replace=False)
            loss = loss + 0.5 * self.geometry(model.name(nouns[some]), some)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step % 100 == 99:
                model.text_head.eval()
                with torch.no_grad():
                    top = (model.name(anchors[:, 0]) @ self.anchors.T).argmax(1).eq(torch.arange(len(anchors))).float().mean()
                print(f"head {step + 1} {time.time() - began:.0f}s loss {loss.item():.3f} "
                      f"class names right {100 * top:.1f} scale {s:.1f}", flush=True)
                model.text_head.train()

    def geometry(self, texts, chosen):
        """CLIP's noun vectors as a teacher: nouns near each other there shall be near here."""
        want = (self.clip[chosen] @ self.clip[chosen].T / 0.1).fill_diagonal_(-1e4).softmax(-1)
        texts = F.normalize(texts - texts.mean(0), dim=-1)
        have = (texts @ texts.T / 0.1).fill_diagonal_(-1e4).log_softmax(-1)
        return F.kl_div(have, want, reduction="batchmean")

    # The whole model.

    def prepare(self):
        """Optimiser with a learning rate per depth, and the averaged model."""
        o, v, groups = self.o, self.model.visual, {}
        for name, tensor in v.named_parameters():
            depth = int(name.split(".")[1]) if name.startswith("blocks.") else DEPTH if name.startswith("norm") else -1
            decay = 0.05 if tensor.ndim > 1 and "embed" not in name and "token" not in name else 0.0
            groups.setdefault((o.lr * 0.8 ** max(0, DEPTH - 1 - depth), decay), []).append(tensor)
        self.model.text.requires_grad_(False)
        for layer in self.model.text.encoder.layer[FROZEN:]:
            layer.requires_grad_(True)
            groups.setdefault((o.text_lr, 0.01), []).extend(layer.parameters())
        groups[(o.head_lr, 0.02)] = list(self.model.text_head.parameters())
        groups.setdefault((o.head_lr, 0.0), []).append(self.model.log_scale)
        self.optimiser = torch.optim.AdamW(
            [dict(params=p, lr=lr, top=lr, weight_decay=wd) for (lr, wd), p in groups.items()], betas=(0.9, 0.98))
        self.ema = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.model.eval()

    def texts(self, strings):
        """Text vectors [T, D] with a gradient to the last layers and the head."""
        with torch.autocast("cpu", torch.bfloat16):
            sentence = self.model.sentence(*tokenise(self.tokenizer, strings), frozen=FROZEN)
        return self.model.name(sentence)

    def captions(self, columns, names):
        """Captions and nouns of captioned photos; the old classifier's opinion of them is kept."""
        o, rng, cache, s = self.o, self.rng, self.cache, self.scale()
        chosen = rng.choice(self.train, o.captioned, replace=False)
        size = 224 if self.step % 3 == 0 else 160
        images = batches.photos(rng, cache, chosen[:o.captioned // 2 if size == 224 else o.captioned], size)
        chosen = chosen[:len(images)]
        with torch.autocast("cpu", torch.bfloat16):
            tokens, _ = self.model.visual(images)
        cls, mean = self.model.pooled(tokens)
        text = self.texts([cache["captions"][i][rng.integers(len(cache["captions"][i]))] for i in chosen])
        contrast = both_ways(s * cls @ text.T) + 0.7 * both_ways(s * mean @ text.T)
        logits = self.model.visual.norm(tokens[:, 0].float()) @ self.rows.T + self.row_bias
        keep = F.kl_div(logits.log_softmax(-1), self.teacher[chosen].float(), log_target=True, reduction="batchmean")
        positive = torch.zeros(len(chosen), len(names), dtype=torch.bool)
        for r, i in enumerate(chosen):
            positive[r, [names[n] for n in (cache["clip_names"][j] for j in cache["nouns"][i]) if n in names]] = True
        tag = spread_targets(s * cls @ columns.T, positive) + spread_targets(s * mean @ columns.T, positive)
        return dict(caption=self.o.caption_weight * contrast, keep=self.o.keep_weight * keep, noun=0.15 * tag)

    def drawn(self):
        """A batch of photos with masks and the names that its texts and the captions' nouns compete with."""
        o, rng = self.o, self.rng
        size = 224 if self.step % 2 == 0 else 448
        images, texts, labels = self.dense.batch(rng, o.small if size == 224 else o.large, size, o.mosaics)
        present = {t[0] for ts in texts for t in ts if t[0]} | {n for ls in labels for n in ls}
        extra = [n for n in rng.choice(self.vocabulary, 40, replace=False) if n not in present]
        return images, texts, labels, sorted(present) + extra

    def located(self, images, texts, labels, columns, names):
        """Where: LeGrad's maps against masks, the masks' patches against names, the photo against its labels."""
        s, visual = self.scale(), self.model.visual
        with torch.autocast("cpu", torch.bfloat16):
            tokens, taps = visual(images, taps=2)
        strings = [t[1] for ts in texts for t in ts if t[1]]
        said = self.texts(strings) if strings else columns[:0]
        B, K, grid = len(images), batches.TEXTS, images.shape[-1] // 16
        vectors, goal = [], torch.zeros(B, K, grid * grid)
        weight, whole, label, at = torch.zeros(B, K), torch.zeros(B, K, dtype=torch.bool), torch.zeros(B, K, dtype=torch.long), 0
        for b, ts in enumerate(texts):
            for k in range(K):
                name, caption, target, sure, tile = ts[min(k, len(ts) - 1)]
                goal[b, k], weight[b, k], whole[b, k] = target.flatten(), sure if k < len(ts) else 0.0, tile
                label[b, k] = names[name] if name else len(columns) + at
                vectors.append(columns[names[name]] if name else said[at])
                at += caption is not None and k < len(ts)
                if caption and k >= len(ts):
                    raise ValueError("a mosaic of captions has fewer captions than tiles")
        vectors = torch.stack(vectors).reshape(B, K, -1)
        with torch.autocast("cpu", torch.bfloat16):
            before, last = legrad(visual, DEPTH - 2, taps[0], vectors), legrad(visual, DEPTH - 1, taps[1], vectors)
        exact, tiles = weight * ~whole, weight * whole
        shape = 0
        for maps, share in ((spread(last), 0.4), (spread(last + before), 1.0)):
            dice = 1 - (2 * (maps * goal).sum(-1) + 1) / (maps.sum(-1) + goal.sum(-1) + 1)
            cross = F.binary_cross_entropy(maps.clamp(0.02, 0.98), goal, reduction="none").mean(-1)
            shape = shape + share * ((dice + cross) * exact).sum() / exact.sum().clamp_min(1)
        total = last + before
        inside = (total * goal).sum(-1) / total.sum(-1).clamp_min(1e-9)
        mass = (-inside.clamp_min(1e-4).log() * tiles).sum() / tiles.sum().clamp_min(1)
        patches = torch.einsum("bkn,bnd->bkd", goal / goal.sum(-1, keepdim=True).clamp_min(1e-6), tokens[:, 1:].float())
        logits = s * F.normalize(visual.norm(patches), dim=-1) @ torch.cat([columns, said]).T
        caption_row = (label >= len(columns))[..., None]
        caption_column = torch.arange(logits.shape[-1]) >= len(columns)
        logits = logits.masked_fill(caption_row != caption_column, -1e4).flatten(0, 1)
        region = (F.cross_entropy(logits, label.flatten(), reduction="none") * weight.flatten()).sum() / weight.sum().clamp_min(1)
        cls, mean = self.model.pooled(tokens)
        positive = torch.zeros(B, len(columns), dtype=torch.bool)
        for b, ls in enumerate(labels):
            positive[b, [names[n] for n in ls]] = True
        tag = spread_targets(s * cls @ columns.T, positive) + spread_targets(s * mean @ columns.T, positive)
        return dict(shape=self.o.map_weight * shape, mass=0.3 * mass, region=0.5 * region, tag=0.2 * tag)

    def anchored(self):
        """Class names stay at the classifier's rows, nouns where CLIP has them."""
        rng = self.rng
        some, nouns = rng.choice(len(self.anchors), 64, replace=False), rng.choice(len(self.clip), 64, replace=False)
        text = self.texts([batches.spoken(rng, self.cache["classes"][i]) for i in some]
                          + [f"a {self.cache['clip_names'][j]}" for j in nouns])
        near = F.cross_entropy(self.scale() * text[:64] @ self.anchors.T, torch.from_numpy(some))
        return dict(anchor=0.3 * near, geometry=0.3 * self.geometry(text[64:], nouns))

    def one_step(self):
        o, fraction = self.o, min(1.0, self.used / (60 * self.o.minutes))
        factor = min(1, (self.step + 1) / 40) * (0.5 + 0.5 * np.cos(np.pi * fraction)) + 0.01
        for group in self.optimiser.param_groups:
            group["lr"] = group["top"] * factor
        for layer in self.model.text.encoder.layer[FROZEN:]:
            layer.train()
        self.model.text_head.train()
        images, texts, labels, words = self.drawn()
        columns, names = self.texts([batches.spoken(self.rng, n) for n in words]), {n: c for c, n in enumerate(words)}
        losses = self.captions(columns, names) | self.located(images, texts, labels, columns, names)
        if self.step % 2 == 0:
            losses |= self.anchored()
        self.optimiser.zero_grad()
        sum(losses.values()).backward()
        norm = torch.nn.utils.clip_grad_norm_([p for g in self.optimiser.param_groups for p in g["params"]], 5.0)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.step += 1
        decay = min(0.997, (1 + self.step) / (20 + self.step))
        with torch.no_grad():
            for kept, now in zip(self.ema.parameters(), self.model.parameters()):
                if now.requires_grad:
                    kept.lerp_(now, 1 - decay)
        for k, v in (losses | dict(norm=norm)).items():
            self.log[k] = 0.95 * self.log.get(k, v.item()) + 0.05 * v.item()

    # The text head once more, on what both towers have become.

    def refit(self):
        """Fits the averaged model's text head to all captions at once; names stay where LeGrad learned to find them."""
        o, model, rng, cache = self.o, self.ema, self.rng, self.cache
        images = torch.stack(evaluate.image_vectors(model, cache["flickr"][self.train]))
        captions = [c for i in self.train for c in cache["captions"][i]]
        first = np.concatenate([[0], np.cumsum([len(cache["captions"][i]) for i in self.train])])
        names = [p.format(n) for n in self.vocabulary + cache["classes"] for p in (PROMPTS[0], "{}")]
        sentence, named = sentences(model, self.tokenizer, captions), sentences(model, self.tokenizer, names)
        with torch.no_grad():
            old = model.name(named)
        head = model.text_head.requires_grad_(True)
        scale = o.refit_scale or model.log_scale.exp().clamp(max=60).detach()
        optimiser = torch.optim.AdamW(head.parameters(), lr=o.refit_lr, weight_decay=0.05)
        head.train()
        for step in range(o.refit_steps):
            for group in optimiser.param_groups:
                group["lr"] = o.refit_lr * min(1, (step + 1) / 20) * (0.5 + 0.5 * np.cos(np.pi * step / o.refit_steps)) + 1e-6
            chosen = rng.choice(len(self.train), 512, replace=False)
            text = model.name(sentence[first[chosen] + rng.integers(first[chosen + 1] - first[chosen])])
            loss = 0
            for vectors, weight in zip(images, (1.0, 0.7)):
                loss = loss + weight * F.cross_entropy(scale * text @ vectors.T, torch.from_numpy(chosen)) / 2
                loss = loss + weight * F.cross_entropy(scale * vectors[chosen] @ text.T, torch.arange(512)) / 2
            some = rng.choice(len(old), 512, replace=False)
            loss = loss + 20 * (1 - (model.name(named[some]) * old[some]).sum(1)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        head.eval().requires_grad_(False)
        torch.save(dict(ema=model.state_dict(), step=self.step, used=self.used, options=vars(o)), f"{o.out}/refitted.pt")

    def save(self):
        state = dict(model=self.model.state_dict(), ema=self.ema.state_dict(), optimiser=self.optimiser.state_dict(),
                     step=self.step, used=self.used, options=vars(self.o))
        torch.save(state, f"{self.o.out}/next.pt")
        os.replace(f"{self.o.out}/next.pt", f"{self.o.out}/checkpoint.pt")

    def report(self):
        """Scores of the averaged model on the photos that choose."""
        began, scores = time.time(), evaluate.development(self.ema, self.cache, self.tokenizer)
        line = json.dumps(dict(step=self.step, used=round(self.used), seconds=round(time.time() - began), **scores))
        print("dev", line, flush=True)
        with open(f"{self.o.out}/log.jsonl", "a", encoding="utf8") as f:
            f.write(line + "\n")

    def run(self):
        o = self.o
        if o.resume:
            state = torch.load(f"{o.out}/checkpoint.pt", weights_only=False)
            self.model.load_state_dict(state["model"])
            self.prepare()
            self.ema.load_state_dict(state["ema"])
            rates = [group["top"] for group in self.optimiser.param_groups]
            self.optimiser.load_state_dict(state["optimiser"])
            for group, rate in zip(self.optimiser.param_groups, rates):
                group["top"] = rate  # the options of this run, not of the one that stopped
            self.step, self.used = state["step"], state["used"]
            self.rng = np.random.default_rng((o.seed, self.step))
            self.report()
        else:
            self.head_stage()
            self.prepare()
            self.report()
        saved = evaluated = self.used
        while self.used < 60 * o.minutes:
            began = time.time()
            self.one_step()
            self.used += time.time() - began
            if self.step % 20 == 0:
                print(self.step, f"{self.used:.0f}s", {k: round(v, 3) for k, v in self.log.items()}, flush=True)
            if self.used - saved > 300:
                self.save()
                saved = self.used
            if self.used - evaluated > 60 * o.evaluate_every:
                self.report()
                evaluated = self.used
        self.save()
        self.report()
        if o.refit_steps:
            self.refit()
            self.report()


def main():
    o = options()
    torch.set_num_threads(o.threads)
    os.makedirs(o.out, exist_ok=True)
    Trainer(o).run()


if __name__ == "__main__":
    main()
