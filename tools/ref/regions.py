"""Writes maskinversion/testdata/NAME/golden.safetensors: what maskinversion-torch 1.1 makes of masks, on the small models that
tools/ref/clip.py and tools/ref/siglip.py wrote.

    VENV/bin/pip install maskinversion-torch==1.1 && VENV/bin/python tools/ref/regions.py

in the environment of tools/ref/siglip.py. Cases: "default" is the package's own setting; "reg" has two layers, a larger rate, a
regularisation and a decay; "othersize" has masks of another size than the image, upright. Where the package mixes the masks of one
call, as of models that pool by attention, each has a call of its own.
"""
import contextlib
import io
import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from maskinversion import MaskInversion
from open_clip.coca_model import CoCa
from open_clip.model import CLIP
from safetensors.torch import load_file, save_file

import siglip as siglip_models

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
CASES = {
    "default": dict(layer_index=-1, lr=0.1, alpha=0.0, wd=0.0),
    "reg": dict(layer_index=-2, lr=0.5, alpha=0.2, wd=0.01),
    "othersize": dict(layer_index=-1, lr=0.1, alpha=0.0, wd=0.0),
}


def masks(count, h, w):
    """Soft and hard rectangles, none like another."""
    m = torch.zeros(count, h, w)
    for i in range(count):
        a, b = (i * h) // 5, (i * w) // 7
        m[i, a:a + h // 3 + i, b:b + w // 2 - i] = 1 - 0.25 * (i % 2)
    return m


@contextlib.contextmanager
def losses(log):
    """Notes every loss that is differentiated."""
    real = torch.Tensor.backward

    def backward(self, *args, **kwargs):
        log.append(self.item())
        return real(self, *args, **kwargs)
    torch.Tensor.backward = backward
    try:
        yield
    finally:
        torch.Tensor.backward = real


def invert(make, pixels, some, case, steps, empty):
    with contextlib.redirect_stdout(io.StringIO()):
        wrapped = MaskInversion(make(), iterations=steps, layer_index=case["layer_index"], lr=case["lr"], alpha=case["alpha"], wd=case["wd"])
    if empty is not None:
        wrapped.empty_embedding = empty.t()
    log = []
    with losses(log):
        vectors, maps = wrapped.compute_maskinversion(pixels, some, return_expl_map=True)
    return vectors.reshape(len(some), -1), torch.tensor(log), maps.reshape(some.shape)


def golden(name, make, folder, single, cases=CASES):
    known = load_file(os.path.join(ROOT, "model", folder, "golden.safetensors"))
    pixels, empty = known["in_image"], known.get("out_text_embedding_empty")
    if empty is not None:
        empty = torch.nn.functional.normalize(empty, dim=-1)
    out, side = {}, pixels.shape[2]
    for case, setting in cases.items():
        ms = masks(3, *((side, side) if case != "othersize" else (side + 6, side - 5)))
        out["in_masks_" + case] = ms
        for steps in (1, 5, 10):
            parts = [ms[i:i + 1] for i in range(3)] if single else [ms]
            results = [invert(make, pixels, part, setting, steps, empty) for part in parts]
            out[f"out_mi_{case}_emb_{steps}"] = torch.cat([r[0] for r in results])
        out[f"out_mi_{case}_loss"] = torch.stack([r[1] for r in results]) if single else results[0][1]
        out[f"out_mi_{case}_map_10"] = torch.cat([r[2] for r in results])
    path = os.path.join(ROOT, "maskinversion", "testdata", name)
    os.makedirs(path, exist_ok=True)
    save_file({k: v.detach().contiguous() for k, v in out.items()}, f"{path}/golden.safetensors")
    os.chmod(f"{path}/golden.safetensors", 0o644)
    facts = {case: dict(setting, single=single) for case, setting in cases.items()}
    with open(f"{path}/cases.json", "w", encoding="utf8") as f:
        json.dump(dict(model=folder, cases=facts), f, indent=1)
        f.write("\n")
    print(name, {k: tuple(v.shape) for k, v in out.items()})


def weights(folder):
    return {k: v.float() for k, v in load_file(os.path.join(ROOT, "model", folder, "open_clip_model.safetensors")).items()}


def config(folder):
    with open(os.path.join(ROOT, "model", folder, "open_clip_config.json"), encoding="utf8") as f:
        return json.load(f)["model_cfg"]


def main():
    torch.set_num_threads(1)

    def clip():
        m = CLIP(**config("vision/testdata/clip-open"))
        m.load_state_dict(weights("vision/testdata/clip-open"))
        return m.eval()

    def siglip():
        m, _ = siglip_models.siglip(config("siglip/testdata/open")["text_cfg"]["vocab_size"], False)
        m.load_state_dict(weights("siglip/testdata/open"))
        return m.eval()


    def coca():
        m = CoCa(**{k: v for k, v in config("clip/testdata/coca").items() if k != "custom_text"})
        m.load_state_dict(weights("clip/testdata/coca"))
        return m.eval()
    golden("clip-open", clip, "vision/testdata/clip-open", False)
    golden("siglip-open", siglip, "siglip/testdata/open", True)
    golden("coca", coca, "clip/testdata/coca", True)


if __name__ == "__main__":
    main()
