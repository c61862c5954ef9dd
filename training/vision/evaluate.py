"""Scores of a trained model: retrieval, tagging, and where LeGrad's map points.

    python evaluate.py --cache runs/cache.pt --data DATA/vision --encoder ENCODERS/minilm-l6 --model ../../models/vision-192

prints every test score. Nothing is chosen here: what train.py chooses by are the "dev" parts (development).
"""
import argparse
import json

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from data import canonical, class_masks, photos, pixels, sentences, split_of, squashed
from model import DEPTH, legrad, spread

SIDE = 224  # maps and masks are compared at this size
THRESHOLDS = np.linspace(0, 1, 51)
VOC_WORDS = {"aeroplane": "airplane", "diningtable": "dining table", "pottedplant": "potted plant",
             "tvmonitor": "tv monitor", "motorbike": "motorcycle"}
VOC = ("aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep sofa train "
       "tvmonitor").split()


def text_vectors(model, tokenizer, texts):
    """Text vectors [T, D] of length 1."""
    with torch.no_grad():
        return model.name(sentences(model, tokenizer, texts))


def image_vectors(model, images, size=224, batch=64):
    """Class-token and mean-token vectors of bytes [n, 3, h, w]: two of [n, D], each of length 1."""
    cls, mean = [], []
    for at in range(0, len(images), batch):
        with torch.no_grad():
            with torch.autocast("cpu", torch.bfloat16):
                tokens, _ = model.visual(pixels(images[at:at + batch], size))
            pair = model.pooled(tokens)
        cls.append(pair[0])
        mean.append(pair[1])
    return torch.cat(cls), torch.cat(mean)


def retrieval(model, cache, tokenizer, split):
    """Text → image R@1, R@10 (%) over a split of Flickr8k, for each way of pooling."""
    chosen = [i for i, s in enumerate(cache["splits"]) if s == split]
    texts = text_vectors(model, tokenizer, [c for i in chosen for c in cache["captions"][i]])
    owner = torch.tensor([k for k, i in enumerate(chosen) for _ in cache["captions"][i]])
    scores = {}
    cls, mean = image_vectors(model, cache["flickr"][chosen])
    for name, image in (("cls", cls), ("mean", mean), ("both", F.normalize(cls + mean, dim=-1))):
        s = texts @ image.T
        rank = (s > s.gather(1, owner[:, None])).sum(1)
        scores[name] = [round(100 * (rank < k).float().mean().item(), 1) for k in (1, 5, 10)]
    return scores


def average_precision(score, truth):
    """Mean precision at the positives of a ranking."""
    y = truth[np.argsort(-score, kind="stable")]
    return float((np.cumsum(y) / np.arange(1, len(y) + 1) * y).sum() / max(1, y.sum()))


def tagging(model, cache, tokenizer, split):
    """VOC mAP (%) of "a photo of a NAME" over photos with boxes, for each way of pooling."""
    chosen = [i for i, it in enumerate(cache["items"]) if it["collection"] == "voc2007-boxes" and it["split"] == split]
    texts = text_vectors(model, tokenizer, [f"a photo of a {VOC_WORDS.get(n, n)}" for n in VOC])
    truth = np.array([[canonical(n) in cache["items"][i]["labels"] for n in VOC] for i in chosen])
    cls, mean = image_vectors(model, cache["images"][chosen])
    scores = {"n": len(chosen)}
    for name, image in (("cls", cls), ("mean", mean), ("both", F.normalize(cls + mean, dim=-1))):
        s = (image @ texts.T).numpy()
        each = [average_precision(s[:, j], truth[:, j]) for j in range(len(VOC)) if truth[:, j].any()]
        scores[name] = round(100 * np.mean(each), 1)
    return scores


