#!/usr/bin/env python3
"""One peer in a process of its own, with the protocol of bench/turns:

    peer.py ort MODEL.onnx INPUT.npy THREADS
    peer.py torch FOLDER INPUT.npy THREADS

torch runs with weights, activations and residual stream in bf16, what model.bfloat16() gives, and
its fused attention.
"""

import pathlib
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "turns"))
from turns import serve  # noqa: E402


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
            return model.encoder(x)[0].float().numpy()
    return loaded, run


def main():
    kind, path, x, threads = sys.argv[1:]
    loaded, run = {"ort": of_ort, "torch": of_torch}[kind](path, np.load(x), int(threads))
    serve(loaded, {"run": lambda _: run()})


if __name__ == "__main__":
    main()
