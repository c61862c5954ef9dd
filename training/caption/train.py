"""Trains the decoder that says what a vector of the vision-language model means, on texts alone, and writes it beside the model.

    python train.py --data DATA/vision --vision ../../models/vision-192 --out runs/caption --export ../../models/vision-192/caption

It learns to say texts whose vectors it is given (DeCap, Li et al., arXiv:2303.03032). A checkpoint every 50 steps holds decoder,
optimiser, random states and the time used, so --resume continues where a run stopped.
"""
import argparse
import hashlib
import json
import os
import sys
import time

import numpy as np
import torch
from torch.nn import functional as F
from transformers import BertTokenizerFast

import corpus
from decoder import Decoder, project
from folder import write

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vision"))
from data import photos, split_of, squashed  # noqa: E402
from evaluate import image_vectors, text_vectors  # noqa: E402
from export import load  # noqa: E402

READING = {  # what `go run ./tools/captionsettings` replaces by what it chooses
    "picture": {"memory": ["captions"], "temperature": 0.02}, "region": {"memory": ["names", "phrases"], "temperature": 0.02},
    "beams": 4, "length_power": 0.7,
}


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, help="folder with flickr8k.tar, coco-seg.tar and CLIP's nouns")
    p.add_argument("--vision", required=True, help="folder of the vision-language model whose vectors are to be read")
    p.add_argument("--out", required=True, help="folder for checkpoint, log and encoded texts")
    p.add_argument("--export", help="folder for the finished decoder")
    p.add_argument("--minutes", type=float, default=20, help="time for training; the learning rate falls to its end there")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--width", type=int, default=192)
    p.add_argument("--layers", type=int, default=4)
    p.add_argument("--heads", type=int, default=6)
    p.add_argument("--length", type=int, default=24, help="tokens at most, the vector's among them; longer texts are cut")
    p.add_argument("--dropout", type=float, default=0.0)
    p.add_argument("--blend", type=float, default=0.5, help="share of captions whose vector is the mean of several of their photo's")
    p.add_argument("--noise", type=float, default=0.3, help="length of the noise that is added to vectors of length 1")
    p.add_argument("--least", type=int, default=3, help="how often a piece or a phrase is said at least")
    p.add_argument("--remembered", type=int, default=4500, help="captions in the memory that is exported")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--resume", action="store_true")
    return p.parse_args()


