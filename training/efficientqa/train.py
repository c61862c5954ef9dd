"""Trains the phrase model: candidates, phrase vectors and question vectors in one loss.

    python train.py --reader ../../models/mix-12x384 --data DATA/qa --out runs/phrase-12

The learning rate is constant until the last --decay of the steps. A checkpoint holds the trained tensors, optimiser and position, so
--resume continues where a run stopped; with another --steps it ends there.
"""
import argparse
import collections
import json
import os
import time

import torch
import torch.distributed as dist
from transformers import BertTokenizerFast

import evaluate
import passages as p_
from passages import data
from phrase import FORMS, from_folder, from_reader


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--reader", required=True, help="folder of the joint reader to begin with")
    p.add_argument("--start", help="folder of a phrase model to go on from, as folder.py writes it; then --warm 0")
    p.add_argument("--data", required=True, help="folder with train_paragraph.jsonl.gz and train_sentence.jsonl.gz")
    p.add_argument("--squad", action="append", default=[], help="further training file in SQuAD's JSON format")
    p.add_argument("--out", required=True)
    p.add_argument("--form", choices=FORMS, help="that of --start, else shared")
    p.add_argument("--pooling", choices=("mean", "first", "cls"), default="mean",
                   help="of a text's tokens; first: those of a pair's first text, the candidate")
    p.add_argument("--split", type=int, default=6, help="layers kept from the reader as they are")
    p.add_argument("--steps", type=int, default=1250)
    p.add_argument("--warm", type=int, default=170, help="first steps, on sentences only")
    p.add_argument("--decay", type=float, default=0.4)
    p.add_argument("--batch", type=int, default=8, help="passages")
    p.add_argument("--questions", type=int, default=8, help="questions of a passage, at most")
    p.add_argument("--candidates", type=int, default=40, help="of a passage, beside its answers")
    p.add_argument("--words", type=int, default=130)
    p.add_argument("--sentences", type=float, default=0.25, help="share of batches of joined sentences after the warm-up")
    p.add_argument("--others", type=float, default=0.2, help="share of paragraph batches that are not SQuAD-like")
    p.add_argument("--prior", type=float, default=0.5, help="weight of the extractor's log-score in the loss")
    p.add_argument("--extractor", type=float, default=1.0, help="weight of the extractor's loss")
    p.add_argument("--lr", type=float, default=1.5e-4)
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--workers", type=int, default=2, help="processes, each with its own batch; a step is the mean of theirs")
    p.add_argument("--threads", type=int, default=1, help="of each worker")
    p.add_argument("--evaluate-every", type=int, default=350, help="steps")
    p.add_argument("--judged", type=int, default=0, help="passages of those held out that are judged, 0: all")
    p.add_argument("--ks", type=lambda v: [int(x) for x in v.split(",")], default=[20, 50, 100], help="candidates kept when judged")
    p.add_argument("--resume", action="store_true")
    return p.parse_args()


def choose(o, e, batch, scores):
    """The spans of each passage that a question is matched against: the extractor's best, some at random among the following, and
    the answers. Returns spans [P, C, 2], their normalised texts (empty: no candidate) and the answers' spans of each passage."""
    best, more = o.candidates * 2 // 3, o.candidates // 3
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
    scores = model.span_scores(encoded[1], p_.allowed_spans(tokenizer, e, len(model.width)))
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


def share_gradients(parameters, workers):
    """Replaces every gradient by its mean over the workers."""
    if workers == 1:
        return
    flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters])
    dist.all_reduce(flat)
    for p, g in zip(parameters, (flat / workers).split([p.numel() for p in parameters])):
        p.grad = g.view_as(p)


