"""Writes internal/mask/testdata/pycocotools.json: what pycocotools makes of polygons, and Pillow of other sizes.

    pip install numpy==2.4.6 pillow==13.0.0 pycocotools==2.0.11
    python tools/ref/mask.py

Masks are given in COCO's compressed form and as plain counts, so that a reader of either is checked by the other.
"""
import json
import os
import random

import numpy as np
from PIL import Image
from pycocotools import mask as coco

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "internal", "mask", "testdata", "pycocotools.json")


def plain(mask):
    """Counts of runs down the columns, outside first."""
    flat = np.concatenate([[0], mask.T.ravel(), [0]])
    edges = np.flatnonzero(np.diff(flat))
    return [int(n) for n in np.diff(np.concatenate([[0], edges, [mask.size]]))][: None if mask.T.ravel()[-1] == 0 else -1]


def described(rle):
    mask = coco.decode(rle)
    return {"size": [int(v) for v in rle["size"]], "compressed": rle["counts"].decode(), "area": int(coco.area(rle)),
            "plain": plain(mask)}


def polygons(r):
    """Corners inside and outside of small images, whole numbers, halves, fifths, and any; some cross themselves."""
    for i in range(60):
        h, w = r.choice([7, 13, 23, 61]), r.choice([5, 11, 31, 53])
        parts = []
        for _ in range(1 + (i % 5 == 4)):
            corners = r.randint(3, 9)
            grain = r.choice([1, 2, 5, 1000])
            parts.append([round(r.uniform(-0.4, 1.4) * side * grain) / grain for _ in range(corners) for side in (w, h)])
        yield h, w, parts
    yield 9, 9, [[2, 2, 2, 2, 6, 2, 6, 7, 2, 7]]   # a corner twice
    yield 9, 9, [[0, 0, 9, 0, 9, 9, 0, 9]]         # the whole image
    yield 9, 9, [[1, 1, 8, 8, 1, 8, 8, 1]]         # a bow tie


def main():
    r, cases, masks, ious, sizes = random.Random(7), [], [], [], []
    for h, w, parts in polygons(r):
        rle = coco.merge(coco.frPyObjects(parts, h, w))
        cases.append({"polygons": parts} | described(rle))
    n = np.random.default_rng(11)
    for h, w, share in ((1, 1, 0.0), (1, 1, 1.0), (1, 17, 0.5), (19, 1, 0.5), (13, 11, 0.3), (37, 41, 0.02), (120, 3, 0.98), (300, 200, 0.0), (300, 200, 1.0)):
        masks.append(described(coco.encode(np.asfortranarray((n.random((h, w)) < share).astype(np.uint8)))))
    pairs = [(n.random((13, 11)) < 0.5).astype(np.uint8) for _ in range(4)]
    encoded = [coco.encode(np.asfortranarray(p)) for p in pairs]
    for a in encoded:
        for b in encoded:
            ious.append({"a": a["counts"].decode(), "b": b["counts"].decode(), "iou": float(coco.iou([a], [b], [0])[0, 0]),
                         "union": coco.merge([a, b])["counts"].decode()})
    picture = (n.random((29, 31)) < 0.5).astype(np.uint8)
    for h, w in ((7, 5), (29, 31), (224, 224), (30, 17), (3, 97)):
        small = np.asarray(Image.fromarray(picture * 255).resize((w, h), Image.NEAREST)) > 127
        sizes.append({"from": coco.encode(np.asfortranarray(picture))["counts"].decode()}
                     | described(coco.encode(np.asfortranarray(small.astype(np.uint8)))))
    with open(OUT, "w", encoding="utf8") as f:
        json.dump({"polygons": cases, "masks": masks, "pairs": {"size": [13, 11], "all": ious},
                   "resized": {"size": [29, 31], "all": sizes}}, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
