#!/usr/bin/env python3
"""One peer in a process of its own, with the protocol of main.go:

    peer.py ort MODEL.onnx INPUT.npy THREADS
    peer.py torch FOLDER INPUT.npy THREADS

torch runs with weights, activations and residual stream in bf16, what model.bfloat16() gives, and
its fused attention.
"""

import sys
import time

import numpy as np


def of_ort(path, x, threads):
    import onnxruntime as ort
    start = time.perf_counter()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return time.perf_counter() - start, lambda: session.run(None, {"x": x})[0]


def of_torch(folder, x, threads):
    import torch
    from transformers import AutoModel
    torch.set_num_threads(threads)
    start = time.perf_counter()
    model = AutoModel.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="sdpa").eval()
    loaded = time.perf_counter() - start
    x = torch.from_numpy(x).bfloat16()

    def run():
        with torch.inference_mode():
            return model.encoder(x)[0]
    return loaded, run


def memory():
    """Peak and present resident bytes of this process."""
    with open("/proc/self/status", encoding="ascii") as f:
        fields = dict(line.split(":", 1) for line in f)
    return [1024 * int(fields[name].split()[0]) for name in ("VmHWM", "VmRSS")]


def main():
    kind, path, x, threads = sys.argv[1:]
    loaded, run = {"ort": of_ort, "torch": of_torch}[kind](path, np.load(x), int(threads))
    print(f"loaded {loaded}", flush=True)
    result = None
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "output":
            if kind == "torch":
                result = result.float().numpy()
            result.astype("<f4").tofile(rest)
            print("written", flush=True)
        elif word == "memory":
            print(*memory(), flush=True)
        else:
            cpu, wall = time.process_time(), time.perf_counter()
            result = run()
            print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    main()
