"""Fits how the parts of a reader's answer are combined and calibrated, on held-out training questions, and writes reader.json.

    go run ./bench/fusion -model models/mix-12x384 -data DATA/qa -out features.jsonl.gz
    python fuse.py --features features.jsonl.gz --out models/mix-12x384/reader.json

A line of the features is one question in one situation:
{"setting": "open"|"paragraph", "answerable": bool, "candidates": [{"key", "exact", "f1", "span", "local", "relevance", "answerable", "bm25"}, …]}
with candidates in the order of the span feature; "key" is the normalised text. The weights maximise the likelihood of right
candidates among all; the calibration is a logistic regression of "the answer is exactly right" on the winner. One fit per setting.
"""
import argparse
import gzip
import json

import numpy as np
import torch

FUSED = ("local", "relevance", "answerable", "bm25")


def tensors(rows):
    width = max(len(r["candidates"]) for r in rows)
    x = torch.zeros(len(rows), width, 1 + len(FUSED))
    exact, overlap = torch.zeros(len(rows), width), torch.zeros(len(rows), width)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, r in enumerate(rows):
        for j, c in enumerate(r["candidates"]):
            x[i, j] = torch.tensor([c["span"]] + [c[f] for f in FUSED])
            exact[i, j], overlap[i, j], mask[i, j] = c["exact"], c["f1"], True
    return x, exact, overlap, mask


def fit_fusion(rows):
    """Weights of the other features beside a span weight of 1 (conditional logit over the candidates of a question)."""
    x, exact, _, mask = tensors([r for r in rows if r["answerable"]])
    some = exact.sum(1) > 0
    x, exact, mask = x[some], exact[some], mask[some]
    weight = torch.zeros(len(FUSED), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=200)

    def closure():
        optimiser.zero_grad()
        score = (x[..., 0] + x[..., 1:] @ weight).masked_fill(~mask, -1e9)
        right = torch.logsumexp(score.masked_fill(exact == 0, -1e9), 1)
        loss = (torch.logsumexp(score, 1) - right).mean() + 1e-3 * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return dict(zip(FUSED, (round(w, 4) for w in weight.tolist())))


def winners(rows, fusion):
    """Share and best candidate of the answer that a fusion puts first, as mix.merge does."""
    found = []
    for r in rows:
        score = np.array([c["span"] + sum(fusion[f] * c[f] for f in FUSED) for c in r["candidates"]])
        weight = np.exp(score - score.max())
        groups = {}
        for c, w in zip(r["candidates"], weight):
            groups[c["key"]] = groups.get(c["key"], 0) + w
        key = max(groups, key=groups.get)
        best = max((s, j) for j, (s, c) in enumerate(zip(score, r["candidates"])) if c["key"] == key)[1]
        found.append((groups[key] / weight.sum(), r["candidates"][best]))
    return found


def logit(p):
    p = np.clip(p, 1e-3, 1 - 1e-3)
    return np.log(p / (1 - p))


def fit_calibration(rows, won, unanswerable_share):
    """Logistic regression in which questions without an answer weigh unanswerable_share of the whole."""
    can = torch.tensor([r["answerable"] for r in rows])
    weigh = torch.where(can, (1 - unanswerable_share) / can.double().mean(), unanswerable_share / (~can).double().mean())
    x = torch.tensor([[1, logit(s), c["local"], c["relevance"], c["answerable"]] for s, c in won], dtype=torch.float64)
    y = torch.tensor([float(c["exact"] and r["answerable"]) for r, (_, c) in zip(rows, won)], dtype=torch.float64)
    weight = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=200)

    def closure():
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(x @ weight, y, weight=weigh) + 1e-3 * weight[1:].square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    probability = torch.sigmoid(x @ weight).detach().numpy()
    return dict(zip(("bias", "share", "local", "relevance", "answerable"), (round(w, 4) for w in weight.tolist()))), probability, y.numpy(), weigh.numpy()


def expected_calibration_error(probability, right, weigh, bins=10):
    at = np.minimum((probability * bins).astype(int), bins - 1)
    return 100 * sum(abs(((probability - right) * weigh)[at == b].sum()) for b in range(bins)) / weigh.sum()


def choose_threshold(rows, won, probability):
    """The threshold with the best mean score, an unanswerable question counting as right when abstained and an answerable one
    by its F1 when answered; answerable and unanswerable questions weigh the same."""
    can = np.array([r["answerable"] for r in rows])
    gain = np.array([c["f1"] if r["answerable"] else 0.0 for r, (_, c) in zip(rows, won)])
    if can.all():
        return 0.0
    best = max((np.where(probability >= t, gain, ~can).astype(float)[can].mean() +
                np.where(probability >= t, gain, ~can).astype(float)[~can].mean(), -t) for t in np.arange(0, 0.6, 0.01))
    return round(float(-best[1]), 2)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--features", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--unanswerable-share", type=float, default=0.25, help="of the questions that a user is expected to ask")
    o = p.parse_args()
    with gzip.open(o.features, "rt", encoding="utf8") as f:
        rows = [json.loads(line) for line in f]
    settings = {}
    for name in ("open", "paragraph"):
        mine = [r for r in rows if r["setting"] == name and r["candidates"]]
        fusion = fit_fusion(mine)
        won = winners(mine, fusion)
        calibration, probability, right, weigh = fit_calibration(mine, won, o.unanswerable_share)
        threshold = choose_threshold(mine, won, probability)
        settings[name] = {"fusion": fusion, "calibration": calibration, "threshold": threshold}
        can = [(r, c) for r, (_, c) in zip(mine, won) if r["answerable"]]
        plain = [max(r["candidates"], key=lambda c: c["span"]) for r, _ in can]
        print(name, f"{len(mine)} questions, {len(can)} answerable: EM {100 * np.mean([c['exact'] for _, c in can]):.1f}, "
              f"F1 {100 * np.mean([c['f1'] for _, c in can]):.1f} (by the span alone {100 * np.mean([c['f1'] for c in plain]):.1f}); "
              f"calibration error {expected_calibration_error(probability, right, weigh):.1f} points (on the data of the fit)", settings[name])
    with open(o.out, "w", encoding="utf8") as f:
        json.dump(settings, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
