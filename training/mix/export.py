"""Writes a trained reader as the folder that the program embeds: int8 weights with one scale per row, everything else float32.

    python export.py --encoder ENCODERS/e5-small --run runs/reader-12 --out ../../models/mix-12x384

Int8 is for storage only: rows are expanded when the model is loaded. --float32 keeps full precision, to measure what storage costs.
"""
import argparse
import json
import os
import shutil

import torch
from safetensors.torch import save_file


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


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--encoder", required=True, help="the encoder the run began with: its config.json and vocab.txt are kept")
    p.add_argument("--run", required=True, action="append", help="given several times: the mean of the runs' weights (Wortsman et al. 2022)")
    p.add_argument("--out", required=True)
    p.add_argument("--float32", action="store_true")
    o = p.parse_args()
    runs = [torch.load(f"{run}/checkpoint.pt", map_location="cpu") for run in o.run]
    steps = "+".join(str(run["step"]) for run in runs)
    tensors = {}
    for name in runs[0]["model"]:
        weight = torch.stack([run["model"][name].float() for run in runs]).mean(0).contiguous()
        if weight.ndim == 2 and not name.startswith(("span.", "pair.")) and not o.float32:
            tensors[name], tensors[f"{name}.scale"] = quantise(weight)
        else:
            tensors[name] = weight
    os.makedirs(o.out, exist_ok=True)
    save_file(tensors, f"{o.out}/model.safetensors", {"format": "evident", "steps": steps})
    with open(f"{o.encoder}/config.json", encoding="utf8") as f:
        config = json.load(f)
    layers = 1 + max(int(n.split(".")[3]) for n in tensors if n.startswith("bert.encoder.layer."))
    config |= {"architectures": ["EvidentJointReader"], "num_hidden_layers": layers}
    keep = ("architectures", "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
            "hidden_act", "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "pad_token_id")
    with open(f"{o.out}/config.json", "w", encoding="utf8") as f:
        json.dump({k: config[k] for k in keep}, f, indent=1)
        f.write("\n")
    shutil.copy(f"{o.encoder}/vocab.txt", f"{o.out}/vocab.txt")
    size = os.path.getsize(f"{o.out}/model.safetensors")
    print(f"{o.out}: {len(tensors)} tensors, {size / 2**20:.1f} MiB, {steps} steps")


if __name__ == "__main__":
    main()
