"""Trains the phrase model: candidates, phrase vectors and question vectors in one loss.

    python train.py --reader ../../models/mix-12x384 --data DATA/qa --out runs/phrase-12

The learning rate is constant until the last --decay of the steps. A checkpoint holds the trained tensors, optimiser and position, so
--resume continues where a run stopped; with another --steps it ends there.
"""
import argparse
import json
import os
import time

import torch
from transformers import BertTokenizerFast

import evaluate
import passages as p_
from passages import data
from phrase import FORMS, from_reader


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--reader", required=True, help="folder of the joint reader to begin with")
    p.add_argument("--data", required=True, help="folder with train_paragraph.jsonl.gz and train_sentence.jsonl.gz")
    p.add_argument("--squad", action="append", default=[], help="further training file in SQuAD's JSON format")
    p.add_argument("--out", required=True)
    p.add_argument("--form", choices=FORMS, default="shared")
    p.add_argument("--pooling", choices=("mean", "cls"), default="mean")
    p.add_argument("--split", type=int, default=6, help="layers kept from the reader as they are")
    p.add_argument("--steps", type=int, default=3600)
    p.add_argument("--warm", type=int, default=400, help="first steps, on sentences only")
    p.add_argument("--decay", type=float, default=0.4)
    p.add_argument("--batch", type=int, default=8, help="passages")
    p.add_argument("--questions", type=int, default=8, help="questions of a passage, at most")
    p.add_argument("--candidates", type=int, default=40, help="of a passage, beside its answers")
    p.add_argument("--words", type=int, default=130)
    p.add_argument("--sentences", type=float, default=0.25, help="share of batches of joined sentences after the warm-up")
    p.add_argument("--others", type=float, default=0.2, help="share of paragraph batches that are not SQuAD-like")
    p.add_argument("--prior", type=float, default=0.25, help="weight of the extractor's log-score in the loss")
    p.add_argument("--extractor", type=float, default=0.5, help="weight of the extractor's loss")
    p.add_argument("--lr", type=float, default=1e-4)
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--evaluate-every", type=int, default=600, help="steps")
    p.add_argument("--resume", action="store_true")
    return p.parse_args()


