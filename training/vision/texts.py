"""Tunes the text tower of a finished model on what its image tower sees, which stays as it is.

    python texts.py --model ../../models/vision-192 --cache runs/cache.pt --encoder ENCODERS/minilm-l6 --out runs/vision-192-texts

train.py moves both towers at once, for few captions; with the photos' vectors computed beforehand a step costs a caption's tokens
alone, so that every caption is read several times against all photos. Names stay where LeGrad learned to find them. The
average of the weights that is best on Flickr8k's development split is written, in the form that export.py and evaluate.py take.
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

import export
from batches import window
from data import PROMPTS, pixels, sentences, tokenise


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True, help="an exported folder, or a checkpoint of train.py")
    p.add_argument("--cache", required=True, help="what data.py wrote")
    p.add_argument("--encoder", required=True, help="MiniLM: config.json, model.safetensors, vocab.txt")
    p.add_argument("--out", required=True)
    p.add_argument("--steps", type=int, default=500)
    p.add_argument("--captions", type=int, default=384, help="a step, each of another photo")
    p.add_argument("--frozen", type=int, default=2, help="text layers that stay as they are")
    p.add_argument("--lr", type=float, default=1e-4, help="of the last layer; every layer before it learns at 0.8 of the next")
    p.add_argument("--head-lr", type=float, default=3e-4)
    p.add_argument("--scale", type=float, default=0, help="factor of the cosines; 0 keeps what was learned")
    p.add_argument("--keep", type=float, default=20.0, help="weight of names staying where they are")
    p.add_argument("--views", type=int, default=2, help="further views of each photo: parts of it, half of them mirrored")
    p.add_argument("--evaluate-every", type=int, default=50, help="steps")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--resume", action="store_true")
    return p.parse_args()


def seen(model, images, batch=64):
    """Vectors [n, 2, D] of length 1 of bytes [n, 3, 160, 160] at 224 pixels: class token and mean token."""
    out = []
    for at in range(0, len(images), batch):
        with torch.no_grad():
            with torch.autocast("cpu", torch.bfloat16):
                tokens, _ = model.visual(pixels(images[at:at + batch], 224))
            out.append(torch.stack(model.pooled(tokens), 1))
    return torch.cat(out)


def parts(rng, images):
    """A part of each photo, at least six tenths of it, as large as the photo; half of them mirrored."""
    out = torch.empty_like(images)
    for i, image in enumerate(images):
        top, left, h, w = (10 * int(v) for v in window(rng, 0.6, 16))
        part = F.interpolate(image[None, :, top:top + h, left:left + w].float(), images.shape[-2:], mode="bilinear",
                             antialias=True, align_corners=False)[0]
        out[i] = (part.flip(-1) if rng.integers(2) else part).round().clamp(0, 255).byte()
    return out


class Tuner:
    def __init__(self, o):
        self.o, self.rng = o, np.random.default_rng(o.seed)
        torch.manual_seed(o.seed)
        cache = torch.load(o.cache, weights_only=False)
        self.tokenizer = BertTokenizerFast(f"{o.encoder}/vocab.txt", do_lower_case=True)
        self.model = export.load(o.model, o.encoder)
        self.train = [i for i, s in enumerate(cache["splits"]) if s == "train"]
        self.dev = [i for i, s in enumerate(cache["splits"]) if s == "dev"]
        self.captions = cache["captions"]
        self.views = self.photos(cache["flickr"])
        self.names = [p.format(n) for n in cache["classes"] + cache["clip_names"] + cache["caltech_names"] for p in (PROMPTS[0], "{}")]
        with torch.no_grad():
            self.places = self.model.name(sentences(self.model, self.tokenizer, self.names))
        self.scale = o.scale or self.model.log_scale.exp().clamp(max=60).item()

    def photos(self, images):
        """Vectors of the photos: of those that train [1 + views, n, 2, D], and of those that choose [m, 2, D]. Computed once."""
        path = f"{self.o.out}/photos.pt"
        if not os.path.exists(path):
            train, rng = images[self.train], np.random.default_rng(self.o.seed)
            views = [seen(self.model, train)] + [seen(self.model, parts(rng, train)) for _ in range(self.o.views)]
            torch.save((torch.stack(views), seen(self.model, images[self.dev])), path)
        views, self.chosen = torch.load(path)
        return views

    def prepare(self):
        layers = self.model.text.encoder.layer
        groups = []
        self.model.requires_grad_(False)
        for i, layer in enumerate(layers):
            if i >= self.o.frozen:
                groups.append(dict(params=list(layer.requires_grad_(True).parameters()), top=self.o.lr * 0.8 ** (len(layers) - 1 - i)))
        groups.append(dict(params=list(self.model.text_head.requires_grad_(True).parameters()), top=self.o.head_lr))
        self.optimiser = torch.optim.AdamW([dict(g, lr=g["top"]) for g in groups], betas=(0.9, 0.98), weight_decay=0.05)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)

    def text(self, strings):
        with torch.autocast("cpu", torch.bfloat16):
            sentence = self.model.sentence(*tokenise(self.tokenizer, strings), frozen=self.o.frozen)
        return self.model.name(sentence)

    def loss(self):
        """Captions against all photos, and photos against captions; names against where they were."""
        o, rng, s = self.o, self.rng, self.scale
        chosen = rng.choice(len(self.train), o.captions, replace=False)
        strings = [self.captions[self.train[i]][rng.integers(len(self.captions[self.train[i]]))] for i in chosen]
        some = rng.choice(len(self.names), o.captions // 3, replace=False)
        text, name = self.text(strings), self.text([self.names[i] for i in some])
        bank = self.views[0].clone()
        bank[chosen] = self.views[rng.integers(len(self.views), size=len(chosen)), chosen]
        y, loss = torch.from_numpy(chosen), 0
        for photos, weight in ((F.normalize(bank.sum(1), dim=-1), 1.0), (bank[:, 0], 0.5), (bank[:, 1], 0.3)):
            loss = loss + weight * F.cross_entropy(s * text @ photos.T, y) / 2
            loss = loss + weight * F.cross_entropy(s * photos[chosen] @ text.T, torch.arange(len(chosen))) / 2
        kept = (1 - (name * self.places[some]).sum(1)).mean()
        return loss, kept

    def score(self):
        """Text → photo R@1, R@5 and R@10 (%) on the development split, and how far names have moved (cosine)."""
        with torch.no_grad():
            text = self.average.name(sentences(self.average, self.tokenizer, [c for i in self.dev for c in self.captions[i]]))
            some = self.average.name(sentences(self.average, self.tokenizer, self.names[::16]))
        photos = F.normalize(self.chosen.sum(1), dim=-1)
        owner = torch.tensor([k for k, i in enumerate(self.dev) for _ in self.captions[i]])
        s = text @ photos.T
        rank = (s > s.gather(1, owner[:, None])).sum(1)
        found = [round(100 * (rank < k).float().mean().item(), 2) for k in (1, 5, 10)]
        return dict(recall=found, names=round((some * self.places[::16]).sum(1).mean().item(), 4))

    def save(self, step, best):
        state = dict(model=self.model.state_dict(), average=self.average.state_dict(), optimiser=self.optimiser.state_dict(),
                     step=step, best=best)
        torch.save(state, f"{self.o.out}/next.pt")
        os.replace(f"{self.o.out}/next.pt", f"{self.o.out}/checkpoint.pt")

    def run(self):
        o = self.o
        self.prepare()
        first, best = 0, 0.0
        if o.resume:
            state = torch.load(f"{o.out}/checkpoint.pt", weights_only=False)
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            first, best = state["step"], state["best"]
            self.rng = np.random.default_rng((o.seed, first))
        began = time.time()
        self.report(first, began, [0, 0])
        for step in range(first, o.steps):
            factor = min(1, (step + 1) / 30) * (0.5 + 0.5 * np.cos(np.pi * step / o.steps)) + 0.01
            for group in self.optimiser.param_groups:
                group["lr"] = group["top"] * factor
            for layer in self.model.text.encoder.layer[o.frozen:]:
                layer.train()
            self.model.text_head.train()
            loss, kept = self.loss()
            self.optimiser.zero_grad()
            (loss + o.keep * kept).backward()
            torch.nn.utils.clip_grad_norm_([p for g in self.optimiser.param_groups for p in g["params"]], 5.0)
            self.optimiser.step()
            decay = min(0.98, (1 + step) / (10 + step))
            with torch.no_grad():
                for slow, now in zip(self.average.parameters(), self.model.parameters()):
                    if now.requires_grad:
                        slow.lerp_(now, 1 - decay)
            if (step + 1) % o.evaluate_every == 0 or step + 1 == o.steps:
                recall = self.report(step + 1, began, [loss.item(), kept.item()])
                if recall[0] + recall[2] > best:
                    best = recall[0] + recall[2]
                    torch.save(dict(ema=self.average.state_dict(), step=step + 1, options=vars(o)), f"{o.out}/best.pt")
                self.save(step + 1, best)

    def report(self, step, began, losses):
        line = dict(step=step, seconds=round(time.time() - began), loss=[round(v, 3) for v in losses], **self.score())
        print(json.dumps(line), flush=True)
        with open(f"{self.o.out}/log.jsonl", "a", encoding="utf8") as f:
            f.write(json.dumps(line) + "\n")
        return line["recall"]


def main():
    o = options()
    torch.set_num_threads(o.threads)
    os.makedirs(o.out, exist_ok=True)
    Tuner(o).run()


if __name__ == "__main__":
    main()
