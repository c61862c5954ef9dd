"""Decodes everything once: photos as bytes, masks on a grid, captions, and what the frozen towers make of them.

    python data.py --data DATA/vision --encoder ENCODERS/minilm-l6 --out runs/cache.pt

Which photo is used for what is decided here and nowhere else (split_of): training, choosing ("dev") or reporting ("test").
"""
import argparse
import io
import json
import re
import tarfile
import time

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from transformers import BertTokenizerFast

DENSE, TILE, MASK = 448, 224, 112  # pixels a side: photos with masks, caltech photos, masks

# One class under several names: VOC's and COCO's words for it. The first is the class's own.
SAME = [["airplane", "aeroplane"], ["motorcycle", "motorbike"], ["dining table", "diningtable"],
        ["potted plant", "pottedplant"], ["tv", "tv monitor", "tvmonitor", "television"], ["couch", "sofa"]]
CANONICAL = {other: names[0] for names in SAME for other in names}
SPOKEN = {names[0]: [n for n in names if n not in ("diningtable", "pottedplant", "tvmonitor")] for names in SAME}
PEOPLE = ("man woman boy girl child people men women kid children boys girls kids lady guy toddler baby person players "
          "player").split()
PROMPTS = ["a photo of a {}", "a photo of a {}", "{}", "a picture of a {}", "a {}", "a photo of the {}",
           "there is a {} in the photo"]


def canonical(name):
    """COCO's "wall-other-merged" → "wall"; VOC's "tvmonitor" → "tv"."""
    name = re.sub(r"-(merged|other|stuff)", "", name).replace("-", " ").replace("_", " ")
    return CANONICAL.get(name, name)


def split_of(collection, i, row):
    """What line i (from 0) of a collection may be used for.

    COCO: even-numbered lines (from 1) are test; of the odd ones every sixth chooses. VOC boxes: a quarter is left out
    to report tagging, an eighth chooses. VOC segmentation is test. Flickr8k has its own splits.
    """
    if collection == "flickr8k":
        return {"val": "dev", "dev": "dev", "validation": "dev"}.get(row["split"], row["split"])
    if collection == "coco-seg":
        return "test" if i % 2 else "dev" if i // 2 % 6 == 5 else "train"
    if collection == "voc2007-boxes":
        return "test" if i % 4 == 0 else "dev" if i % 8 == 1 else "train"
    return "test" if collection in ("voc2007-seg", "imagenet1000") else "train"


def photos(path):
    """Yields (line number, manifest row, RGB photo)."""
    with tarfile.open(path) as tar:
        for i, line in enumerate(tar.extractfile("manifest.jsonl").read().decode().splitlines()):
            row = json.loads(line)
            yield i, row, Image.open(io.BytesIO(tar.extractfile(row["image"]).read())).convert("RGB")


def squashed(photo, size):
    """The photo as bytes [3, size, size], its sides squeezed to a square (bicubic)."""
    return torch.from_numpy(np.asarray(photo.resize((size, size), Image.BICUBIC)).copy()).permute(2, 0, 1)


def unpack(rle):
    """COCO's compressed run lengths → bool [h, w]. Runs go down columns; from the third on they are differences."""
    runs, text, i = [], rle["counts"], 0
    if isinstance(text, list):
        runs = text
    while not isinstance(text, list) and i < len(text):
        value, shift, more = 0, 0, True
        while more:
            c = ord(text[i]) - 48
            value |= (c & 31) << shift
            more, i, shift = c & 32, i + 1, shift + 5
        if c & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    h, w = rle["size"]
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(w, h).T


def class_masks(row, things=False):
    """{class: bool [h, w]}, the union of its instances."""
    union = {}
    for m in row["masks"]:
        if not things or m.get("isthing", 1):
            mask = unpack(m["rle"])
            union[m["class"]] = union.get(m["class"], False) | mask
    return union