def maps_of(model, image, texts, layers=2):
    """LeGrad maps [K, 224, 224] in 0..1 of one photo's pixels [1, 3, h, w] for texts [K, D]: the last `layers` blocks summed."""
    with torch.no_grad():
        tokens, taps = model.visual(image, taps=layers)
        grid = [v // 16 for v in image.shape[-2:]]
        total = sum(legrad(model.visual, DEPTH - layers + i, t, texts[None]) for i, t in enumerate(taps))
        large = F.interpolate(total.reshape(1, -1, *grid), (SIDE, SIDE), mode="bilinear", align_corners=False)[0]
        return spread(large.flatten(1)).reshape(-1, SIDE, SIDE).numpy()


class Pairs:
    """Collects (photo, class) pairs."""

    def __init__(self):
        self.rows = []

    def add(self, photo, name, heat, mask):
        """heat float [224, 224] in 0..1, mask bool [224, 224]."""
        bins = np.clip(np.searchsorted(THRESHOLDS, heat.ravel(), side="right") - 1, 0, 50)
        y = mask.ravel()
        hit, miss = (np.bincount(bins[which], minlength=51)[::-1].cumsum()[::-1] for which in (y, ~y))
        near = hit / (y.sum() + miss)
        far = ((~y).sum() - miss) / ((~y).sum() + y.sum() - hit)
        peak = bool(mask.flat[int(heat.argmax())]) if heat.max() > heat.min() else float(mask.mean())
        self.rows.append((photo, name, peak, near, far, average_precision(heat[::2, ::2].ravel(), mask[::2, ::2].ravel())))

    def curve(self):
        """The mean of object's and background's IoU [pairs, thresholds]."""
        return np.stack([(r[3] + r[4]) / 2 for r in self.rows])

    def threshold(self):
        """Index of the threshold that is best on these photos, to be used on others."""
        return int(self.curve().mean(0).argmax())

    def scores(self, names=None, threshold=None):
        """Pointing, mIoU of object and background, pixel AP (%), and the number of pairs.

        threshold: what `threshold` of other photos gave; without it each half of the photos is judged at the best of the other.
        """
        rows = [k for k, r in enumerate(self.rows) if names is None or r[1] in names]
        if len(rows) < 2:
            return dict(n=len(rows))
        curve = self.curve()[rows]
        found = curve[:, threshold] if threshold is not None else self.crossed(rows, curve)
        pointing, ap = (100 * np.mean([self.rows[k][column] for k in rows]) for column in (2, 5))
        return dict(n=len(rows), pointing=round(pointing, 1), miou=round(100 * float(np.mean(found)), 1), ap=round(ap, 1))

    def crossed(self, rows, curve):
        """The IoU of each half of the photos at the threshold that is best on the other half."""
        half, found = np.array([self.rows[k][0] % 2 for k in rows]), []
        for k in (0, 1):
            if (half == k).any() and (half != k).any():
                found.extend(curve[half == k, curve[half != k].mean(0).argmax()])
        return found or [0]


def localisation(model, tokenizer, examples, size, layers=2):
    """examples: (photo number, pixels at `size` [1, 3, size, size], {class: mask [224, 224]}, {class: word})."""
    pairs = Pairs()
    for number, image, masks, words in examples:
        names = [n for n, m in masks.items() if m.mean() >= 0.01]
        if names:
            texts = text_vectors(model, tokenizer, [f"a photo of a {words.get(n, n)}" for n in names])
            for name, heat in zip(names, maps_of(model, image, texts, layers)):
                pairs.add(number, name, heat, masks[name])
    return pairs


def development(model, cache, tokenizer):
    """Every score that may choose: Flickr8k's own development split, VOC and COCO photos set aside for it."""
    scores = dict(flickr=retrieval(model, cache, tokenizer, "dev"), tagging=tagging(model, cache, tokenizer, "dev"))
    for size in (224, 448):
        scores[f"coco{size}"] = localisation(model, tokenizer, coco_development(cache, size), size).scores()
        examples = []
        for i, it in enumerate(cache["items"]):
            if it["split"] == "dev" and it["collection"] == "voc2007-boxes":
                examples.append((len(examples), pixels(cache["images"][i][None], size), boxes_of(it), VOC_WORDS))
        scores[f"boxes{size}"] = localisation(model, tokenizer, examples, size).scores()
    return scores


def coco_development(cache, size):
    """COCO's photos that choose, as localisation takes them."""
    examples = []
    for i, it in enumerate(cache["items"]):
        if it["split"] == "dev" and it["collection"] == "coco-seg":
            masks = {n: np.repeat(np.repeat(it["masks"][n].numpy() > 127, 2, 0), 2, 1) for n in it["things"]}
            examples.append((len(examples), pixels(cache["images"][i][None], size), masks, {}))
    return examples


def boxes_of(item):
    """{class: bool [224, 224]}, the union of its boxes."""
    union = {}
    for b in item["boxes"]:
        mask = union.setdefault(b["class"], np.zeros((SIDE, SIDE), bool))
        x, y = SIDE / item["width"], SIDE / item["height"]
        mask[int(b["box"][1] * y):int(np.ceil(b["box"][3] * y)), int(b["box"][0] * x):int(np.ceil(b["box"][2] * x))] = True
    return union


def test_examples(path, collection, size):
    """The test photos of a collection with masks."""
    for i, row, photo in photos(path):
        if split_of(collection, i, row) == "test":
            masks = {n: np.asarray(Image.fromarray(m.astype(np.uint8) * 255).resize((SIDE, SIDE), Image.NEAREST)) > 127
                     for n, m in class_masks(row, things=True).items()}
            yield i // 2 if collection == "coco-seg" else i, squashed(photo, size)[None].float() / 127.5 - 1, masks, VOC_WORDS


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--encoder", required=True)
    p.add_argument("--model", required=True, help="an exported folder, or a checkpoint.pt")
    p.add_argument("--dev", action="store_true", help="the parts that choose, in place of the test parts")
    p.add_argument("--threads", type=int, default=2)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    from export import load
    from transformers import BertTokenizerFast
    model, cache = load(o.model, o.encoder), torch.load(o.cache, weights_only=False)
    tokenizer = BertTokenizerFast(f"{o.encoder}/vocab.txt", do_lower_case=True)
    if o.dev:
        print(json.dumps(development(model, cache, tokenizer)))
        return
    trained = {n for it in cache["items"] if it["split"] == "train" for n in it["masks"]}
    print("flickr8k test", json.dumps(retrieval(model, cache, tokenizer, "test")), flush=True)
    print("voc2007-boxes test", json.dumps(tagging(model, cache, tokenizer, "test")), flush=True)
    for size in (224, 448):
        threshold = localisation(model, tokenizer, coco_development(cache, size), size).threshold()
        for collection in ("voc2007-seg", "coco-seg"):
            pairs = localisation(model, tokenizer, test_examples(f"{o.data}/{collection}.tar", collection, size), size)
            unseen = {r[1] for r in pairs.rows if canonical(r[1]) not in trained}
            print(collection, size, json.dumps(pairs.scores(threshold=threshold)), "without masks in training",
                  json.dumps(pairs.scores(unseen, threshold)), sorted(unseen), flush=True)


if __name__ == "__main__":
    main()
