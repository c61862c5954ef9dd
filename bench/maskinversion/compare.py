#!/usr/bin/env python3
"""Times MaskInversion on ViT-B/16 against maskinversion-torch, taking turns, and prints ratios, differences and memory.

Every side is a process of its own with the same random weights, and loads the whole model, text tower included. One
thread is judged by processor time, several by wall clock; of all turns the least of each side counts, and the spread is
the 10th to 90th percentile of the ratios within a turn. The setting is that of the authors' code: the last layer, ten
steps, a rate of 0.1.

bench/maskinversion/grid times the forms of the gradient against each other, bench/maskinversion/choose tries settings.
"""

import argparse
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "turns"), str(HERE.parent.parent / "tools/ref/parity"), str(HERE.parent.parent / "tools/ref")]
from parity import random_folder  # noqa: E402
from turns import Side, cpu_name, percentiles, take  # noqa: E402

CASES = [(224, 1), (224, 10), (224, 100), (448, 10)]  # pixels, masks
SIDES = ["ours fp32", "ours bf16"]  # and with many masks those of the fastest form, which may depend on their number


def masks(count, size):
    """Ellipses [K, S, S], each its own."""
    rng = np.random.default_rng(count)
    y, x = np.mgrid[:size, :size] / size
    cy, cx, ry, rx = rng.uniform([[0.2], [0.2], [0.08], [0.08]], [[0.8], [0.8], [0.35], [0.35]], (4, count))[..., None, None]
    return torch.from_numpy((((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1).astype(np.float32))


def write(work, size, count, steps=10):
    torch.manual_seed(0)
    path = work / f"input-{size}-{count}-{steps}.safetensors"
    save_file(dict(pixels=torch.randn(1, 3, size, size), masks=masks(count, size), steps=torch.tensor([float(steps)])), path)
    return path


def cosine(a, b):
    a, b = a.reshape(len(b), -1), b
    return ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min()


def compare(args, work, case, threads):
    size, count = case
    path = write(work, size, count)
    sides = {"maskinversion-torch": Side([sys.executable, HERE / "peer.py", args.folder, path])}
    for name in args.sides or SIDES + [f"{s} fastest" for s in SIDES if count > 30]:
        sides[name] = Side([args.ours, args.folder, path, *name.split()[1:]])
        if args.fresh:  # the first start packed weights; the second finds them
            sides[name].close()
            sides[name] = Side([args.ours, args.folder, path, *name.split()[1:]])
    which = 1 if threads == 1 else 0
    turns = args.turns if size * count < 1000 else min(args.turns, 2) if size * count < 3000 else 1
    repeat = {name: 1 if name == "maskinversion-torch" else args.repeat for name in sides}
    runs = [lambda s=s, r=repeat[name]: min(s.run(threads)[which] for _ in range(r)) for name, s in sides.items()]
    times = take(runs, 0, turns)
    least = {name: min(t) for name, t in zip(sides, times)}
    outputs = {name: side.output(work / "output.bin").reshape(count, -1) for name, side in sides.items()}
    exact = outputs.get("ours fp32")
    peak = {name: side.memory()[0] for name, side in sides.items()}
    want = outputs["maskinversion-torch"]
    for (name, side), t in zip(sides.items(), times):
        side.close()
        bits = "–" if exact is None or name == "maskinversion-torch" else f"{1 - cosine(outputs[name], exact):.1e}"
        print(f"| {size} | {count} | {threads} | {name} | {1e3 * least[name]:.0f} | {least['maskinversion-torch'] / least[name]:.2f} "
              f"| {percentiles(times[0] / t)} | {len(t)} | {np.abs(outputs[name] - want).max():.1e} | {bits} "
              f"| {peak[name] / 2**20:.0f} | {peak['maskinversion-torch'] / peak[name]:.2f} |", flush=True)


def table(args, work):
    print(f"ViT-B/16, random weights, last layer, 10 steps; maskinversion-torch 1.1, torch {torch.__version__}, {cpu_name()}\n")
    print("| pixels | masks | threads | side | least ms | reference/it (least) | reference/it (median, 10–90 %) | n "
          "| largest difference | 1 - cosine to fp32 | peak MiB | reference's peak/it |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for case in CASES:
        if args.case in ("", f"{case[0]}/{case[1]}"):
            for threads in args.threads:
                compare(args, work, case, threads)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", required=True, help="the program built from bench/maskinversion")
    parser.add_argument("--work", required=True, help="folder for models and inputs")
    parser.add_argument("--turns", type=int, default=4, help="fewer where a turn takes minutes")
    parser.add_argument("--repeat", type=int, default=2, help="runs of ours in a turn, of which the least counts")
    parser.add_argument("--fresh", action="store_true", help="start every side of ours twice, so that weights are packed")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--case", default="", help="only this one, as 224/10")
    parser.add_argument("--sides", nargs="+", default=[], metavar="SIDE", help="as 'ours bf16' or 'ours bf16 factor'")
    args = parser.parse_args()
    work = pathlib.Path(args.work)
    args.folder = work / "vit-b16"
    if not (args.folder / "open_clip_model.safetensors").exists():
        random_folder(str(args.folder), "ViT-B-16")
    table(args, work)


if __name__ == "__main__":
    main()