def digest(path):
    """The SHA-256 of a file."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class Texts:
    """The corpus and its vectors: what the decoder is trained on, and the photos whose captions choose."""

    def __init__(self, o):
        self.tokenizer = BertTokenizerFast(f"{o.vision}/vocab.txt", do_lower_case=True)
        self.captions, self.names = corpus.captions(o.data), corpus.names(o.data)
        self.phrases = corpus.phrases(self.captions, self.names, o.least)
        every = [c for five in self.captions for c in five]
        said = [corpus.article(n) for n in self.names]
        self.vocabulary = corpus.Vocabulary.of(self.tokenizer, every, said + self.phrases, o.least)
        self.said = {"captions": every, "names": said, "phrases": self.phrases}
        self.vectors = self.encoded(o)

    def encoded(self, o):
        """Vectors by kind: captions [n, E], names and phrases [n, 2, E], a dimension for the prompts; photos that choose.

        They are kept, for as long as the vision-language model's weights are the same.
        """
        path, of = f"{o.out}/vectors.pt", digest(f"{o.vision}/model.safetensors")
        if os.path.exists(path):
            kept = torch.load(path)
            if kept["of"] == of and kept["least"] == o.least:
                return kept
        model = load(o.vision)

        def encode(texts):
            return text_vectors(model, self.tokenizer, texts)

        chosen = [(squashed(photo, 224), [corpus.tidy(c) for c in row["captions"]]) for i, row, photo in
                  photos(f"{o.data}/flickr8k.tar") if split_of("flickr8k", i, row) == "dev"]
        cls, mean = image_vectors(model, torch.stack([c[0] for c in chosen]))
        bare = [p.split(" ", 1)[1] for p in self.phrases]
        vectors = {
            "of": of, "least": o.least, "captions": encode(self.said["captions"]),
            "names": torch.stack([encode([p.format(n) for n in self.names]) for p in corpus.PROMPTS], 1),
            "phrases": torch.stack([encode(self.phrases), encode([f"a photo of {p}" for p in self.phrases])], 1),
            "photos": F.normalize(cls + mean, dim=-1), "photo_captions": [c[1] for c in chosen],
            "probe": encode([PROBE]),
        }
        torch.save(vectors, path)
        return vectors

    def ids(self, texts, length):
        """Piece numbers [n, length - 1], ended and filled with END, and how many count (the end among them)."""
        out, counts = torch.zeros(len(texts), length, dtype=torch.long), torch.zeros(len(texts), dtype=torch.long)
        for i, ids in enumerate(self.vocabulary.ids(self.tokenizer, texts)):
            ids = (ids + [self.vocabulary.END])[:length]
            out[i, :len(ids)], counts[i] = torch.tensor(ids), len(ids)
        return out, counts


PROBE = "a photo of a dog"  # its vector tells the weights that a decoder was trained for


class Trainer:
    """Draws batches, and holds decoder and optimiser."""

    def __init__(self, o):
        torch.manual_seed(o.seed)
        self.o, self.rng, self.texts, self.step, self.used = o, np.random.default_rng(o.seed), Texts(o), 0, 0.0
        self.path = f"{o.out}/checkpoint.pt"
        self.ids = {kind: self.texts.ids(said, o.length) for kind, said in self.texts.said.items()}
        self.first = np.concatenate([[0], np.cumsum([len(five) for five in self.texts.captions])])
        self.photo = np.repeat(np.arange(len(self.texts.captions)), np.diff(self.first))
        self.decoder = Decoder(self.texts.vectors["captions"].shape[1], len(self.texts.vocabulary.pieces), o.width, o.layers,
                               o.heads, o.length, o.dropout)
        decayed = [p for p in self.decoder.parameters() if p.ndim > 1]
        others = [p for p in self.decoder.parameters() if p.ndim < 2]
        self.optimiser = torch.optim.AdamW([dict(params=decayed, weight_decay=0.05), dict(params=others, weight_decay=0.0)],
                                           lr=o.lr, betas=(0.9, 0.98), fused=True)
        self.held = self.texts.ids([five[0] for five in self.texts.vectors["photo_captions"]], o.length)

    def drawn(self):
        """This epoch's examples in order: their vectors [n, E], pieces and counts. Every caption once, names and phrases too."""
        vectors, rng, prompts = self.texts.vectors, self.rng, len(corpus.PROMPTS)
        captions = vectors["captions"].clone()
        for i in np.flatnonzero(rng.random(len(captions)) < self.o.blend):
            first, last = self.first[self.photo[i]], self.first[self.photo[i] + 1]
            some = rng.choice(np.arange(first, last), rng.integers(2, last - first + 1), replace=False)
            captions[i] = captions[torch.from_numpy(some)].mean(0)
        parts = [captions] + [vectors[k][torch.arange(len(vectors[k])), torch.from_numpy(rng.integers(prompts, size=len(vectors[k])))]
                              for k in ("names", "phrases")]
        ids, counts = (torch.cat([self.ids[k][j] for k in ("captions", "names", "phrases")]) for j in (0, 1))
        order = self.batches(counts.numpy())
        return F.normalize(torch.cat(parts), dim=-1)[order], ids[order], counts[order]

    def batches(self, counts):
        """An order at random in which those of a batch are of about one length; a last batch that is not full is left out."""
        pool = 20 * self.o.batch
        order = self.rng.permutation(len(counts))
        order = np.concatenate([part[np.argsort(counts[part], kind="stable")] for part in
                                (order[at:at + pool] for at in range(0, len(order), pool))])
        order = order[:len(order) // self.o.batch * self.o.batch].reshape(-1, self.o.batch)
        return torch.from_numpy(self.rng.permutation(order).flatten())

    def loss(self, vectors, ids, counts):
        """The mean negative log-likelihood of the pieces; rare ones do not count."""
        longest = int(counts.max())
        ids = ids[:, :longest]
        known = (torch.arange(longest) < counts[:, None]) & (ids != self.texts.vocabulary.RARE)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.decoder.states(vectors, ids[:, :-1])[known] @ self.decoder.tokens.weight.T
        return F.cross_entropy(logits.float(), ids[known])

    def run_epoch(self):
        """Trains on every text once, or until the time is up; returns the mean loss."""
        vectors, ids, counts = self.drawn()
        steps, losses, began, before = len(ids) // self.o.batch, [], time.time(), self.used
        self.decoder.train()
        for step in range(steps):
            done = self.used / (60 * self.o.minutes)
            if done >= 1:
                break
            for group in self.optimiser.param_groups:
                group["lr"] = self.o.lr * (min(1, (self.step + 1) / 50) * (0.5 + 0.5 * np.cos(np.pi * done)) + 1e-3)
            part = slice(step * self.o.batch, (step + 1) * self.o.batch)
            noise = torch.randn_like(vectors[part]) * self.o.noise / vectors.shape[1] ** 0.5
            loss = self.loss(F.normalize(vectors[part] + noise, dim=-1), ids[part], counts[part])
            self.optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.decoder.parameters(), 1.0)
            self.optimiser.step()
            losses.append(loss.item())
            self.step, self.used = self.step + 1, before + time.time() - began
            if self.step % 50 == 0:
                print(f"step {self.step}, {self.used:.0f} s: loss {np.mean(losses[-50:]):.3f}", flush=True)
                self.save()
        return round(float(np.mean(losses)), 4)

    def held_out(self):
        """The negative log-likelihood of a piece of captions that choose, a caption a photo, given their projected photos."""
        self.decoder.eval()
        with torch.no_grad():
            seen = project(self.texts.vectors["photos"], self.memory()["captions"], READING["picture"]["temperature"])
            return round(self.loss(seen, *self.held).item(), 4)

    def memory(self):
        """The vectors that pictures are projected on, by kind of text.

        Of captions it is one a photo, the one nearest to the mean of the photo's, of as many photos as the export holds,
        evenly spread over the collection; names and phrases are all there, each the mean over its prompts.
        """
        vectors = self.texts.vectors
        chosen = np.linspace(0, len(self.texts.captions) - 1, min(self.o.remembered, len(self.texts.captions))).astype(int)
        photos = [vectors["captions"][self.first[p]:self.first[p + 1]] for p in chosen]
        central = torch.stack([five[(five @ five.mean(0)).argmax()] for five in photos])
        return {"captions": central} | {k: F.normalize(vectors[k].mean(1), dim=-1) for k in ("names", "phrases")}

    # Checkpoints.

    def save(self):
        torch.save(self.state(), f"{self.path}.new")
        os.replace(f"{self.path}.new", self.path)

    def state(self):
        return dict(decoder=self.decoder.state_dict(), optimiser=self.optimiser.state_dict(), step=self.step, used=self.used,
                    rng=self.rng.bit_generator.state, torch=torch.get_rng_state())

    def restore(self, state):
        self.decoder.load_state_dict(state["decoder"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.used, self.rng.bit_generator.state = state["step"], state["used"], state["rng"]
        torch.set_rng_state(state["torch"])


def main():
    o = options()
    os.makedirs(o.out, exist_ok=True)
    torch.set_num_threads(o.threads)
    trainer = Trainer(o)
    if o.resume and os.path.exists(trainer.path):
        trainer.restore(torch.load(trainer.path, weights_only=False))
    print(f"{len(trainer.ids['captions'][0])} captions, {len(trainer.texts.names)} names, {len(trainer.texts.phrases)} phrases, "
          f"{len(trainer.texts.vocabulary.pieces)} pieces, {sum(p.numel() for p in trainer.decoder.parameters())} weights", flush=True)
    while trainer.used < 60 * o.minutes:
        loss = trainer.run_epoch()
        line = dict(step=trainer.step, seconds=round(trainer.used), loss=loss, held_out=trainer.held_out())
        with open(f"{o.out}/log.jsonl", "a", encoding="utf8") as f:
            f.write(json.dumps(line) + "\n")
        print(line, flush=True)
        trainer.save()
    if o.export:
        probe = (PROBE, trainer.texts.vectors["probe"])
        write(trainer.decoder, trainer.texts.vocabulary, trainer.memory(), probe, READING, o.export)


if __name__ == "__main__":
    main()
