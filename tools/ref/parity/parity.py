"""Compares what evident computes from a checkpoint's folder with what the reference packages compute from it.

    VENV/bin/python tools/ref/parity/parity.py FOLDER [--size 224] [--wide] [--precision fp32|auto] [--repeat 5]
    VENV/bin/python tools/ref/parity/parity.py FOLDER --random ViT-B-16    # first writes a folder with random weights there

The environment is that of tools/ref/clip.txt; Go must be installed. References: open_clip 2.23 with legrad-torch's formula by
autograd (and legrad-torch itself on square images), transformers' CLIPModel, timm's vision transformers, and of SigLIP in
open_clip's layout the pool of each block's output. Printed are the largest absolute difference, and the same over the largest
value of the reference; a folder passes if all of the latter stay below 1e-4 (auto: below 0.1). Texts that no tokenizer at hand can
read are left out, and that is said.
"""
import argparse
import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import clip as ref  # noqa: E402
import numpy as np  # noqa: E402
import open_clip  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from legrad import LeWrapper  # noqa: E402
from open_clip.model import CLIP, CustomTextCLIP  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch.nn import functional as F  # noqa: E402

TEXTS = ["a photo of a dog", "two people on a bench, 1984", "the red car's wheel"]


class Reference:
    """What a library makes of a folder: size E, vectors of texts (None where it has no tokenizer), the image's vector, maps."""

    def __init__(self, size, patch, image, layers, texts):
        self.size, self.patch, self.image, self.layers, self.texts = size, patch, image, layers, texts


def read(path):
    with open(path, encoding="utf8") as f:
        return json.load(f)


def open_clip_model(folder):
    config = read(f"{folder}/open_clip_config.json")
    config = dict(config.get("model_cfg", config))
    kind = CustomTextCLIP if config.pop("custom_text", False) else CLIP
    with contextlib.redirect_stdout(io.StringIO()):
        model = kind(**config)
    model.load_state_dict({k: v.float() for k, v in load_file(f"{folder}/open_clip_model.safetensors").items()}, strict=True)
    model.eval().requires_grad_(False)
    vocabulary = config["text_cfg"].get("vocab_size", 49408)

    def texts():
        own = f"{folder}/bpe_simple_vocab_16e6.txt.gz"
        tokenizer = ref.SimpleTokenizer(own if os.path.exists(own) else ref.default_bpe(), context_length=model.context_length)
        return model.encode_text(tokenizer(TEXTS)) if tokenizer.vocab_size == vocabulary else None

    if hasattr(model.visual, "trunk"):
        return Reference(config["embed_dim"], model.visual.trunk.patch_embed.patch_size[0], None, siglip_layers(model), texts)
    return tower_reference(ref.open_clip_tower(model), config["embed_dim"], texts, model)


