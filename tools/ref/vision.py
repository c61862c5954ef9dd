"""Writes model/vision/testdata/vision-192.*: what torch computes, in float32, from the exported vision-language model.

    python tools/ref/vision.py

needs training/vision/requirements.txt. The picture is drawn here (a red disc and a blue door before a sky over grass); its values
are multiples of 1/128, exact in float16. Beside the whole picture, 14 x 14 patches, its upper left part of 7 x 10 patches is
given to the model: there the position table is resized, and height and width differ.
"""
import json
import os
import sys

import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import BertTokenizerFast

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "training", "vision"))
from export import load  # noqa: E402
from model import DEPTH, legrad, spread  # noqa: E402

TEXTS = ["a photo of a dog", "A red ball on the grass, in front of a blue door.", "a photo of a train"]
TOLERANCE = {"cls": 2e-5, "mean": 2e-5, "embedding": 2e-5, "text": 2e-5, "similarity": 2e-5,
             "layer.10": 2e-4, "layer.11": 2e-4, "map": 1e-3}


def picture():
    """[3, 224, 224] in -1..1."""
    y, x = torch.meshgrid(torch.arange(224.0), torch.arange(224.0), indexing="ij")
    sky = torch.stack([90 + y / 2, 140 + y / 3, 235 - y / 8])
    grass = torch.stack([60 + 20 * torch.sin(x / 3), 130 + 25 * torch.sin((x + 2 * y) / 5), 50 + 10 * torch.cos(y / 2)])
    image = torch.where(y > 140, grass, sky)
    door = (x > 140) & (x < 190) & (y > 60) & (y < 170)
    image = torch.where(door, torch.stack([30 + 0 * x, 50 + 0 * x, 160 + 15 * torch.cos(x / 4)]), image)
    disc = (x - 70) ** 2 + (y - 150) ** 2 < 38 ** 2
    shade = 1 - ((x - 58) ** 2 + (y - 136) ** 2) / 9000
    image = torch.where(disc, torch.stack([225 * shade, 35 * shade, 40 * shade]), image)
    return image.clamp(0, 255).round() / 128 - 1


def outputs(model, config, pixels, texts):
    """Everything a port must reproduce for one picture and the texts' vectors [K, D]."""
    tokens, taps = model.visual(pixels[None], taps=2)
    cls, mean = model.pooled(tokens)
    pooling = config["visual"]["pooling"]
    embedding = {"cls": cls, "mean": mean, "cls+mean": F.normalize(cls + mean, dim=-1)}[pooling]
    layers = [legrad(model.visual, DEPTH - 2 + i, t, texts[None])[0] for i, t in enumerate(taps)]
    return {"cls": cls[0], "mean": mean[0], "embedding": embedding[0], "similarity": texts @ embedding[0],
            "layer.10": layers[0], "layer.11": layers[1], "map": spread(layers[0] + layers[1])}


def main():
    torch.set_num_threads(1)
    folder, out = os.path.join(ROOT, "models", "vision-192"), os.path.join(ROOT, "model", "vision", "testdata")
    with open(f"{folder}/config.json", encoding="utf8") as f:
        config = json.load(f)
    model, tokenizer, pixels = load(folder), BertTokenizerFast(f"{folder}/vocab.txt", do_lower_case=True), picture()
    with torch.no_grad():
        ids = [tokenizer(t)["input_ids"] for t in TEXTS]
        texts = torch.cat([model.name(model.sentence(torch.tensor([i]), torch.ones(1, len(i), dtype=torch.long))) for i in ids])
        whole, part = outputs(model, config, pixels, texts), outputs(model, config, pixels[:, :112, :160].contiguous(), texts)
    tensors = {"pixels": pixels.half(), "text": texts} | whole | {f"part.{k}": v for k, v in part.items()}
    os.makedirs(out, exist_ok=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, f"{out}/vision-192.safetensors")
    with open(f"{out}/vision-192.json", "w", encoding="utf8") as f:
        json.dump({"texts": TEXTS, "ids": ids, "part": [112, 160], "absolute": TOLERANCE,
                   "note": "layer.N: LeGrad of one block, not normalised, tolerance relative to its largest value; map: min-max of their sum"},
                  f, indent=1)
        f.write("\n")
    print({k: round(v.abs().max().item(), 4) for k, v in tensors.items()})


if __name__ == "__main__":
    main()
