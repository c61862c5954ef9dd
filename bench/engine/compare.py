#!/usr/bin/env python3
"""Times our encoder against ONNX Runtime and torch, taking turns, and prints ratios.

Every side is a process of its own. Every turn runs each side once, so that whatever else the machine
does hits all. One thread is judged by processor time, several threads by wall clock; of many turns the
least of each side counts, and the spread is the 10th to 90th percentile of the ratios within a turn.
"""

import argparse
import pathlib
import sys

import numpy as np
import onnxruntime
import torch

import models

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "turns"))
from turns import Side, cpu_name, percentiles, take  # noqa: E402

SIDES = ["ours fp32", "ours bf16", "ours int8", "ort fp32", "ort fp32 fused", "ort int8 fused", "torch bf16"]


def start(args, files, threads):
    peer = [sys.executable, pathlib.Path(__file__).with_name("peer.py")]
    of = {"ours": lambda kind: [args.ours, files["ours"], kind.split()[0]],
          "ort": lambda kind: peer + ["ort", files[kind], files["x"], threads],
          "torch": lambda _: peer + ["torch", files["folder"], files["x"], threads]}
    sides = {}
    for name in args.sides:
        engine, kind = name.split(" ", 1)
        sides[name] = Side(of[engine](kind))
    return sides


def timed(sides, threads, args):
    """Runs every side in turn; returns [side, turn] of processor time (1 thread) or wall clock."""
    which = 1 if threads == 1 else 0
    for side in sides.values():
        for _ in range(2):
            side.run(threads)
    runs = [lambda s=side: s.run(threads)[which] for side in sides.values()]
    return take(runs, args.seconds, args.turns)


def report(name, batch, threads, sides, times):
    # The better of ONNX Runtime's two float32 graphs is the one to beat.
    base = min((t for s, t in zip(sides, times) if s.startswith("ort fp32")), key=lambda t: t.min(),
               default=times[0])
    for side, t in zip(sides, times):
        print(f"| {name} | {batch} | {threads} | {side} | {1e3 * t.min():.1f} | {1e3 * np.median(t):.1f} "
              f"| {base.min() / t.min():.2f} | {percentiles(base / t)} | {len(t)} |", flush=True)


def describe(args, name, batch, threads, sides, want):
    """Notes accuracy, load time and memory, and ends the sides."""
    for side, s in sides.items():
        got = s.output(pathlib.Path(args.work) / "output.bin")
        error = np.sqrt(((got - want) ** 2).sum() / (want ** 2).sum())
        peak, now = (b / 2**20 for b in s.memory())
        args.notes.append(f"| {name} | {batch} | {threads} | {side} | {error:.1e} | {s.loaded:.2f} | {peak:.0f} | {now:.0f} |")
        s.close()


def compare(args, case, folder):
    work = pathlib.Path(args.work)
    files = {key: work / f"{case.name}{end}" for key, end in {
        "fp32": ".onnx", "fp32 fused": ".fused.onnx", "int8 fused": ".int8.onnx",
        "ours": ".bin", "x": ".npy", "folder": ".torch"}.items()}
    model = models.model_of(case, folder)
    everything = models.inputs_of(case, model, max(args.batch))
    fused = models.export(case, model, everything, files["fp32"], files["fp32 fused"], files["int8 fused"])
    model.save_pretrained(files["folder"])
    for batch in args.batch:
        x = everything[:batch]
        np.save(files["x"], x.numpy())
        model = model.float()
        models.write_ours(case, model, x, files["ours"])
        want = models.reference(model, x)
        for threads in args.threads:
            sides = start(args, files, threads)
            report(case.name, batch, threads, sides, timed(sides, threads, args))
            describe(args, case.name, batch, threads, sides, want)
    args.fused.append(f"{case.name}: operators fused for ONNX Runtime: {fused}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", required=True, help="the program built from bench/engine")
    parser.add_argument("--work", required=True, help="folder for exported models")
    parser.add_argument("--seconds", type=float, default=8, help="per model, batch and thread count")
    parser.add_argument("--turns", type=int, default=10, help="at least so many, whatever they take")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--sides", nargs="+", default=SIDES, choices=SIDES, metavar="SIDE",
                        help=f"of {', '.join(repr(s) for s in SIDES)}")
    parser.add_argument("--model", action="append", default=[], metavar="LAYERS=FOLDER",
                        help="for width 384, take the weights of a Hugging Face folder instead of random ones")
    parser.add_argument("--case", default="", help="only models whose name contains this")
    args = parser.parse_args()
    args.notes, args.fused = [], []
    return args


def main():
    args = arguments()
    folders = dict(m.split("=", 1) for m in args.model)
    pathlib.Path(args.work).mkdir(parents=True, exist_ok=True)
    print(f"ONNX Runtime {onnxruntime.__version__}, torch {torch.__version__}, {cpu_name()}. "
          "One thread: processor time; several: wall clock.\n")
    print("| model | batch | threads | side | least ms | median ms "
          "| ort/it (least) | ort/it (median, 10–90 %) | n |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for case in models.CASES:
        if args.case in case.name:
            compare(args, case, folders.get(str(case.layers)) if case.width == 384 else None)
    print("\n| model | batch | threads | side | relative RMS error | load s | peak MiB | resident MiB |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(args.notes), "\n")
    for line in args.fused:
        print("-", line)


if __name__ == "__main__":
    main()
