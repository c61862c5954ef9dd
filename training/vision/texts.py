"""Tunes the text tower for finding photos, after the towers have been trained together.

    python texts.py --cache runs/cache.pt --encoder ENCODERS/minilm-l6 --start runs/vision-192/refitted.pt --out runs/vision-192

The image tower stays as it is, so its vectors are computed once, of several crops of every photo, and a step is a few hundred captions
against all photos at once. Names stay where they are: LeGrad learned to find them there. Writes retuned.pt, the averaged model
that finds most captions' photos in Flickr8k's development split; --resume continues.
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
from data import PROMPTS, tokenise
from export import load


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", required=True, help="what data.py wrote")
    p.add_argument("--encoder", required=True, help="MiniLM: config.json, vocab.txt")
    p.add_argument("--start", required=True, help="refitted.pt of a run, or an exported folder")
    p.add_argument("--out", required=True)
    p.add_argument("--steps", type=int, default=500)
    p.add_argument("--captions", type=int, default=384, help="a step")
    p.add_argument("--names", type=int, default=96, help="a step, to be kept where they are")
    p.add_argument("--views", type=int, default=4, help="crops of every photo")
    p.add_argument("--frozen", type=int, default=2, help="text layers that stay as they are")
    p.add_argument("--lr", type=float, default=6e-5, help="of the last text layer; each before it learns at 0.85 of the next")
    p.add_argument("--head-lr", type=float, default=3e-4)
    p.add_argument("--scale", type=float, default=40, help="factor of the cosines")
    p.add_argument("--hold", type=float, default=20, help="weight of the names' distance from where they were")
    p.add_argument("--smooth", type=float, default=0.05, help="share of the target spread over all photos")
    p.add_argument("--evaluate-every", type=int, default=25)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--resume", action="store_true")
    return p.parse_args()


class Tuner:
    def __init__(self, o):
        self.o, self.rng = o, np.random.default_rng(o.seed)
        torch.manual_seed(o.seed)
        self.cache = torch.load(o.cache, weights_only=False)
        self.tokenizer = BertTokenizerFast(f"{o.encoder}/vocab.txt", do_lower_case=True)
        self.model = load(o.start, o.encoder)
        self.train = np.array([i for i, s in enumerate(self.cache["splits"]) if s == "train"])
        self.names = self.vocabulary()
        self.images = self.vectors()
        self.step, self.best = 0, None
        self.prepare()

    def vocabulary(self):
        """Everything that is known by name: classes with masks, nouns of captions, Caltech's and ImageNet's classes."""
        cache = self.cache
        counts = np.bincount([j for i in self.train for j in cache["nouns"][i]], minlength=len(cache["clip_names"]))
        nouns = {n for n, c in zip(cache["clip_names"], counts) if c >= 15}
        labels = {n for it in cache["items"] if it["split"] == "train" for n in it["labels"]}
        return sorted(labels | nouns | set(cache["caltech_names"]) | set(cache["classes"]) | set(evaluate.VOC_WORDS.values()))

    def vectors(self):
        """[views, photos, D]: the photos' vectors as they are compared (class token + mean token), first of the whole photo."""
        path = f"{self.o.out}/photos.pt"
        if os.path.exists(path):
            return torch.load(path)
        views = [self.cache["flickr"][self.train]]
        for _ in range(self.o.views - 1):
            crops = [batches.cut(self.cache["flickr"][i], batches.window(self.rng, 0.7, 20), 20, 224, self.rng.random() < 0.5)
                     for i in self.train]
            views.append(torch.stack(crops).round().to(torch.uint8))
        found = torch.stack([together(*evaluate.image_vectors(self.model, v)) for v in views])
        torch.save(found, path)
        return found

    def prepare(self):
        o, model, groups = self.o, self.model.requires_grad_(False), []
        layers = model.text.encoder.layer
        for depth, layer in enumerate(layers):
            if depth >= o.frozen:
                groups.append(dict(params=list(layer.requires_grad_(True).parameters()), weight_decay=0.01,
                                   top=o.lr * 0.85 ** (len(layers) - 1 - depth)))
        groups.append(dict(params=list(model.text_head.requires_grad_(True).parameters()), weight_decay=0.05, top=o.head_lr))
        self.optimiser = torch.optim.AdamW(groups, lr=o.lr, betas=(0.9, 0.98))
        self.before, self.ema = copy.deepcopy(model).eval(), copy.deepcopy(model).eval().requires_grad_(False)
        if o.resume:
            state = torch.load(f"{o.out}/texts.pt", weights_only=False)
            for part in ("model", "ema", "optimiser"):
                getattr(self, part).load_state_dict(state[part])
            self.step, self.best = state["step"], state["best"]
            self.rng = np.random.default_rng((o.seed, self.step))

    def named(self, model, strings, frozen, batch=64):
        """Text vectors [T, D], encoded in order of length so that little is padding."""
        order = np.argsort([len(s) for s in strings], kind="stable")
        with torch.autocast("cpu", torch.bfloat16):
            parts = [model.sentence(*tokenise(self.tokenizer, [strings[i] for i in order[at:at + batch]]), frozen=frozen)
                     for at in range(0, len(order), batch)]
        return model.name(torch.cat(parts)[torch.from_numpy(np.argsort(order))])

    def loss(self):
        """Captions against all photos, the captions' photos against the step's captions, names against what they were."""
        o, rng = self.o, self.rng
        chosen = rng.choice(len(self.train), o.captions, replace=False)
        captions = [self.cache["captions"][self.train[i]] for i in chosen]
        words = [PROMPTS[rng.integers(len(PROMPTS))].format(self.names[j]) for j in rng.choice(len(self.names), o.names, replace=False)]
        text = self.named(self.model, [c[rng.integers(len(c))] for c in captions], o.frozen)
        images = self.images[rng.integers(len(self.images))]
        target = torch.from_numpy(chosen)
        found = F.cross_entropy(o.scale * text @ images.T, target, label_smoothing=o.smooth)
        back = F.cross_entropy(o.scale * images[target] @ text.T, torch.arange(o.captions), label_smoothing=o.smooth)
        with torch.no_grad():
            old = self.named(self.before, words, o.frozen)
        moved = 1 - (self.named(self.model, words, o.frozen) * old).sum(1).mean()
        return dict(found=found / 2, back=back / 2, moved=o.hold * moved)

    def one_step(self):
        o = self.o
        factor = min(1, (self.step + 1) / 20) * (0.5 + 0.5 * np.cos(np.pi * self.step / o.steps)) + 0.01
        for group in self.optimiser.param_groups:
            group["lr"] = group["top"] * factor
        for layer in self.model.text.encoder.layer[o.frozen:]:
            layer.train()
        self.model.text_head.train()
        losses = self.loss()
        self.optimiser.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_([p for g in self.optimiser.param_groups for p in g["params"]], 5.0)
        self.optimiser.step()
        self.step += 1
        decay = min(0.98, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, now in zip(self.ema.parameters(), self.model.parameters()):
                if now.requires_grad:
                    kept.lerp_(now, 1 - decay)
        return {k: round(v.item(), 4) for k, v in losses.items()}

    def report(self, **fields):
        """Scores of the averaged model where choosing is allowed; keeps the best."""
        ranks = evaluate.retrieval(self.ema, self.cache, self.tokenizer, "dev")["both"]
        line = json.dumps(dict(step=self.step, dev=ranks, **fields))
        print(line, flush=True)
        with open(f"{self.o.out}/texts.jsonl", "a", encoding="utf8") as f:
            f.write(line + "\n")
        if self.best is None or ranks[0] + ranks[2] > self.best:
            self.best = ranks[0] + ranks[2]
            torch.save(dict(ema=self.ema.state_dict(), step=self.step, options=vars(self.o)), f"{self.o.out}/retuned.pt")
        state = dict(model=self.model.state_dict(), ema=self.ema.state_dict(), optimiser=self.optimiser.state_dict(), step=self.step, best=self.best)
        torch.save(state, f"{self.o.out}/next.pt")
        os.replace(f"{self.o.out}/next.pt", f"{self.o.out}/texts.pt")

    def run(self):
        began = time.time()
        self.report()
        while self.step < self.o.steps:
            losses = self.one_step()
            if self.step % self.o.evaluate_every == 0:
                self.report(**losses, seconds=round(time.time() - began))


def together(cls, mean):
    """A photo's vector from its class token's and its mean token's [n, D]."""
    return F.normalize(cls + mean, dim=-1)


def main():
    o = options()
    torch.set_num_threads(o.threads)
    os.makedirs(o.out, exist_ok=True)
    Tuner(o).run()


if __name__ == "__main__":
    main()
