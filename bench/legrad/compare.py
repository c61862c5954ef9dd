#!/usr/bin/env python3
"""Times maps of ViT-B/16 against legrad-torch, taking turns, and prints ratios, differences and memory.

Every side is a process of its own with the same random weights, and loads the whole model, text tower
included. One thread is judged by processor time, several by wall clock; of all turns the least of each
side counts, and the spread is the 10th to 90th percentile of the ratios within a turn. legrad-torch
wraps the model, so that it encodes an image no faster with it than without.
"""

import argparse
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "turns"), str(HERE.parent.parent / "tools/ref/parity"), str(HERE.parent.parent / "tools/ref")]
from parity import random_folder  # noqa: E402
from turns import Side, cpu_name, percentiles, take  # noqa: E402

CASES = [(224, 1), (224, 20), (448, 1), (448, 20)]  # pixels, texts


def start(args, work, case):
    size, texts = case
    torch.manual_seed(0)
    inputs = work / f"input-{size}-{texts}.safetensors"
    save_file(dict(pixels=torch.randn(1, 3, size, size), directions=F.normalize(torch.randn(texts, 512), dim=-1)), inputs)
    peer = [sys.executable, HERE / "peer.py", args.folder, inputs]
    return {
        "legrad-torch": Side(peer),
        "ours fp32": Side([args.ours, args.folder, inputs, "fp32"]),
        "ours bf16": Side([args.ours, args.folder, inputs, "bf16"]),
    }


def compare(args, work, case, threads):
    size, texts = case
    sides = start(args, work, case)
    which = 1 if threads == 1 else 0
    ours = [s for name, s in sides.items() if name.startswith("ours")]
    for side in ours:
        side.run(threads)
    runs = [lambda s=side: s.run(threads)[which] for side in sides.values()]
    turns = args.turns if size * texts < 5000 else max(2, args.turns // 4)
    times = take(runs, 0, turns)
    least = {name: min(t) for name, t in zip(sides, times)}
    plain = {}
    if texts == 1:
        work_of = [lambda s=s, w=w: s.run(threads, w)[which] for s in ours for w in ("run", "encode")]
        rows = take(work_of, 0, args.turns)
        plain = {"ours fp32": rows[0].min() / rows[1].min(), "ours bf16": rows[2].min() / rows[3].min()}
    want = sides["legrad-torch"].output(work / "output.bin")
    peak_of = {}
    for (name, side), t in zip(sides.items(), times):
        got = side.output(work / "output.bin")
        peak_of[name] = side.memory()[0]
        side.close()
        print(f"| {size} | {texts} | {threads} | {name} | {1e3 * least[name]:.1f} | {least['legrad-torch'] / least[name]:.2f} "
              f"| {percentiles(times[0] / t)} | {len(t)} | {np.abs(got - want).max():.1e} | {peak_of[name] / 2**20:.0f} "
              f"| {peak_of['legrad-torch'] / peak_of[name]:.2f} | {plain.get(name, 0):.2f} |".replace("| 0.00 |", "| – |"), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", required=True, help="the program built from bench/legrad")
    parser.add_argument("--work", required=True, help="folder for models and inputs")
    parser.add_argument("--turns", type=int, default=12, help="a quarter of it where a turn takes minutes")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--case", default="", help="only this one, as 224/20")
    args = parser.parse_args()
    work = pathlib.Path(args.work)
    args.folder = work / "vit-b16"
    if not (args.folder / "open_clip_model.safetensors").exists():
        random_folder(str(args.folder), "ViT-B-16")
    print(f"ViT-B/16, random weights, last two layers, maps as large as the image; legrad-torch 1.1, torch {torch.__version__}, {cpu_name()}\n")
    print("| pixels | texts | threads | side | least ms | reference/it (least) | reference/it (median, 10–90 %) | n "
          "| largest difference | peak MiB | reference's peak/it | map over encoding |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for case in CASES:
        if args.case in ("", f"{case[0]}/{case[1]}"):
            for threads in args.threads:
                compare(args, work, case, threads)


if __name__ == "__main__":
    main()
