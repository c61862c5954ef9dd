"""Fits how the parts of a reader's answer are combined and calibrated, on held-out training questions, and writes reader.json.

    go run ./bench/fusion -model models/mix-12x384 -data DATA/qa -out features.jsonl.gz
    python fuse.py --features features.jsonl.gz --out models/mix-12x384/reader.json

A line of the features is one question in one situation:
{"id", "setting": "open"|"paragraph", "kind": KIND, "candidates": [{"key", "exact", "f1", "span", "local", "relevance", "answerable", "bm25"}, …]}
with candidates in the order of the span feature; "key" is the normalised text. The weights maximise the likelihood of right
candidates among all; the calibration is a logistic regression of "the answer is exactly right" on the winner. One fit for each of
three situations, which differ in what may be asked (SHARES): passages of a collection, a paragraph that may not answer, a
paragraph that is known to.
"""
import argparse
import gzip
import json
import zlib

import numpy as np
import torch

FUSED = ("local", "relevance", "answerable", "bm25")
# Parts of the whole that each kind of question weighs in the calibration: what a user is expected to ask. Where it is not known
# whether a paragraph answers, the odds are even, and most of what it does not answer looks as if it did.
SHARES = {
    "open": {"answerable": 0.75, "other": 0.25},
    "paragraph": {"answerable": 0.5, "real": 0.5},
    "answered": {"answerable": 1.0},
}
FOLDS = 5
# What ranks the candidates, for the ablation: everything ships.
PARTS = {"everything": FUSED, "without the scorer": ("local", "bm25"), "without BM25": ("local", "relevance", "answerable"), "the span alone": ()}


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


def fit_fusion(rows, used=FUSED):
    """Weights of the other features beside a span weight of 1 (conditional logit over the candidates of a question); 0 for those
    that are not used."""
    x, exact, _, mask = tensors([r for r in rows if r["kind"] == "answerable"])
    some = exact.sum(1) > 0
    x, exact, mask = x[some], exact[some], mask[some]
    free = torch.tensor([float(f in used) for f in FUSED])
    weight = torch.zeros(len(FUSED), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=200)

    def closure():
        optimiser.zero_grad()
        score = (x[..., 0] + x[..., 1:] @ (free * weight)).masked_fill(~mask, -1e9)
        right = torch.logsumexp(score.masked_fill(exact == 0, -1e9), 1)
        loss = (torch.logsumexp(score, 1) - right).mean() + 1e-3 * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return dict(zip(FUSED, (round(w, 4) for w in (free * weight).tolist())))


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


def fit_calibration(rows, won, shares):
    """Logistic regression in which each kind of question weighs its share of the whole."""
    weigh = torch.tensor(weights(rows, shares))
    x = regressors(won)
    y = torch.tensor(right(rows, won))
    weight = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=200)

    def closure():
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(x @ weight, y, weight=weigh) + 1e-3 * weight[1:].square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return dict(zip(("bias", "share", "local", "relevance", "answerable", "sure"), (round(w, 4) for w in weight.tolist())))


def regressors(won):
    return torch.tensor([[1, logit(s), c["local"], c["relevance"], c["answerable"], 1 / (1 + np.exp(-c["answerable"]))] for s, c in won],
                        dtype=torch.float64)


def probabilities(calibration, won):
    return torch.sigmoid(regressors(won) @ torch.tensor(list(calibration.values()), dtype=torch.float64)).numpy()


def weights(rows, shares):
    """Weight of each row, 1 on average, so that every kind has its share."""
    count = {kind: sum(r["kind"] == kind for r in rows) for kind in shares}
    return np.array([shares[r["kind"]] * len(rows) / count[r["kind"]] for r in rows])


def right(rows, won):
    return np.array([float(c["exact"] and r["kind"] == "answerable") for r, (_, c) in zip(rows, won)])


def expected_calibration_error(probability, y, weigh, bins=10):
    at = np.minimum((probability * bins).astype(int), bins - 1)
    return 100 * sum(abs(((probability - y) * weigh)[at == b].sum()) for b in range(bins)) / weigh.sum()


def choose_threshold(rows, won, probability, weigh):
    """The threshold with the best mean score, an unanswerable question counting as right when abstained and an answerable one
    by its F1 when answered; answerable and unanswerable questions weigh the same."""
    can = np.array([r["kind"] == "answerable" for r in rows])
    if can.all():
        return 0.0
    gain = np.array([c["f1"] for _, c in won])

    def score(t):
        said = np.where(probability >= t, gain * can, ~can)
        return np.average(said[can], weights=weigh[can]) + np.average(said[~can], weights=weigh[~can])

    return round(float(max(np.arange(0, 0.6, 0.01), key=lambda t: (score(t), -t))), 2)


def fit(rows, shares, used=FUSED):
    fusion = fit_fusion(rows, used)
    won = winners(rows, fusion)
    calibration = fit_calibration(rows, won, shares)
    return {"fusion": fusion, "calibration": calibration,
            "threshold": choose_threshold(rows, won, probabilities(calibration, won), weights(rows, shares))}


def cross_validated(rows, shares, used=FUSED):
    """EM and F1 of answerable questions and calibration error, all on folds that the fit did not see."""
    exact, overlap, ps, ys = [], [], np.zeros(len(rows)), np.zeros(len(rows))
    folds = np.array([zlib.crc32(r["id"].encode()) % FOLDS for r in rows])
    for fold in range(FOLDS):
        inside = np.flatnonzero(folds == fold)
        if not len(inside):
            continue
        test = [rows[i] for i in inside]
        setting = fit([r for r, f in zip(rows, folds) if f != fold], shares, used)
        won = winners(test, setting["fusion"])
        ps[inside], ys[inside] = probabilities(setting["calibration"], won), right(test, won)
        for r, (_, c) in zip(test, won):
            if r["kind"] == "answerable":
                exact.append(c["exact"])
                overlap.append(c["f1"])
    error = expected_calibration_error(ps, ys, weights(rows, shares))
    return 100 * np.mean(exact), 100 * np.mean(overlap), error


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--features", required=True)
    p.add_argument("--out", required=True)
    o = p.parse_args()
    with gzip.open(o.features, "rt", encoding="utf8") as f:
        rows = [json.loads(line) for line in f]
    settings = {}
    for name, shares in SHARES.items():
        mine = [r for r in rows if r["setting"] == ("open" if name == "open" else "paragraph") and r["kind"] in shares and r["candidates"]]
        settings[name] = fit(mine, shares)
        print(f"{name}: {len(mine)} readings, cross-validated; EM and F1 of the answerable")
        for what, used in PARTS.items():
            print("  {:22} EM {:5.1f}  F1 {:5.1f}  calibration error {:4.1f} points".format(what, *cross_validated(mine, shares, used)))
        print(" ", settings[name])
    with open(o.out, "w", encoding="utf8") as f:
        json.dump(settings, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
