"""Writes a trained decoder as the folder that the program reads: config.json, model.safetensors, pieces.txt.

Matrices are stored as int8 rows with one float32 scale each (NAME.scale); they are expanded when loaded.
"""
import json
import os
import sys

import torch
from safetensors.torch import save_file

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vision"))
from export import quantise  # noqa: E402

KINDS = ("captions", "names", "phrases")  # of the memory, in the order of its rows


def stored(weights):
    """The tensors of the file: rows of int8 for matrices, float32 for the rest."""
    tensors = {}
    for name, weight in weights.items():
        weight = weight.detach().float().contiguous()
        if weight.ndim == 2 and name != "positions":
            tensors[name], tensors[f"{name}.scale"] = quantise(weight)
        else:
            tensors[name] = weight
    return tensors


def write(decoder, vocabulary, memory, probe, reading, out):
    """Writes the folder.

    memory   by kind vectors [n, E] of length 1
    probe    (text, vector [E]): tells the weights that the decoder reads vectors of
    reading  settings that are chosen afterwards: how pictures and regions are projected, how captions are searched for
    """
    os.makedirs(out, exist_ok=True)
    rows = torch.cat([memory[k] for k in KINDS])
    tensors = stored(decoder.state_dict() | {"memory": rows})
    tensors["probe"] = probe[1].reshape(-1)
    save_file(tensors, f"{out}/model.safetensors", {"format": "evident"})
    s = decoder.settings
    config = {
        "architectures": ["EvidentCaption"], "embedding_size": s["size"], "width": s["width"], "layers": s["layers"],
        "heads": s["heads"], "mlp_width": 4 * s["width"], "activation": "gelu", "layer_norm_eps": 1e-5,
        "pieces": s["pieces"], "max_length": s["length"], "end": vocabulary.END, "rare": vocabulary.RARE,
        "memory": [{"kind": k, "rows": len(memory[k])} for k in KINDS], "probe": probe[0], "reading": reading,
    }
    with open(f"{out}/config.json", "w", encoding="utf8") as f:
        json.dump(config, f, indent=1)
        f.write("\n")
    with open(f"{out}/pieces.txt", "w", encoding="utf8") as f:
        f.write("\n".join(vocabulary.pieces) + "\n")
    size = sum(os.path.getsize(f"{out}/{name}") for name in ("config.json", "model.safetensors", "pieces.txt"))
    print(f"{out}: {len(rows)} texts in memory, {size / 2**20:.2f} MiB")
