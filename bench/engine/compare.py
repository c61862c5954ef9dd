#!/usr/bin/env python3
"""Times our encoder against ONNX Runtime and torch, taking turns, and prints ratios.

Every turn runs each side once, so that whatever else the machine does hits both. One thread is
judged by CPU time, several threads by wall clock; of many turns the least of each side counts, and
the spread is the 10th to 90th percentile of the ratios within a turn.
"""

import argparse
import json
import pathlib
import platform
import subprocess
import time

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import BertConfig, BertModel

# Name, layers, width, heads, tokens.
CASES = [("minilm-l6", 6, 384, 12, 256), ("bert-12x384", 12, 384, 12, 192),
         ("bert-base", 12, 768, 12, 512)]


def model_of(layers, width, heads, folder, attention="eager"):
    """A BERT encoder: random weights, or those of a Hugging Face folder."""
    torch.manual_seed(layers)
    if folder:
        return BertModel.from_pretrained(folder, attn_implementation=attention).eval()
    config = BertConfig(hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
                        intermediate_size=4 * width, vocab_size=1000, attn_implementation=attention)
    return BertModel(config).eval()


class Layers(torch.nn.Module):
    """The encoder without embeddings and pooler: hidden rows in, hidden rows out."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.eval()

    def forward(self, x):
        return self.encoder(x)[0]


def export(model, x, path, fused):
    torch.onnx.export(Layers(model.encoder), (x,), str(path), input_names=["x"],
                      output_names=["y"], opset_version=17, dynamo=False)
    from onnxruntime.transformers import optimizer
    config = model.config
    graph = optimizer.optimize_model(str(path), model_type="bert", opt_level=0,
                                     num_heads=config.num_attention_heads,
                                     hidden_size=config.hidden_size)
    graph.save_model_to_file(str(fused))
    return graph.get_fused_operator_statistics()


def write_ours(model, x, path):
    """The format of main.go: a line of JSON, then the input, then each layer's tensors."""
    c = model.config
    head = {"layers": c.num_hidden_layers, "width": c.hidden_size, "heads": c.num_attention_heads,
            "wide": c.intermediate_size, "tokens": x.shape[1], "epsilon": c.layer_norm_eps}
    assert c.hidden_act == "gelu", c.hidden_act
    with open(path, "wb") as f:
        f.write(json.dumps(head).encode() + b"\n")

        def put(*tensors):
            for t in tensors:
                f.write(np.ascontiguousarray(t.detach().numpy(), dtype="<f4").tobytes())

        put(x)
        for layer in model.encoder.layer:
            a = layer.attention.self
            put(torch.cat([a.query.weight, a.key.weight, a.value.weight]))
            put(torch.cat([a.query.bias, a.key.bias, a.value.bias]))
            out, norm = layer.attention.output.dense, layer.attention.output.LayerNorm
            put(out.weight, out.bias, norm.weight, norm.bias)
            put(layer.intermediate.dense.weight, layer.intermediate.dense.bias)
            down, norm = layer.output.dense, layer.output.LayerNorm
            put(down.weight, down.bias, norm.weight, norm.bias)


class Ours:
    def __init__(self, program, path, precision):
        self.process = subprocess.Popen([program, path, precision], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"our side ended with status {self.process.wait()}")
        return answer

    def run(self, threads):
        wall, cpu = map(float, self.ask(str(threads)).split())
        return wall, cpu

    def output(self, path):
        self.ask(f"output {path}")
        return np.fromfile(path, dtype="<f4")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Theirs:
    def __init__(self, path, x, threads):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.feed = {"x": x.numpy()}

    def run(self, _):
        cpu, wall = time.process_time(), time.perf_counter()
        self.result = self.session.run(None, self.feed)[0].ravel()
        return time.perf_counter() - wall, time.process_time() - cpu


class Torch:
    """torch with weights, activations and residual stream in bf16: what model.bfloat16() gives."""

    def __init__(self, model, x, threads):
        self.encoder = Layers(model.encoder.bfloat16())
        self.x, self.threads = x.bfloat16(), threads

    def run(self, _):
        torch.set_num_threads(self.threads)
        cpu, wall = time.process_time(), time.perf_counter()
        with torch.inference_mode():
            y = self.encoder(self.x)
        times = time.perf_counter() - wall, time.process_time() - cpu
        self.result = y.float().numpy().ravel()
        return times


