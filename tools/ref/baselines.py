"""Writes a tiny random vision transformer, what torch's autograd finds in it, and the maps of the methods that LeGrad is compared with.

    python tools/ref/baselines.py

needs training/vision/requirements.txt. Writes legrad/testdata/tower.safetensors (weights), legrad/testdata/baselines.safetensors
(maps) and nn/testdata/backward.safetensors (gradients of the three blocks). Every size is another prime where the model allows: 3
heads of 7, 41 wide, vectors of 17, patches of 5 pixels; pictures of 3 x 5 patches and of 4 x 4.

Letters: N tokens (1 + patches), D width, E the length of an image's vector, H heads.
"""
import os

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
WIDTH, VECTOR, HEADS, WIDE, LAYERS, PATCH, GRID, EPS = 21, 17, 3, 41, 3, 5, 4, 1e-6
SIZES = {"wide": (15, 25), "square": (20, 20)}
POOLINGS = ("cls", "mean", "cls+mean", "patches", "norm+patches")


def random_tower():
    """Tensors by timm's names, every value a float16's."""
    g = torch.Generator().manual_seed(31)

    def normal(*shape, scale=1.0):
        return torch.randn(*shape, generator=g) * scale

    t = {"patch_embed.proj.weight": normal(WIDTH, 3, PATCH, PATCH, scale=0.15), "patch_embed.proj.bias": normal(WIDTH, scale=0.3),
         "cls_token": normal(1, 1, WIDTH), "pos_embed": normal(1, 1 + GRID * GRID, WIDTH, scale=0.5),
         "norm.weight": 1 + normal(WIDTH, scale=0.2), "norm.bias": normal(WIDTH, scale=0.2),
         "projection.weight": normal(VECTOR, WIDTH, scale=WIDTH ** -0.5)}
    for i in range(LAYERS):
        b = f"blocks.{i}."
        for name in ("norm1", "norm2"):
            t[f"{b}{name}.weight"], t[f"{b}{name}.bias"] = 1 + normal(WIDTH, scale=0.2), normal(WIDTH, scale=0.2)
        for name, out, into, scale in (("attn.qkv", 3 * WIDTH, WIDTH, 1.5), ("attn.proj", WIDTH, WIDTH, 1), ("mlp.fc1", WIDE, WIDTH, 1),
                                       ("mlp.fc2", WIDTH, WIDE, 1)):
            t[f"{b}{name}.weight"], t[f"{b}{name}.bias"] = normal(out, into, scale=scale * into ** -0.5), normal(out, scale=0.3)
    return {k: v.half() for k, v in t.items()}