class Log:
    """Prints and keeps what the first worker reports; sums what happens between two reports."""

    def __init__(self, path, first):
        self.file = open(path, "a", encoding="utf8") if first else None
        self.begun, self.sums, self.counted = time.time(), collections.Counter(), 0

    def report(self, **fields):
        if self.file:
            print(fields, flush=True)
            self.file.write(json.dumps(fields) + "\n")
            self.file.flush()

    def add(self, parts):
        self.sums.update({k: float(v.detach()) for k, v in parts.items()})
        self.counted += 1

    def means(self, **fields):
        minutes = {"minutes": round((time.time() - self.begun) / 60, 1), "cpu_minutes": round(time.process_time() / 60, 1)}
        self.report(**fields, **{k: round(v / self.counted, 4) for k, v in self.sums.items()}, **minutes)
        self.sums, self.counted = collections.Counter(), 0


def optimiser_of(o, parameters):
    groups = [{"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.01},
              {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=o.lr, betas=(0.9, 0.98), fused=True)


def work(rank, o):
    """One worker's run: its own share of the batches, the same weights as the others after every step."""
    torch.set_num_threads(o.threads)
    if o.workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{os.path.abspath(o.out)}/meeting", rank=rank, world_size=o.workers)
    train, held = p_.read(o.data, o.squad)
    held = data.shuffled(data.rng("judged"), held)[:o.judged or len(held)]
    batches = p_.Batches(o, train)
    settings = {"form": o.form or "shared", "pooling": o.pooling, "split": o.split, "width_max": 20, "dropout": o.dropout}
    torch.manual_seed(o.seed)
    model = from_folder(o.start, o.reader, o.dropout, o.form) if o.start else from_reader(o.reader, **settings)
    o.form = settings["form"] = model.config["form"]
    model.quicken().train()
    tokenizer = BertTokenizerFast(vocab_file=f"{o.reader}/vocab.txt", do_lower_case=True)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = optimiser_of(o, parameters)
    step, checkpoint = 0, f"{o.out}/checkpoint.pt"
    if o.resume and os.path.exists(checkpoint):
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"], strict=False)
        optimiser.load_state_dict(saved["optimiser"])
        step = saved["step"]
    for at in range(step * o.workers):
        batches.draw(at < o.warm * o.workers)
    torch.manual_seed(o.seed + 1000 * step + rank)
    log = Log(f"{o.out}/log.jsonl", rank == 0)
    log.report(options=vars(o), passages=batches.counts, held_out=len(held))
    saved_at = time.time()
    while step < o.steps:
        for g in optimiser.param_groups:
            g["lr"] = o.lr * min((step + 1) / 100, 1, max(0.02, (o.steps - step) / (o.decay * o.steps)))
        batch = [batches.draw(step < o.warm) for _ in range(o.workers)][rank]
        with model.autocast():
            loss, parts = loss_of(o, model, tokenizer, batch)
        loss.backward()
        share_gradients(parameters, o.workers)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        log.add(parts)
        if step % 50 == 0:
            log.means(step=step, of=o.steps, scale=round(float(model.log_scale.detach().exp()), 2))
        if rank > 0:
            continue
        if step % o.evaluate_every == 0 or step == o.steps:
            weights = (0, 0.25, 0.5, 0.75, 1.0, 1.25)
            found = evaluate.score(model, tokenizer, held, o.ks, weights)
            model.train()
            log.report(step=step, held_out=evaluate.percent([found], o.ks, weights))
        if time.time() - saved_at > 240 or step == o.steps:
            torch.save({"model": trained(model), "optimiser": optimiser.state_dict(), "step": step, "settings": settings,
                        "options": vars(o)}, checkpoint + ".new")
            os.replace(checkpoint + ".new", checkpoint)
            saved_at = time.time()


def main():
    o = options()
    os.makedirs(o.out, exist_ok=True)
    if os.path.exists(f"{o.out}/meeting"):
        os.remove(f"{o.out}/meeting")
    if o.workers == 1:
        work(0, o)
    else:
        torch.multiprocessing.spawn(work, (o,), nprocs=o.workers)


if __name__ == "__main__":
    main()