def error(got, want):
    return float(np.sqrt(((got - want) ** 2).sum() / (want ** 2).sum()))


def turns(sides, threads, seconds):
    """Runs every side in turn; returns [side, turn] of CPU time (1 thread) or wall clock."""
    which = 1 if threads == 1 else 0
    for side in sides.values():
        for _ in range(3):
            side.run(threads)
    rows, end = [], time.time() + seconds
    while time.time() < end or len(rows) < 10:
        rows.append([side.run(threads)[which] for side in sides.values()])
    return np.array(rows).T


def report(name, threads, sides, times):
    clock = "CPU" if threads == 1 else "wall"
    # The better of ONNX Runtime's two float32 graphs is the one to beat.
    base = min((t for s, t in zip(sides, times) if s.startswith("ort fp32")), key=lambda t: t.min())
    for side, t in zip(sides, times):
        low, middle, high = np.percentile(base / t, [10, 50, 90])
        print(f"| {name} | {threads} | {side} "
              f"| {1e3 * t.min():.1f} | {1e3 * np.median(t):.1f} | {clock} | {base.min() / t.min():.2f} | {middle:.2f} ({low:.2f}–{high:.2f}) | {len(t)} |")


def compare(args, name, layers, width, heads, tokens, folder):
    model = model_of(layers, width, heads, folder)
    ids = torch.randint(model.config.vocab_size, (1, tokens),
                        generator=torch.Generator().manual_seed(1))
    work = pathlib.Path(args.work)
    plain, fused, ours = (work / f"{name}{end}" for end in (".onnx", ".fused.onnx", ".bin"))
    int8 = work / f"{name}.int8.onnx"
    with torch.no_grad():
        x = model.embeddings(ids)
        want = model.double().encoder(x.double())[0].numpy().ravel()
        model = model.float()
        operators = export(model, x, plain, fused)
    quantize_dynamic(str(fused), str(int8), weight_type=QuantType.QInt8, per_channel=True,
                     extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
    write_ours(model, x, ours)
    for threads in args.threads:
        sides = {"ours fp32": Ours(args.ours, ours, "fp32"),
                 "ours bf16": Ours(args.ours, ours, "bf16"),
                 "ours int8": Ours(args.ours, ours, "int8"),
                 "ort fp32": Theirs(plain, x, threads), "ort fp32 fused": Theirs(fused, x, threads),
                 "ort int8 fused": Theirs(int8, x, threads),
                 "torch bf16": Torch(model_of(layers, width, heads, folder, "sdpa"), x, threads)}
        report(name, threads, sides, turns(sides, threads, args.seconds))
        for side, s in sides.items():
            got = s.output(work / "output.bin") if isinstance(s, Ours) else s.result
            note = f"{name}, threads {threads}, {side}: relative error {error(got, want):.1e}"
            args.notes.append(note)
            if isinstance(s, Ours):
                s.close()
    args.notes.append(f"{name}: fused operators {({k: v for k, v in operators.items() if v})}")


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", required=True, help="the program built from bench/engine")
    parser.add_argument("--work", required=True, help="folder for exported models")
    parser.add_argument("--seconds", type=float, default=6, help="per model and thread count")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--model", action="append", default=[], metavar="LAYERS=FOLDER",
                        help="take the weights of a Hugging Face folder instead of random ones")
    parser.add_argument("--case", default="", help="only models whose name contains this")
    args = parser.parse_args()
    args.notes = []
    folders = dict(m.split("=", 1) for m in args.model)
    pathlib.Path(args.work).mkdir(parents=True, exist_ok=True)
    print(f"ONNX Runtime {ort.__version__}, torch {torch.__version__}, {cpu_name()}\n")
    print("| model | threads | side | least ms | median ms | clock "
          "| ort/it (least) | ort/it (median, 10–90 %) | n |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for name, layers, width, heads, tokens in CASES:
        if args.case in name:
            folder = folders.get(str(layers)) if width == 384 else None
            compare(args, f"{name}-{tokens}", layers, width, heads, tokens, folder)
    print()
    for note in args.notes:
        print("-", note)


if __name__ == "__main__":
    main()