class Tower:
    """Runs the random tower with everything kept that a method or a test asks for, gradients included."""

    def __init__(self, tensors):
        self.t = {k: v.float() for k, v in tensors.items()}

    def norm(self, name, x):
        return F.layer_norm(x, (WIDTH,), self.t[f"{name}.weight"], self.t[f"{name}.bias"], EPS)

    def linear(self, name, x):
        return F.linear(x, self.t[f"{name}.weight"], self.t[f"{name}.bias"])

    def embed(self, pixels):
        x = F.conv2d(pixels[None], self.t["patch_embed.proj.weight"], self.t["patch_embed.proj.bias"], PATCH)
        h, w = x.shape[-2:]
        table = self.t["pos_embed"]
        if (h, w) != (GRID, GRID):
            grid = table[:, 1:].reshape(1, GRID, GRID, WIDTH).permute(0, 3, 1, 2)
            grid = F.interpolate(grid, (h, w), mode="bicubic", antialias=True)
            table = torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2)], 1)
        return (torch.cat([self.t["cls_token"], x.flatten(2).transpose(1, 2)], 1) + table)[0]

    def forward(self, x):
        """x [N, D] → tokens [N, D]. self.kept has for each block its input, normed input, maps [H, N, N] and values [N, D]."""
        self.kept = []
        for i in range(LAYERS):
            b, n = f"blocks.{i}.", len(x)
            x.requires_grad_(True).retain_grad()
            normed = self.norm(f"{b}norm1", x)
            q, k, v = self.linear(f"{b}attn.qkv", normed).reshape(n, 3, HEADS, WIDTH // HEADS).permute(1, 2, 0, 3)
            maps = (q @ k.transpose(1, 2) * (WIDTH // HEADS) ** -0.5).softmax(-1)
            for kept in (normed, maps):
                kept.retain_grad()
            mid = x + self.linear(f"{b}attn.proj", (maps @ v).transpose(0, 1).reshape(n, WIDTH))
            self.kept.append(dict(input=x, normed=normed, maps=maps, values=v.transpose(0, 1).reshape(n, WIDTH)))
            x = mid + self.linear(f"{b}mlp.fc2", F.gelu(self.linear(f"{b}mlp.fc1", self.norm(f"{b}norm2", mid))))
        return x

    def read(self, tokens):
        """P·LN of tokens [..., D] → [..., E]."""
        return F.linear(self.norm("norm", tokens), self.t["projection.weight"])

    def vector(self, tokens, pooling):
        """The image's vector of length 1."""
        if pooling == "norm+patches":
            return F.normalize(self.read(tokens[1:]).mean(0), dim=-1)
        cls, mean, patches = (F.normalize(self.read(v), dim=-1) for v in (tokens[0], tokens.mean(0), tokens[1:].mean(0)))
        return {"cls": cls, "mean": mean, "patches": patches, "cls+mean": F.normalize(cls + mean, dim=-1)}[pooling]


def rows_of(pooling, n):
    """How much the row of each token counts: as much as the token itself in the image's vector."""
    cls, mean, patches = torch.zeros(n), torch.full((n,), 1 / n), torch.full((n,), 1 / (n - 1))
    cls[0], patches[0] = 1, 0
    return {"cls": cls, "mean": mean, "cls+mean": (cls + mean) / 2, "patches": patches, "norm+patches": patches}[pooling]


def legrad_of(tower, kept, tokens, text):
    """LeGrad's share of one block by autograd; kept: the block's, tokens: its output."""
    f = tower.read(tokens.mean(0))
    (grad,) = torch.autograd.grad(text @ F.normalize(f, dim=-1), kept["maps"], retain_graph=True)
    return grad.clamp(min=0).mean((0, 1))[1:]


def methods(tower, pixels, text, pooling):
    """Every method's map [N-1] of one picture and text."""
    tokens = tower.forward(tower.embed(pixels))
    (text @ tower.vector(tokens, pooling)).backward(retain_graph=True)
    last, n = tower.kept[-1], len(tokens)
    rows = rows_of(pooling, n)
    out = {"attention": rows @ last["maps"].mean(0)}
    rolled, relevance, late = torch.eye(n), torch.eye(n), torch.eye(n)
    for i, kept in enumerate(tower.kept):
        mixed = kept["maps"].mean(0) + torch.eye(n)
        rolled = (mixed / mixed.sum(-1, keepdim=True)) @ rolled
        cam = (kept["maps"].grad * kept["maps"]).clamp(min=0).mean(0)
        relevance = relevance + cam @ relevance
        if i == LAYERS - 1:
            late = late + cam @ late
    out |= {"rollout": rows @ rolled, "chefer": rows @ relevance, "chefer.last": rows @ late}
    out = {k: v[1:] for k, v in out.items()}
    weight = (rows @ last["maps"].grad)[:, 1:].mean(-1)  # of each head
    out["attentioncam"] = (weight[:, None] * (rows @ last["maps"])[:, 1:]).mean(0).clamp(min=0)
    channels = last["normed"].grad[1:].mean(0)
    out["gradcam"] = (last["normed"][1:] @ channels).clamp(min=0)
    out["similarity"] = F.normalize(tower.read(tokens[1:]), dim=-1) @ text
    values = tower.linear(f"blocks.{LAYERS - 1}.attn.proj", last["values"][1:])
    out["maskclip"] = F.normalize(tower.read(values), dim=-1) @ text
    outputs = [k["input"] for k in tower.kept[1:]] + [tokens]
    out["legrad"] = sum(legrad_of(tower, tower.kept[i], outputs[i], text) for i in (LAYERS - 2, LAYERS - 1))
    return {k: v.detach() for k, v in out.items()}


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    maps, gradients = os.path.join(ROOT, "legrad", "testdata"), os.path.join(ROOT, "nn", "testdata")
    for folder in (maps, gradients):
        os.makedirs(folder, exist_ok=True)
    tensors = random_tower()
    save_file(tensors, f"{maps}/tower.safetensors")
    tower, g, golden = Tower(tensors), torch.Generator().manual_seed(37), {}
    texts = F.normalize(torch.randn(2, VECTOR, generator=g), dim=-1)
    golden["text"] = texts
    for name, (h, w) in SIZES.items():
        pixels = torch.randn(3, h, w, generator=g)
        golden[f"{name}.pixels"] = pixels
        for pooling in POOLINGS:
            found = [methods(tower, pixels, text, pooling) for text in texts]
            for method in found[0]:
                golden[f"{name}.{pooling}.{method}"] = torch.stack([m[method] for m in found])
    save_file({k: v.contiguous() for k, v in golden.items()}, f"{maps}/baselines.safetensors")

    x, gradient = torch.randn(13, WIDTH, generator=g), torch.randn(13, WIDTH, generator=g)
    start = x.clone()
    (tower.forward(x) * gradient).sum().backward()
    blocks = {"start": start, "gradient": gradient}
    for i, kept in enumerate(tower.kept):
        blocks |= {f"{name}.{i}": kept[name].grad for name in ("maps", "normed", "input")}
    save_file({k: v.contiguous() for k, v in blocks.items()}, f"{gradients}/backward.safetensors")


if __name__ == "__main__":
    main()
