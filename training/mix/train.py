"""Trains the joint reader: sentences first, then passages with BM25 negatives.

    python train.py --encoder ENCODERS/bge-small --data DATA/qa --out runs/reader-12

Every checkpoint holds model, optimiser and position, so --resume continues where a run stopped.
"""
import argparse
import collections
import json
import os
import time

import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from transformers import BertTokenizerFast

import data
from model import from_encoder


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--encoder", required=True, help="folder with config.json, model.safetensors, vocab.txt")
    p.add_argument("--start", help="checkpoint.pt or model.safetensors of a trained reader to begin with, in place of the encoder's own weights")
    p.add_argument("--layers", type=lambda v: [int(x) for x in v.split(",")], help="keep these encoder layers: 1,3,5")
    p.add_argument("--teacher", help="checkpoint.pt or model.safetensors of a trained reader whose logits are learned beside the labels")
    p.add_argument("--data", required=True, help="folder with train_paragraph.jsonl.gz and train_sentence.jsonl.gz")
    p.add_argument("--squad", action="append", default=[], help="further training file in SQuAD's JSON format")
    p.add_argument("--out", required=True)
    p.add_argument("--sentences", type=int, default=48000, help="sentence questions of the warm-up")
    p.add_argument("--mixed", type=int, default=0, help="sentence questions mixed into the passage questions")
    p.add_argument("--questions", type=int, default=54000, help="passage questions after it")
    p.add_argument("--negatives", type=float, default=0.5, help="BM25 negatives per passage question")
    p.add_argument("--unanswerable", type=float, default=0.12, help="changed, unanswerable questions per passage question")
    p.add_argument("--real", type=int, default=1, help="times that a SQuAD-like set's own unanswerable question counts in an epoch")
    p.add_argument("--others", type=float, default=0.35, help="share of passage questions that are not SQuAD-like")
    p.add_argument("--words", type=int, default=130, help="words in a training window")
    p.add_argument("--heads", choices=("joint", "extractor", "scorer"), default="joint")
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--lr", type=float, default=1e-4)
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--steps", type=int, default=0, help="end the run after so many steps, the learning rate falling to its end there")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--evaluate-every", type=int, default=1000, help="steps")
    p.add_argument("--resume", action="store_true")
    return p.parse_args()


class Source:
    """Endless stream of rows in a fixed random order, reshuffled each epoch."""

    def __init__(self, rows, *seed):
        self.rows, self.seed, self.epoch, self.order, self.at = rows, seed, 0, [], 0

    def take(self, n):
        taken = []
        while len(taken) < n:
            if self.at == len(self.order):
                self.order = data.shuffled(data.rng(*self.seed, self.epoch), range(len(self.rows)))
                self.epoch, self.at = self.epoch + 1, 0
            taken.append(self.rows[self.order[self.at]])
            self.at += 1
        return taken


def plan(o, sentences, squad_like, others):
    """The whole run as a list of batches; a batch is a list of groups; a group is the passages of one question.

    Group: [(question, passage, answer start, answer end, relevant, answerable), …]; start -1 where the passage has no answer.
    """
    rng = data.rng(o.seed, "plan")
    batches = []

    def add(groups, size):
        length = lambda g: max(len(q) + len(p) for q, p, *_ in g)
        for at in range(0, len(groups), size * 24):
            chunk = sorted(groups[at:at + size * 24], key=length)
            cut = [chunk[i:i + size] for i in range(0, len(chunk), size)]
            batches.extend(data.shuffled(rng, cut))

    def positive(row, words):
        answer = rng.choice(row["answers"])
        text, start, end = data.window(rng, row["context"], answer["start"], answer["start"] + len(answer["text"]), words)
        return row["question"], text, start, end, 1.0, 1.0

    def among_others(row):
        """The sentence among up to four unrelated ones, so that the answer's sentence has to be found."""
        question, text, start, end, *labels = positive(row, 80)
        around = [rng.choice(sentences)["context"] for _ in range(rng.randint(0, 4))]
        at = rng.randint(0, len(around))
        before = "".join(s + " " for s in around[:at])
        text = " ".join([before + text] + around[at:])
        return question, text, start + len(before), end + len(before), *labels

    # The scorer learns from pairs, so a sentence of another article joins a tenth of the sentence questions.
    warm = Source(sentences, o.seed, "sentence").take(o.sentences)
    add([[positive(r, 80)] + ([(r["question"], rng.choice(sentences)["context"], -1, -1, 0.0, 0.0)] if rng.random() < 0.1 else [])
         for r in warm], 2 * o.batch)
    n_warm = len(batches)
    repeated = [r for r in squad_like for _ in range(1 if r["answers"] else o.real)]
    near, far = Source(repeated, o.seed, "near"), Source(others, o.seed, "far")
    n_far = int(o.questions * o.others)
    rows = data.shuffled(rng, near.take(o.questions - n_far) + far.take(n_far))
    groups = []
    foreign = collections.defaultdict(set)
    for r in squad_like + others:
        foreign[r["title"]] |= data.names(r["context"])
    foreign = {title: sorted(found) for title, found in foreign.items()}
    for r in rows:
        if not r["answers"]:
            words = r["context"].split()
            groups.append([(r["question"], " ".join(words[:o.words]), -1, -1, 1.0, 0.0)])
            continue
        group = [positive(r, o.words)]
        if r["negatives"] and rng.random() < o.negatives:
            group.append((r["question"], rng.choice(r["negatives"]), -1, -1, 0.0, 0.0))
        groups.append(group)
        if rng.random() < o.unanswerable:
            question, text, *_ = group[0]
            changed = data.made_unanswerable(rng, question, text, foreign[r["title"]])
            if changed:
                groups.append([(changed, text, -1, -1, 1.0, 0.0)])
    groups += [[among_others(r)] for r in Source(sentences, o.seed, "mixed").take(o.mixed)]
    add(data.shuffled(rng, groups) if o.mixed else groups, o.batch)
    return batches, n_warm