def choose(o, e, batch, scores):
    """The spans of each passage that a question is matched against: the extractor's best, some at random among the following, and
    the answers. Returns spans [P, C, 2], their normalised texts (empty: no candidate) and the answers' spans of each passage."""
    few = o.form in ("pair", "alone")
    best, more = (6, 4) if few else (o.candidates * 2 // 3, o.candidates // 3)
    lists, keys, golds = [], [], []
    for i, passage in enumerate(batch):
        _, spans = evaluate.best_spans(scores[i], 4 * o.candidates)
        spans = torch.cat([spans[:best], spans[best:][torch.randperm(max(0, len(spans) - best))[:more]]])
        found = {p_.token_span(e, i, g) for g in passage["golds"]}
        golds.append([g for g in found if g and 0 <= g[1] - g[0] < scores.shape[2] and scores[i, g[0], g[1] - g[0]] > -1e3])
        asked = {p_.token_span(e, i, g) for _, spans_ in passage["questions"] for g in spans_}
        chosen = list(dict.fromkeys([g for g in golds[-1] if g in asked] + [tuple(s) for s in spans.tolist()]))
        offsets = e.encodings[i].offsets
        lists.append(chosen)
        keys.append([data.normalise(passage["text"][offsets[s][0]:offsets[t][1]]) for s, t in chosen])
    most = max(map(len, lists))
    spans = torch.tensor([c + [(0, 0)] * (most - len(c)) for c in lists])
    return spans, [k + [""] * (most - len(k)) for k in keys], golds


def vectors_of(o, model, tokenizer, e, batch, encoded, spans, keys):
    """[P, C, d − 1]"""
    if o.form in ("shared", "ends"):
        return model.phrases(*encoded, spans)
    answers, contexts, where = [], [], []
    for i, passage in enumerate(batch):
        offsets = e.encodings[i].offsets
        for j, (s, t) in enumerate(spans[i].tolist()):
            if keys[i][j]:
                start, end = offsets[s][0], offsets[t][1]
                answers.append(passage["text"][start:end])
                contexts.append(p_.surroundings(passage["text"], start, end))
                where.append((i, j))
    if o.form == "alone":
        texts = p_.tokenise(tokenizer, answers, 64)
    else:
        texts = tokenizer(answers, contexts, truncation="only_second", max_length=256, padding="longest", return_tensors="pt")
    found = model.pooled(texts)
    out = found.new_zeros(*spans.shape[:2], found.shape[-1])
    i, j = torch.tensor(where).T
    out[i, j] = found
    return out


def extractor_loss(scores, golds):
    """Every answer of a passage has an equal share of the softmax over all spans."""
    logs = scores.flatten(1).log_softmax(1).view_as(scores)
    each = [torch.stack([logs[i, s, t - s] for s, t in g]).mean() for i, g in enumerate(golds) if g]
    return -torch.stack(each).mean() if each else scores.sum() * 0


def match_loss(match, own, right, elsewhere):
    """Softmax over the candidates of the question's own passage, and over those of the whole batch. All [Q, candidates]:
    own: of its passage; right: has the answer's text; elsewhere: has it in another passage, which says nothing."""
    asked = right.any(1)
    low = lambda keep: match.masked_fill(~keep, -1e9).logsumexp(1)
    there = ~elsewhere & (match > -1e8)
    inside, everywhere = (low(own) - low(right))[asked], (low(there) - low(right))[asked]
    hit = match.masked_fill(~own, -1e9).argmax(1, keepdim=True)
    return inside.mean(), everywhere.mean(), right.gather(1, hit)[asked].float().mean()


def loss_of(o, model, tokenizer, batch):
    e = p_.tokenise(tokenizer, [p["text"] for p in batch], 384, empty_first=True)
    encoded = model.encode(e)
    _, last, mask, _ = encoded
    grid = last.new_zeros(*mask.shape, last.shape[-1])
    grid[mask] = last
    scores = model.span_scores(grid, p_.allowed_spans(tokenizer, e, len(model.width)))
    with torch.no_grad():
        spans, keys, golds = choose(o, e, batch, scores)
        prior = (scores - scores.flatten(1).logsumexp(1)[:, None, None])[
            torch.arange(len(batch))[:, None], spans[..., 0], spans[..., 1] - spans[..., 0]]
    phrases = vectors_of(o, model, tokenizer, e, batch, encoded, spans, keys)
    asked = [(i, q, {data.normalise(p["text"][a:b]) for a, b in gs}) for i, p in enumerate(batch) for q, gs in p["questions"]]
    questions = model.pooled(p_.tokenise(tokenizer, [q for _, q, _ in asked], 64))
    match = model.log_scale.exp() * questions @ phrases.flatten(0, 1).T + o.prior * prior.flatten()
    flat = [k for row in keys for k in row]
    valid = torch.tensor([bool(k) for k in flat])
    passage = torch.arange(len(batch)).repeat_interleave(spans.shape[1])
    own = (torch.tensor([i for i, _, _ in asked])[:, None] == passage) & valid
    same = torch.tensor([[k in right and bool(k) for k in flat] for _, _, right in asked])
    match = match.masked_fill(~valid, -1e9)
    inside, everywhere, hit = match_loss(match, own, own & same, ~own & same)
    extractor = extractor_loss(scores, golds)
    share = o.extractor * (1.0 if batch[0]["kind"] == "near" else 0.3)
    return inside + 0.5 * everywhere + share * extractor, {"own": inside, "all": everywhere, "extractor": extractor, "hit": hit}


def trained(model):
    names = {n for n, p in model.named_parameters() if p.requires_grad}
    return {n: v for n, v in model.state_dict().items() if n in names}


def main():
    o = options()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    os.makedirs(o.out, exist_ok=True)
    train, held = p_.read(o.data, o.squad)
    batches = p_.Batches(o, train)
    settings = {"form": o.form, "pooling": o.pooling, "split": o.split, "width_max": 20, "dropout": o.dropout}
    model = from_reader(o.reader, **settings).train()
    tokenizer = BertTokenizerFast(vocab_file=f"{o.reader}/vocab.txt", do_lower_case=True)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW([{"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.01},
                                   {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0}],
                                  lr=o.lr, betas=(0.9, 0.98), fused=True)
    step, checkpoint = 0, f"{o.out}/checkpoint.pt"
    if o.resume and os.path.exists(checkpoint):
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"], strict=False)
        optimiser.load_state_dict(saved["optimiser"])
        step = saved["step"]
        torch.manual_seed(o.seed + step)
        for at in range(step):
            batches.draw(at < o.warm)
    log = open(f"{o.out}/log.jsonl", "a", encoding="utf8")

    def report(**fields):
        print(fields, flush=True)
        log.write(json.dumps(fields) + "\n")
        log.flush()

    report(options=vars(o), passages=batches.counts, held_out=len(held))
    begun, saved_at, sums, counted = time.time(), time.time(), {}, 0
    while step < o.steps:
        for g in optimiser.param_groups:
            g["lr"] = o.lr * min((step + 1) / 100, 1, max(0.02, (o.steps - step) / (o.decay * o.steps)))
        loss, parts = loss_of(o, model, tokenizer, batches.draw(step < o.warm))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step, counted = step + 1, counted + 1
        for k, v in parts.items():
            sums[k] = sums.get(k, 0) + float(v.detach())
        if step % 50 == 0:
            report(step=step, of=o.steps, **{k: round(v / counted, 4) for k, v in sums.items()},
                   scale=round(float(model.log_scale.exp()), 2), minutes=round((time.time() - begun) / 60, 1),
                   cpu_minutes=round(time.process_time() / 60, 1))
            sums, counted = {}, 0
        if step % o.evaluate_every == 0 or step == o.steps:
            found = evaluate.score(model, tokenizer, held, ks=(20, 50, 100), weights=(0, 0.25, 0.5, 0.75))
            model.train()
            report(step=step, held_out=found)
        if time.time() - saved_at > 240 or step == o.steps:
            torch.save({"model": trained(model), "optimiser": optimiser.state_dict(), "step": step, "settings": settings,
                        "options": vars(o)}, checkpoint + ".new")
            os.replace(checkpoint + ".new", checkpoint)
            saved_at = time.time()


if __name__ == "__main__":
    main()
