"""Scores a phrase model: recall of its candidates, and the PIQA protocol (the best phrase of the question's own passage).

    python evaluate.py --reader ../../models/mix-12x384 --run runs/phrase-12 --data DATA/qa/squad-1.1-dev.json.gz
    python evaluate.py --reader ../../models/mix-12x384 --run runs/phrase-12 --data DATA/qa --held-out
    python evaluate.py --reader ../../models/mix-12x384 --model ../../models/phrase-12x384 --data DATA/qa/squad-1.1-dev.json.gz

Contexts and questions are encoded apart and meet only in an inner product.
"""
import argparse
import collections
import functools
import json
import sys
import time

import torch
from transformers import BertTokenizerFast

import passages as p_
from phrase import from_folder, from_run
from passages import data


def best_spans(scores, k):
    """The k best spans of one passage: values and [k, 2] token numbers."""
    flat = scores.flatten()
    values, at = flat.topk(min(k, flat.numel()))
    values, at = values[values > -1e3], at[values > -1e3]
    first = at // scores.shape[1]
    return values, torch.stack([first, first + at % scores.shape[1]], -1)


def distinct(text, offsets, values, spans, k):
    """The k best spans whose normalised texts differ: [(first token, last token, text, value, first character)]."""
    seen, kept = set(), []
    for value, (s, t) in zip(values.tolist(), spans.tolist()):
        answer = text[offsets[s][0]:offsets[t][1]]
        key = data.normalise(answer)
        if key and key not in seen:
            seen.add(key)
            kept.append((s, t, answer, value, offsets[s][0]))
            if len(kept) == k:
                break
    return kept


def spread(kept, k, penalty):
    """k of `distinct`'s spans, one after another: the one that then has the largest value, less `penalty` times its overlap
    (characters in common, of those that either has) with each one taken before."""
    begin = torch.tensor([at for *_, at in kept])
    end = begin + torch.tensor([len(answer) for _, _, answer, _, _ in kept])
    left, taken = torch.tensor([value for *_, value, _ in kept], dtype=torch.float64), []
    for _ in range(min(k, len(kept))):
        i = int(left.argmax())
        taken.append(kept[i])
        common = (torch.minimum(end, end[i]) - torch.maximum(begin, begin[i])).clamp_min(0)
        left = left - penalty * common / (torch.maximum(end, end[i]) - torch.minimum(begin, begin[i]))
        left[i] = -torch.inf
    return taken


@torch.inference_mode()
def candidates_of(model, tokenizer, texts, k, length_max=384, batch=16):
    """Per passage {candidates: [(s, t, text, log-score, character)], vectors [C, d − 1]}; what the context side knows."""
    model.eval()
    penalty = model.config["overlap"]
    out = [None] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for at in range(0, len(order), batch):
        ids = order[at:at + batch]
        e = p_.tokenise(tokenizer, [texts[i] for i in ids], length_max, empty_first=True)
        encoded = model.encode(e)
        scores = model.span_scores(encoded[1], p_.allowed_spans(tokenizer, e, len(model.width)))
        total = scores.flatten(1).logsumexp(1)
        kept = []
        for j, i in enumerate(ids):
            offsets = [tuple(o) for o in e.encodings[j].offsets]
            values, spans = best_spans(scores[j], 8 * k)
            kept.append(spread(distinct(texts[i], offsets, values - total[j], spans, 2 * k), k, penalty))
        spans = torch.zeros(len(ids), max(1, max(map(len, kept))), 2, dtype=torch.long)
        for j, c in enumerate(kept):
            spans[j, :len(c)] = torch.tensor([x[:2] for x in c]).reshape(-1, 2)
        vectors = None
        if model.config["form"] in ("shared", "ends"):
            vectors = model.phrases(*encoded, spans)
        for j, i in enumerate(ids):
            out[i] = {"candidates": kept[j], "vectors": None if vectors is None else vectors[j, :len(kept[j])]}
    if model.config["form"] in ("pair", "alone"):
        for text, o in zip(texts, out):
            o["vectors"] = pair_vectors(model, tokenizer, text, o["candidates"])
    return out


def pair_vectors(model, tokenizer, text, candidates):
    """One encoder pass a candidate: `[CLS] answer [SEP] context [SEP]`, or the answer alone."""
    answers = [c[2] for c in candidates]
    if model.config["form"] == "alone":
        return model.pooled(p_.tokenise(tokenizer, answers, 64))
    contexts = [p_.surroundings(text, c[4], c[4] + len(c[2])) for c in candidates]
    e = tokenizer(answers, contexts, truncation="only_second", max_length=384, padding="longest", return_tensors="pt")
    return model.pooled(e)


@torch.inference_mode()
def question_vectors(model, tokenizer, questions, batch=64):
    model.eval()
    order = sorted(range(len(questions)), key=lambda i: len(questions[i]))
    out = torch.zeros(len(questions), model.config["hidden_size"] - 1)
    for at in range(0, len(order), batch):
        ids = order[at:at + batch]
        out[ids] = model.pooled(p_.tokenise(tokenizer, [questions[i] for i in ids], 64))
    return out


def f1(prediction, gold):
    """F1 of two lists of words."""
    common = sum((collections.Counter(prediction) & collections.Counter(gold)).values())
    return 2 * common / (len(prediction) + len(gold)) if common else 0.0


def scored(texts, golds):
    """A function from a candidate's number to (exact match, F1), the best over the gold answers."""
    keys, right = [data.normalise(t) for t in texts], [data.normalise(g) for g in golds]
    words = [r.split() for r in right]
    return functools.cache(lambda i: (keys[i] in right, max(f1(keys[i].split(), w) for w in words)))