def encode(tokenizer, batch, length_max=256):
    rows = [(g, *row) for g, group in enumerate(batch) for row in group]
    e = tokenizer([r[1] for r in rows], [r[2] for r in rows], truncation="only_second", max_length=length_max, padding="longest",
                  return_tensors="pt")
    starts, ends = [], []
    for i, (_, _, _, start, end, _, _) in enumerate(rows):
        s = e.char_to_token(i, start, 1) if start >= 0 else None
        t = e.char_to_token(i, end - 1, 1) if start >= 0 else None
        starts.append(-1 if s is None or t is None else s)
        ends.append(-1 if s is None or t is None else t)
    e["start"], e["end"] = torch.tensor(starts), torch.tensor(ends)
    e["group"] = torch.tensor([r[0] for r in rows])
    e["relevant"], e["answerable"] = torch.tensor([r[5] for r in rows]), torch.tensor([r[6] for r in rows])
    passage = torch.zeros_like(e["input_ids"], dtype=torch.bool)
    for i in range(len(rows)):
        passage[i] = torch.tensor([s == 1 for s in e.sequence_ids(i)])
    e["passage"] = passage
    return e


def span_loss(logits, target, group, passage):
    """Cross-entropy of the right token among the tokens of *all* passages of its question (shared normalisation)."""
    logits = logits.masked_fill(~passage, -1e4)
    row = torch.logsumexp(logits, 1)
    everything = torch.logsumexp(row[None].masked_fill(group[None] != torch.arange(int(group.max()) + 1)[:, None], -1e9), 1)
    has = target >= 0
    picked = logits[has].gather(1, target[has, None])[:, 0]
    return (everything[group[has]] - picked).sum() / max(1, int(has.sum()))


def teacher_loss(span, pair, e, teacher, temperature=2.0):
    """Distance to the teacher's span distribution within each passage, and to its relevance and answerability (Hinton et al. 2015)."""
    with torch.no_grad():
        span_t, pair_t = teacher(e)

    def log_probabilities(logits):
        return (logits.masked_fill(~e["passage"][..., None], -1e4) / temperature).log_softmax(1)

    p, q = log_probabilities(span_t), log_probabilities(span)
    spans = (p.exp() * (p - q)).sum(1).mean() * temperature ** 2
    return spans + bce(pair, pair_t.sigmoid()) - bce(pair_t, pair_t.sigmoid())


def loss_of(model, e, heads, teacher=None):
    span, pair = model(e)
    extractor = (span_loss(span[..., 0], e["start"], e["group"], e["passage"]) +
                 span_loss(span[..., 1], e["end"], e["group"], e["passage"])) / 2
    scorer = bce(pair[:, 0], e["relevant"]) + bce(pair[:, 1], e["answerable"])
    loss = {"joint": extractor + 0.5 * scorer, "extractor": extractor, "scorer": 0.5 * scorer}[heads]
    if teacher is not None:
        loss = 0.5 * loss + teacher_loss(span, pair, e, teacher)
    return loss, extractor, scorer


