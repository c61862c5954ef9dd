"""Writes a trained model as the folder that the program embeds.

    python export.py --encoder ENCODERS/minilm-l6 --run runs/vision-192 --out ../../models/vision-192

Matrices of the text tower and of the image tower's blocks are stored as int8 rows with one float32 scale each (--visual float16 for
the latter); norms, biases and the text head stay float32. Stored forms are for storage: they are expanded when loaded.
"""
import argparse
import json
import os
import shutil

import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig

from model import DEPTH, GRID, HEADS, PATCH, WIDTH, Model

BERT_KEYS = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
             "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "pad_token_id")


def quantise(weight):
    """Int8 rows with one scale each; the scale is the one of 40 that leaves the least squared error."""
    top = weight.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
    best, scale = torch.full_like(top, torch.inf), top.clone()
    for shrink in torch.linspace(0.6, 1.0, 40):
        candidate = top * shrink
        error = ((weight / candidate).round().clamp(-127, 127) * candidate - weight).square().sum(1, keepdim=True)
        better = error < best
        best, scale = torch.where(better, error, best), torch.where(better, candidate, scale)
    return (weight / scale).round().clamp(-127, 127).to(torch.int8), scale[:, 0].contiguous()


def stored(weights, visual):
    """The tensors of the file, in their stored forms."""
    tensors = {}
    for name, weight in weights.items():
        weight = weight.float().contiguous()
        matrix = weight.ndim == 2
        if matrix and (name.startswith("text.") or name.startswith("visual.") and visual == "int8"):
            tensors[name], tensors[f"{name}.scale"] = quantise(weight)
        elif name.startswith("visual.") and weight.ndim > 1 and visual == "float16":
            tensors[name] = weight.half()
        elif name != "log_scale":
            tensors[name] = weight
    return tensors


def load(path, encoder=None):
    """The model of an exported folder, or the averaged model of a checkpoint (then encoder is MiniLM's folder)."""
    if path.endswith(".pt"):
        model = Model(BertConfig.from_pretrained(encoder, attn_implementation="sdpa"))
        model.load_state_dict(torch.load(path, weights_only=False)["ema"])
        return model.eval()
    with open(f"{path}/config.json", encoding="utf8") as f:
        config = json.load(f)
    model = Model(BertConfig(**config["text"]["bert"], attn_implementation="sdpa"))
    tensors, weights = load_file(f"{path}/model.safetensors"), {"log_scale": torch.tensor(config["logit_scale"]).log()}
    for name, tensor in tensors.items():
        if not name.endswith(".scale"):
            weights[name] = tensor.float() * (tensors[f"{name}.scale"][:, None] if f"{name}.scale" in tensors else 1)
    model.load_state_dict(weights)
    return model.eval()


def description(bert, scale, pooling, size):
    """config.json: everything a reader of the tensors must know."""
    return {
        "architectures": ["EvidentVisionText"],
        "embedding_size": WIDTH,
        "logit_scale": scale,
        "visual": {
            "prefix": "visual.", "layout": "timm", "architecture": "vit_tiny_patch16_224",
            "image_size": GRID * PATCH, "patch_size": PATCH, "width": WIDTH,
            "layers": DEPTH, "heads": HEADS, "mlp_width": 4 * WIDTH,
            "activation": "gelu", "layer_norm_eps": 1e-6, "class_token": True, "projection": "identity", "pooling": pooling,
        },
        "preprocess": {"mean": [0.5] * 3, "std": [0.5] * 3, "resize": "squash", "interpolation": "bicubic"},
        "text": {
            "prefix": "text.", "layout": "bert", "pooling": "mean", "normalize": True, "max_length": 128, "lower_case": True,
            "bert": {k: getattr(bert, k) for k in BERT_KEYS},
        },
        "text_head": {"prefix": "text_head.", "form": "skip(x) + fc2(gelu(fc1(x)))", "activation": "gelu", "normalize": True},
        "legrad": {"layers": [DEPTH - 2, DEPTH - 1], "pooling": "mean", "image_size": size},
        # chosen by bench/maskinversion/choose on the development parts (docs/adr/0033)
        "maskinversion": {"layers": [DEPTH - 4, DEPTH - 3, DEPTH - 2, DEPTH - 1], "image_size": 224, "steps": 10, "stride": 0.2, "alpha": 0.0},
        "prompt": "a photo of a {}",
    }


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--encoder", required=True, help="MiniLM: its config.json and vocab.txt are kept")
    p.add_argument("--run", required=True, help="folder of a run")
    p.add_argument("--before-refit", action="store_true", help="the text tower as it was trained together with the image tower")
    p.add_argument("--out", required=True)
    p.add_argument("--visual", choices=("float16", "int8", "float32"), default="int8")
    p.add_argument("--pooling", choices=("cls", "mean", "cls+mean"), default="cls+mean", help="chosen on the development parts")
    p.add_argument("--size", type=int, default=448, help="pixels a side for maps, chosen on the development parts")
    o = p.parse_args()
    stages = ("checkpoint.pt",) if o.before_refit else ("retuned.pt", "refitted.pt", "checkpoint.pt")
    path = next(p for p in (f"{o.run}/{stage}" for stage in stages) if os.path.exists(p))
    state = torch.load(path, map_location="cpu", weights_only=False)
    bert = BertConfig.from_pretrained(o.encoder)
    os.makedirs(o.out, exist_ok=True)
    tensors = stored(state["ema"], o.visual)
    save_file(tensors, f"{o.out}/model.safetensors", {"format": "evident", "steps": str(state["step"])})
    with open(f"{o.out}/config.json", "w", encoding="utf8") as f:
        json.dump(description(bert, round(state["ema"]["log_scale"].exp().item(), 4), o.pooling, o.size), f, indent=1)
        f.write("\n")
    shutil.copy(f"{o.encoder}/vocab.txt", f"{o.out}/vocab.txt")
    print(f"{o.out}: {len(tensors)} tensors, "
          f"{os.path.getsize(f'{o.out}/model.safetensors') / 2**20:.1f} MiB, {state['step']} steps")


if __name__ == "__main__":
    main()