def both_sides(model, tokenizer, passages, k):
    """What the context side and the question side compute, each by itself: candidates and vectors of every passage, scaled vectors
    of all questions [Q, d − 1], and the processor seconds of the former."""
    begun = time.process_time()
    encoded = candidates_of(model, tokenizer, [p["text"] for p in passages], k)
    seconds = time.process_time() - begun
    questions = [q for p in passages for q, _ in p["questions"]]
    return encoded, float(model.log_scale.detach().exp()) * question_vectors(model, tokenizer, questions), seconds


def score_open(model, tokenizer, passages, k, weights):
    """EM and F1 of the best match among the candidates of *all* passages, and how often it is in the question's own."""
    encoded, match, _ = both_sides(model, tokenizer, passages, k)
    vectors, prior = torch.cat([c["vectors"] for c in encoded]), torch.tensor([x[3] for c in encoded for x in c["candidates"]])
    texts = [x[2] for c in encoded for x in c["candidates"]]
    home = [i for i, c in enumerate(encoded) for _ in c["candidates"]]
    asked = [(i, [p["text"][a:b] for a, b in spans]) for i, p in enumerate(passages) for _, spans in p["questions"]]
    found = {}
    for w in weights:
        best = torch.cat([(part @ vectors.T + w * prior).argmax(1) for part in match.split(128)]).tolist()
        judged = [(*scored([texts[b]], golds)(0), home[b] == i) for b, (i, golds) in zip(best, asked)]
        found[w] = [round(100 * sum(j[n] for j in judged) / len(asked), 2) for n in range(3)]
    return {"questions": len(asked), "vectors": len(texts), "exact_f1_passage": found}


def score(model, tokenizer, passages, ks, weights):
    """Recall of the best K, oracle F1, and EM and F1 of the best match for every K and every weight of the log-score (in units of
    scale · cosine)."""
    encoded, match, contexts = both_sides(model, tokenizer, passages, max(ks))
    exact, overlap, at, vectors = collections.Counter(), collections.Counter(), 0, collections.Counter()
    for p, c in zip(passages, encoded):
        texts = [x[2] for x in c["candidates"]]
        prior = torch.tensor([x[3] for x in c["candidates"]])
        for k in ks:
            vectors[k] += min(k, len(texts))
        for _, spans in p["questions"]:
            judge = scored(texts, [p["text"][a:b] for a, b in spans])
            similar = c["vectors"] @ match[at]
            at += 1
            for k in ks:
                each = [judge(i) for i in range(min(k, len(texts)))]
                exact[k, "oracle"] += max(e for e, _ in each)
                overlap[k, "oracle"] += max(f for _, f in each)
                for w in weights:
                    best = each[int((similar[:k] + w * prior[:k]).argmax())]
                    exact[k, w] += best[0]
                    overlap[k, w] += best[1]
    return {"questions": len(match), "passages": len(passages), "cpu_s_contexts": round(contexts, 1), "exact": exact, "f1": overlap,
            "vectors": vectors}


def percent(parts, ks, weights):
    """The scores of several sets of passages, put together and divided by their questions and passages."""
    total = {key: sum((part[key] for part in parts), type(parts[0][key])()) for key in parts[0]}
    share = lambda kind, k, w: round(100 * total[kind][k, w] / total["questions"], 2)
    return {"questions": total["questions"], "passages": total["passages"], "cpu_s_contexts": total["cpu_s_contexts"],
            "vectors": {k: round(total["vectors"][k] / total["passages"], 1) for k in ks},
            "recall": {k: share("exact", k, "oracle") for k in ks}, "oracle_f1": {k: share("f1", k, "oracle") for k in ks},
            "exact_f1": {k: {w: (share("exact", k, w), share("f1", k, w)) for w in weights} for k in ks}}


def part(job):
    """The scores of one share of the passages, in a process of its own."""
    o, passages = job
    torch.set_num_threads(1)
    tokenizer = BertTokenizerFast(vocab_file=f"{o.reader}/vocab.txt", do_lower_case=True)
    model = (from_folder(o.model, o.reader) if o.model else from_run(o.reader, o.run)).quicken()
    if o.open:
        return score_open(model, tokenizer, passages, o.candidates, o.weights)
    return score(model, tokenizer, passages, o.ks, o.weights)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--reader", required=True)
    p.add_argument("--run", help="folder with a checkpoint")
    p.add_argument("--model", help="folder that folder.py wrote, in place of --run")
    p.add_argument("--data", required=True)
    p.add_argument("--held-out", action="store_true")
    p.add_argument("--open", action="store_true", help="match against the candidates of all passages")
    p.add_argument("--candidates", type=int, default=50, help="of a passage, with --open")
    p.add_argument("--weights", type=lambda v: [float(x) for x in v.split(",")], default=[0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5],
                   help="of the log-score")
    p.add_argument("--ks", type=lambda v: [int(x) for x in v.split(",")], default=[5, 10, 20, 30, 50, 75, 100],
                   help="candidates kept of a passage")
    p.add_argument("--passages", type=int, default=0, help="so many, drawn at random")
    p.add_argument("--workers", type=int, default=2, help="processes that share the passages")
    o = p.parse_args()
    passages = p_.read(o.data)[1] if o.held_out else p_.test_set(o.data)
    if o.passages:
        passages = data.shuffled(data.rng("sample"), passages)[:o.passages]
    if o.open:
        found = part((o, passages))
    else:
        with torch.multiprocessing.get_context("spawn").Pool(o.workers) as pool:
            found = percent(pool.map(part, [(o, passages[i::o.workers]) for i in range(o.workers)]), o.ks, o.weights)
    json.dump(found, sys.stdout)
    print()


if __name__ == "__main__":
    main()
