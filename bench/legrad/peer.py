#!/usr/bin/env python3
"""legrad-torch on a folder with an OpenCLIP model, with the protocol of bench/turns:

    peer.py FOLDER INPUT.safetensors
"""

import contextlib
import io
import json
import pathlib
import sys
import time

import torch
from legrad import LeWrapper
from open_clip.model import CLIP
from safetensors.torch import load_file

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "turns"))
from turns import serve  # noqa: E402


def main():
    folder, path = sys.argv[1:]
    start = time.perf_counter()
    config = json.loads(pathlib.Path(folder, "open_clip_config.json").read_text(encoding="utf8"))["model_cfg"]
    model = CLIP(**config)
    model.load_state_dict({k: v.float() for k, v in load_file(f"{folder}/open_clip_model.safetensors").items()})
    model.eval()
    inputs = load_file(path)
    pixels, directions = inputs["pixels"], inputs["directions"]
    with contextlib.redirect_stdout(io.StringIO()):
        wrapped = LeWrapper(model, layer_index=-2)
    loaded = time.perf_counter() - start

    def explain(threads):
        torch.set_num_threads(threads)
        return wrapped.compute_legrad(directions, pixels).detach().numpy()

    def encode(threads):
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return model.encode_image(pixels).numpy()

    serve(loaded, {"run": explain, "encode": encode})


if __name__ == "__main__":
    main()