@torch.inference_mode()
def read(model, tokenizer, rows, length_max=384, answer_max=24, batch=16):
    """Best span of each row's own paragraph, as text, and its logit. Longest first paragraphs are batched together."""
    model.eval()
    out = [None] * len(rows)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]["context"]))
    for at in range(0, len(order), batch):
        ids = order[at:at + batch]
        e = tokenizer([rows[i]["question"] for i in ids], [rows[i]["context"] for i in ids], truncation="only_second",
                      max_length=length_max, padding="longest", return_offsets_mapping=True, return_tensors="pt")
        span, pair = model(e)
        for j, i in enumerate(ids):
            inside = torch.tensor([s == 1 for s in e.sequence_ids(j)])
            start, end = (span[j, :, c].masked_fill(~inside, -1e4) for c in (0, 1))
            score = start[:, None] + end[None]
            allowed = torch.ones_like(score, dtype=torch.bool).triu() & torch.ones_like(score, dtype=torch.bool).tril(answer_max - 1)
            best = int(score.masked_fill(~allowed, -1e9).argmax())
            a, b = divmod(best, score.size(1))
            offsets = e["offset_mapping"][j]
            out[i] = (rows[i]["context"][offsets[a][0]:offsets[b][1]], float(score[a, b]), pair[j].tolist())
    model.train()
    return out


def f1(prediction, gold):
    p, g = data.normalise(prediction).split(), data.normalise(gold).split()
    common = sum(min(p.count(w), g.count(w)) for w in set(p))
    return 2 * common / (len(p) + len(g)) if common else 0.0


def scores(rows, predictions):
    """Exact match and F1 in percent, maximum over the gold answers."""
    exact = [max(data.normalise(p[0]) == data.normalise(a["text"]) for a in r["answers"]) for r, p in zip(rows, predictions)]
    overlap = [max(f1(p[0], a["text"]) for a in r["answers"]) for r, p in zip(rows, predictions)]
    return 100 * sum(exact) / len(rows), 100 * sum(overlap) / len(rows)


def main():
    o = options()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    os.makedirs(o.out, exist_ok=True)
    paragraphs = data.read_rows(f"{o.data}/train_paragraph.jsonl.gz") + [r for f in o.squad for r in data.read_rows(f)]
    sentences = [r for r in data.read_rows(f"{o.data}/train_sentence.jsonl.gz") if r["answers"]]
    dev = [r for r in paragraphs if data.held_out(r["title"]) and r["answers"] and r["source"] in data.SQUAD_LIKE]
    dev = data.shuffled(data.rng("dev"), dev)[:600]
    train = [r for r in paragraphs if not data.held_out(r["title"]) and r["title"] != data.REAL_UNANSWERABLE]
    for row, negatives in zip(train, data.mine_negatives(train)):
        row["negatives"] = negatives
    near = [r for r in train if r["source"] in data.SQUAD_LIKE]
    far = [r for r in train if r["source"] not in data.SQUAD_LIKE]
    batches, n_warm = plan(o, sentences, near, far)
    batches = batches[:o.steps or len(batches)]
    print(f"{len(sentences)} sentences, {len(near)} SQuAD-like, {len(far)} other, {len(dev)} held out; "
          f"{len(batches)} steps, {n_warm} of them warm-up", flush=True)

    tokenizer = BertTokenizerFast(vocab_file=f"{o.encoder}/vocab.txt", do_lower_case=True)
    model = from_encoder(o.encoder, o.dropout, o.start, o.layers).train()
    teacher = from_encoder(o.encoder, start=o.teacher).eval() if o.teacher else None
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}],
                                  lr=o.lr, betas=(0.9, 0.98), fused=True)
    step, checkpoint = 0, f"{o.out}/checkpoint.pt"
    if o.resume and os.path.exists(checkpoint):
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        step = saved["step"]
    log = open(f"{o.out}/log.jsonl", "a", encoding="utf8")

    def report(**fields):
        print(fields, flush=True)
        log.write(json.dumps(fields) + "\n")
        log.flush()

    begun, saved_at, recent = time.time(), time.time(), []
    while step < len(batches):
        for g in optimiser.param_groups:
            g["lr"] = o.lr * min((step + 1) / 200, 1, max(0.02, (len(batches) - step) / (0.7 * len(batches))))
        loss, extractor, scorer = loss_of(model, encode(tokenizer, batches[step]), o.heads, teacher)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        recent.append((extractor.item(), scorer.item()))
        if step % 50 == 0:
            mean = [round(sum(r[i] for r in recent) / len(recent), 4) for i in (0, 1)]
            report(step=step, of=len(batches), span=mean[0], pair=mean[1], minutes=round((time.time() - begun) / 60, 1))
            recent = []
        if step % o.evaluate_every == 0 or step in (n_warm, len(batches)):
            exact, overlap = scores(dev, read(model, tokenizer, dev))
            report(step=step, held_out_exact=round(exact, 2), held_out_f1=round(overlap, 2), n=len(dev))
        if time.time() - saved_at > 240 or step == len(batches):
            torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "options": vars(o)},
                       checkpoint + ".new")
            os.replace(checkpoint + ".new", checkpoint)
            saved_at = time.time()


if __name__ == "__main__":
    main()