def tower_reference(tower, size, texts, package=None):
    def layers(pixels, directions):
        grid = [n // tower.patch for n in pixels.shape[2:]]
        with torch.enable_grad():
            maps, tokens, _, _ = ref.maps(tower.blocks, tower.embed(pixels), tower.read, directions, grid)
        check(package, pixels, directions, ref.heat(maps[-2:], tower.patch))
        return maps.detach(), tower.pool(tokens)[None]

    return Reference(size, tower.patch, None, layers, texts)


def check(package, pixels, directions, heat):
    """legrad-torch agrees with the formula, where it can run."""
    if package is None or pixels.shape[2] != pixels.shape[3] or package.visual.attn_pool is not None:
        return
    with contextlib.redirect_stdout(io.StringIO()):
        wrapped = LeWrapper(package, layer_index=-2)
    with torch.enable_grad():
        own = wrapped.compute_legrad(directions, pixels).detach()
    print(f"legrad-torch against its formula by autograd: heat maps differ by {(own - heat).abs().max():.1e}")


def siglip_layers(model):
    with contextlib.redirect_stdout(io.StringIO()):
        wrapped = LeWrapper(model, layer_index=0)
    trunk = wrapped.visual.trunk

    def layers(pixels, directions):
        grid = [n // trunk.patch_embed.patch_size[0] for n in pixels.shape[2:]]
        with torch.enable_grad():
            image, maps = wrapped.encode_image(pixels), []
            for block in trunk.blocks:
                pooled = F.normalize(trunk.attn_pool(block.feat_post_mlp), dim=-1)
                weights = trunk.attn_pool.attn_probs
                grads = [torch.autograd.grad((pooled[0] * t).sum(), weights, retain_graph=True)[0] for t in directions]
                maps.append(torch.stack([g.clamp(min=0).mean(1)[0, 0].view(*grid) for g in grads]))
        return torch.stack(maps).detach(), image.detach()

    return layers


def hf_clip(folder):
    model = transformers.CLIPModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32, attn_implementation="eager")
    model.eval().requires_grad_(False)

    def texts():
        if not any(os.path.exists(f"{folder}/{n}") for n in ("tokenizer.json", "vocab.json")):
            return None
        tokenizer = transformers.CLIPTokenizerFast.from_pretrained(folder, local_files_only=True)
        length = model.config.text_config.max_position_embeddings
        batch = tokenizer(TEXTS, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        return model.get_text_features(**batch)

    return tower_reference(ref.hf_clip_tower(model), model.config.projection_dim, texts)


def timm_vit(folder):
    config = read(f"{folder}/config.json")
    model = timm.create_model(config["architecture"], num_classes=config["num_classes"], **config.get("model_args", {}))
    model.load_state_dict({k: v.float() for k, v in load_file(f"{folder}/model.safetensors").items()}, strict=True)
    model.eval().requires_grad_(False)
    return tower_reference(ref.timm_tower(model), model.num_features, lambda: model.head.weight.detach())


def reference(folder):
    if os.path.exists(f"{folder}/open_clip_config.json"):
        return open_clip_model(folder)
    config = read(f"{folder}/config.json")
    if config.get("model_type") == "clip":
        return hf_clip(folder)
    if "architecture" in config:
        return timm_vit(folder)
    sys.exit(f"{folder}: no reference is known for model type {config.get('model_type')!r}")


# ------------------------------------------------------------------ random folders at full size -------------------
def random_folder(folder, name):
    """OpenCLIP's config NAME with random weights in float16, written one tensor at a time."""
    config = open_clip.get_model_config(name)
    if config is None:
        sys.exit(f"open_clip has no config {name!r}")
    # timm's constructors read values, which tensors without memory do not have.
    with torch.device("cpu" if config["vision_cfg"].get("timm_model_name") else "meta"):
        model = (CustomTextCLIP if config.get("custom_text") else CLIP)(**{k: v for k, v in config.items() if k != "custom_text"})
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    os.makedirs(folder, exist_ok=True)
    ref.dump(f"{folder}/open_clip_config.json", dict(model_cfg=config))
    at, header = 0, {}
    for k, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[k] = dict(dtype="F16", shape=list(shape), data_offsets=[at, at + size])
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(1)
    with open(f"{folder}/open_clip_model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for k, shape in shapes.items():
            f.write(random_tensor(rng, k, shape).astype(np.float16).tobytes())


def random_tensor(rng, name, shape):
    """Weights that let every block matter, as trained ones do."""
    x = rng.standard_normal(shape, dtype=np.float32)
    if "logit" in name:
        return np.float32(4.6) + 0 * x
    if len(shape) == 1 and name.endswith("weight"):
        return 1 + 0.2 * x
    if len(shape) < 2:
        return 0.1 * x
    if "embed" in name or "latent" in name:
        return 0.3 * x
    return x * np.float32(1 / np.sqrt(np.prod(shape[1:]) if len(shape) == 4 else min(shape)))


# ------------------------------------------------------------------ the comparison --------------------------------
def ours(folder, pixels, directions, precision, repeat):
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
    with tempfile.TemporaryDirectory() as work:
        save_file(dict(pixels=pixels.contiguous(), directions=directions.contiguous()), f"{work}/in.safetensors", {"texts": json.dumps(TEXTS)})
        out = subprocess.run(
            ["go", "run", "./tools/ref/parity", "-folder", os.path.abspath(folder), "-in", f"{work}/in.safetensors", "-out", f"{work}/out.safetensors",
             "-precision", precision, "-repeat", str(repeat)], cwd=root, check=True, stdout=subprocess.PIPE)
        return load_file(f"{work}/out.safetensors"), json.loads(out.stdout)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("folder")
    args.add_argument("--random", metavar="CONFIG", help="write this config of open_clip with random weights into FOLDER first")
    args.add_argument("--size", type=int, default=224)
    args.add_argument("--wide", action="store_true", help="an image twice as wide as high")
    args.add_argument("--precision", choices=["fp32", "auto"], default="fp32")
    args.add_argument("--repeat", type=int, default=1, help="encodes of which the fastest is reported")
    args.add_argument("--only-ours", action="store_true", help="run evident alone, for its time and memory")
    args = args.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if args.random:
        random_folder(args.folder, args.random)
    pixels = ref.image(args.size, 2 * args.size if args.wide else args.size)
    if args.only_ours:
        config = read(f"{args.folder}/open_clip_config.json")
        size = config.get("model_cfg", config)["embed_dim"]
        print(json.dumps(ours(args.folder, pixels, F.normalize(torch.randn(1, size), dim=-1), args.precision, args.repeat)[1], indent=1))
        return
    with torch.no_grad():
        r = reference(args.folder)
        directions = F.normalize(torch.randn(2, r.size), dim=-1)
        layers, image = r.layers(pixels, directions)
        want = dict(image=image, layers=layers, texts=r.texts())
    del r
    got, report = ours(args.folder, pixels, directions, args.precision, args.repeat)
    print(json.dumps(report, indent=1))
    worst = 0.0
    for name, value in want.items():
        if value is None or name not in got:
            print(f"{name}: not compared: {'the reference has no tokenizer here' if value is None else report.get('texts')}")
            continue
        parts = {f"layer {i}": (value[i], got[name][i]) for i in range(len(value))} if name == "layers" else {name: (value, got[name])}
        for part, (a, b) in parts.items():
            off, most = (a - b).abs().max().item(), a.abs().max().item()
            worst = max(worst, off / most)
            print(f"{part}: {tuple(a.shape)}, largest value {most:.3g}, largest difference {off:.2g}, relative {off / most:.2g}")
    limit = 1e-4 if args.precision == "fp32" else 0.1
    print(f"worst {worst:.2g}, limit {limit}: {'passes' if worst < limit else 'FAILS'}")
    sys.exit(worst >= limit)


if __name__ == "__main__":
    main()