def guessed_masks(row, photo):
    """Masks for boxes: GrabCut (Rother et al. 2004) inside each box; an ellipse where it finds next to nothing."""
    import cv2
    image = cv2.cvtColor(np.asarray(photo), cv2.COLOR_RGB2BGR)
    h, w = image.shape[:2]
    ys, xs = np.mgrid[:h, :w]
    union = {}
    for b in row["boxes"]:
        x0, y0 = max(0, int(b["box"][0])), max(0, int(b["box"][1]))
        x1, y1 = min(w, int(b["box"][2]) + 1), min(h, int(b["box"][3]) + 1)
        if x1 - x0 < 4 or y1 - y0 < 4:
            continue
        ellipse = ((xs - (x0 + x1) / 2) / ((x1 - x0) / 2)) ** 2 + ((ys - (y0 + y1) / 2) / ((y1 - y0) / 2)) ** 2 <= 1
        labels = np.full((h, w), cv2.GC_BGD, np.uint8)
        labels[y0:y1, x0:x1] = cv2.GC_PR_BGD
        labels[ellipse] = cv2.GC_PR_FGD
        found = ellipse
        if (x1 - x0) * (y1 - y0) < 0.9 * h * w:
            try:
                cv2.grabCut(image, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
                mask = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
                if mask.sum() > 0.25 * (x1 - x0) * (y1 - y0):
                    found = mask
            except cv2.error:
                pass  # a box too even to model: the ellipse stands
        union[b["class"]] = union.get(b["class"], False) | found
    return union


def dense(folder):
    """Photos with masks: bytes [n, 3, 448, 448] and items {split, masks: {class: bytes [112, 112]}, things, boxes, labels}."""
    images, items = [], []
    for collection in ("coco-seg", "voc2007-boxes"):
        coco = collection == "coco-seg"
        for i, row, photo in photos(f"{folder}/{collection}.tar"):
            split = split_of(collection, i, row)
            if coco and split == "test":
                continue
            found = class_masks(row) if coco else guessed_masks(row, photo) if split == "train" else {}
            masks = {}
            for name, mask in found.items():
                if mask.mean() >= 0.01:
                    small = Image.fromarray(mask.astype(np.uint8) * 255).resize((MASK, MASK), Image.BOX)
                    masks[canonical(name)] = torch.from_numpy(np.asarray(small).copy())
            things = {canonical(m["class"]) for m in row["masks"] if m.get("isthing", 1)} if coco else set(masks)
            labels = {canonical(n) for n in (row["labels"] if coco else [b["class"] for b in row["boxes"]])}
            images.append(squashed(photo, DENSE))
            items.append(dict(collection=collection, line=i, split=split, masks=masks, things=sorted(things & set(masks)),
                              labels=sorted(labels), boxes=row.get("boxes"), width=row["width"], height=row["height"]))
    return torch.stack(images), items


def tokenise(tokenizer, texts, length=40):
    """Token ids [T, n] and their mask."""
    batch = tokenizer(list(texts), padding=True, truncation=True, max_length=length, return_tensors="pt")
    return batch["input_ids"], batch["attention_mask"]


def sentences(model, tokenizer, texts, batch=256):
    """Sentence vectors [T, 384], encoded in order of length."""
    out = torch.empty(len(texts), 384)
    order = np.argsort([len(t) for t in texts], kind="stable")
    for at in range(0, len(order), batch):
        part = order[at:at + batch]
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            out[torch.from_numpy(part)] = model.sentence(*tokenise(tokenizer, [texts[j] for j in part])).float()
    return out


def pixels(images, size):
    """Bytes [B, 3, h, w] → pixels in -1..1 [B, 3, size, size]."""
    x = images.float()
    if images.shape[-1] != size:
        x = F.interpolate(x, (size, size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)
    return x / 127.5 - 1


def nouns_of(captions, nouns):
    """For each photo's captions the numbers of the nouns that occur as words in them; people are all "person"."""
    words = [set(re.findall(r"[a-z]+", " ".join(c).lower())) for c in captions]
    singles = {n: j for j, n in enumerate(nouns) if re.fullmatch(r"[a-z]+", n)}
    forms = {form: j for n, j in singles.items() for form in (n, n + "s", n + "es")} | {p: singles["person"] for p in PEOPLE}
    return [sorted({forms[w] for w in found if w in forms}) for found in words]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, help="folder with the tar files")
    p.add_argument("--encoder", required=True, help="MiniLM: config.json, model.safetensors, vocab.txt")
    p.add_argument("--out", required=True)
    p.add_argument("--threads", type=int, default=2)
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    from model import begin
    from safetensors.torch import load_file
    began = time.time()
    tokenizer = BertTokenizerFast(f"{o.encoder}/vocab.txt", do_lower_case=True)
    model, head = begin(f"{o.data}/vit_tiny_patch16_224_in1k.safetensors", o.encoder)
    model.eval()
    flickr, captions, splits = [], [], []
    for i, row, photo in photos(f"{o.data}/flickr8k.tar"):
        flickr.append(squashed(photo, 160))
        captions.append(row["captions"])
        splits.append(split_of("flickr8k", i, row))
    flickr = torch.stack(flickr)
    print(f"{time.time() - began:.0f}s flickr8k {len(flickr)} {({s: splits.count(s) for s in set(splits)})}", flush=True)
    features = torch.empty(len(flickr), 2, 192)
    for at in range(0, len(flickr), 64):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            x, _ = model.visual(pixels(flickr[at:at + 64], 224))
        features[at:at + 64, 0], features[at:at + 64, 1] = x[:, 0].float(), x.float().mean(1)
    print(f"{time.time() - began:.0f}s features", flush=True)
    sentence = sentences(model, tokenizer, [c for five in captions for c in five])
    print(f"{time.time() - began:.0f}s captions", flush=True)
    images, items = dense(o.data)
    print(f"{time.time() - began:.0f}s dense {len(items)}", flush=True)
    caltech = [(squashed(photo, TILE), canonical(row["labels"][0]).lower())
               for _, row, photo in photos(f"{o.data}/caltech101.tar")]
    with open(f"{o.data}/clip_vit_b32_text_names.json", encoding="utf8") as f:
        # "_(…)" explanations are dropped
        names = [re.sub(r"_?\(.*?\)", "", n["name"]).replace("_", " ").strip().lower() for n in json.load(f)]
    clip = next(iter(load_file(f"{o.data}/clip_vit_b32_text_vectors.safetensors").values())).float()
    with open(f"{o.data}/imagenet_names.json", encoding="utf8") as f:
        classes = json.load(f)["classes"]
    torch.save(dict(flickr=flickr, captions=captions, splits=splits, features=features, sentence=sentence.half(),
                    images=images, items=items, caltech=torch.stack([c[0] for c in caltech]), caltech_names=[c[1] for c in caltech], classes=classes,
                    clip=clip, clip_names=names, nouns=nouns_of(captions, names), head=head), o.out)
    print(f"{time.time() - began:.0f}s done", flush=True)


if __name__ == "__main__":
    main()
