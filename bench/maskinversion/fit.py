#!/usr/bin/env python3
"""Fits the constants of MaskInversion's cost model (maskinversion/plan.go) to what bench/maskinversion/grid measured.

    go run ./bench/maskinversion/grid … 2> b16-bf16.txt
    python bench/maskinversion/fit.py b16:b16-amx.txt 192:192-amx.txt

Each file holds lines of one model (ViT-B/16's last layer, four layers of vision-192, or its last two) in one precision
and tier; all files are fitted together. What is made least is the squared logarithm of modelled over measured time, a
form far from the fastest counting little and a wrong choice much; each file's worst choice is printed.
"""

import re
import sys

import numpy as np
from scipy.optimize import differential_evolution, least_squares

MODELS = {"b16": (768, 3072, 12, 512, 1), "192": (192, 768, 3, 192, 4), "192-two": (192, 768, 3, 192, 2)}  # D, F, heads, E, layers
NAMES = ["tall", "gate", "attention", "byFactor", "byTensor", "weights", "read", "far", "spread", "pack", "many", "token"]
BEGIN = np.array([11e-12, 1e-12, 11e-12, 12.5e-12, 16.5e-12, 53e-12, 53e-12, 1e-12, 82e-12, 0.5e-9, 1.12, 0.35e-6])
CACHED = 80e6  # bytes that the outermost cache holds of what each step reads again
WRONG = 30  # what a wrong choice counts beside a wrong prediction
STEPS = (1, 2, 5, 10, 20, 50, 100)
LINE = re.compile(r"(\d+) px, (\d+) masks, (\w+): set up (\S+) s, first step (\S+) ms, step (\S+) ms")


def costs(constants, model, pixels, masks, each):
    """Seconds to set up and of each step by form: what plan.go computes."""
    c = dict(zip(NAMES, constants))
    d, wide, heads, e, layers = MODELS[model]
    n = (pixels // 16) ** 2 + 1
    padded = (n + 31) // 32 * 32
    factor, tensor = each * n * d * e, each * heads * n * padded * e
    through = n * wide * (d * c["tall"] + c["gate"])
    attended, around = n * n * d * c["attention"], n * c["token"]
    beyond = max(0, factor - CACHED / layers)
    found = {
        "direct": (0, masks * (2 * (through + attended) + around) + 16 * d * wide * c["weights"]),
        "factor": (e * through * c["many"], masks * (2 * attended + around)
                   + np.hypot(2 * masks * n * d * e * c["byFactor"], factor * c["read"] + beyond * c["far"])),
        "tensor": (e * (through * c["many"] + attended) + max(0, tensor - 8e6) * c["pack"],
                   np.hypot(2 * masks * heads * n * padded * e * c["byTensor"], tensor * c["spread"])),
    }
    return {form: (layers * a, layers * b) for form, (a, b) in found.items()}


def read(argument):
    """Rows (model, pixels, masks, form, set-up, first, next), all in seconds."""
    model, path = argument.split(":")
    found = [LINE.match(line) for line in open(path)]
    return [(model, int(m[1]), int(m[2]), m[3], float(m[4]), float(m[5]) / 1e3, float(m[6]) / 1e3) for m in found if m]


def cells(rows):
    """By (model, pixels, masks): form → (set-up, first step, step after it)."""
    found = {}
    for model, pixels, masks, form, *times in rows:
        found.setdefault((model, pixels, masks), {})[form] = times
    return found


def totals(rows, constants, each):
    """For every cell and number of steps: measured and modelled seconds of each form."""
    for (model, pixels, masks), forms in cells(rows).items():
        modelled = costs(constants, model, pixels, masks, each)
        for steps in STEPS:
            yield ((model, pixels, masks, steps), {f: t[0] + t[1] + (steps - 1) * t[2] for f, t in forms.items()},
                   {f: modelled[f][0] + steps * modelled[f][1] for f in forms})


def residuals(constants, rows, each):
    """Logarithms of modelled over measured times; a form that is far from the fastest counts little."""
    out = []
    for _, took, modelled in totals(rows, constants, each):
        fastest = min(took.values())
        out += [np.log(modelled[f] / took[f]) * (fastest / took[f]) ** 0.5 for f in took]
        chosen = min(modelled, key=modelled.get)
        out.append(WRONG * max(0, np.log(took[chosen] / fastest) - 0.07))
    return np.array(out)


def worst(constants, rows, each):
    """The largest time of the chosen form over that of the fastest, and where."""
    choices = []
    for where, took, modelled in totals(rows, constants, each):
        chosen = min(modelled, key=modelled.get)
        choices.append((took[chosen] / min(took.values()), where, chosen))
    return max(choices)


def main():
    each = 8 if "fp32" in sys.argv[1] else 4  # bytes that a number of the factor takes, both ways
    rows = [r for a in sys.argv[1:] for r in read(a)]
    fit = least_squares(lambda logs: residuals(np.exp(logs) * BEGIN, rows, each), np.zeros(len(BEGIN)), loss="soft_l1",
                        f_scale=0.2)
    sum_ = lambda logs: (residuals(np.exp(logs) * BEGIN, rows, each) ** 2).sum()  # choices jump: no slope leads there
    begin = min((np.maximum(fit.x, -4), np.zeros(len(BEGIN))), key=sum_)
    found = differential_evolution(sum_, [(x - 1, x + 1) for x in begin], x0=begin, maxiter=200, popsize=6, seed=1, tol=0)
    constants = np.exp(found.x) * BEGIN
    print(", ".join(f"{n}: {v:.3g}" for n, v in zip(NAMES, constants)))
    print("typical error", round(float(np.exp(np.abs(fit.fun).mean())), 2))
    for a in sys.argv[1:]:
        print(a, "worst choice", worst(constants, read(a), each))


if __name__ == "__main__":
    main()
