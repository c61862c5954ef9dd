"""What the towers are shown: crops, and mosaics of four photos whose texts belong to one tile each."""
import torch
from torch.nn import functional as F

from data import PROMPTS, SPOKEN

TEXTS = 4  # texts per image


def spoken(rng, name):
    """A class under one of its names, in one of the prompts."""
    names = SPOKEN.get(name, [name])
    return PROMPTS[rng.integers(len(PROMPTS))].format(names[rng.integers(len(names))])


def window(rng, smallest, sides):
    """A crop of at least `smallest` of the area: top, left, height, width as fractions quantised to 1/sides."""
    area, aspect = rng.uniform(smallest, 1), 2 ** rng.uniform(-0.4, 0.4)
    h = min(sides, max(1, round(sides * (area * aspect) ** 0.5)))
    w = min(sides, max(1, round(sides * (area / aspect) ** 0.5)))
    return rng.integers(sides - h + 1), rng.integers(sides - w + 1), h, w


def cut(image, crop, sides, size, flip):
    """The crop of bytes [C, s, s] resized to floats [C, size, size]."""
    unit = image.shape[-1] / sides
    top, left, h, w = (round(v * unit) for v in crop)
    part = image[:, top:top + h, left:left + w][None].float()
    part = F.interpolate(part, (size, size), mode="bilinear", antialias=True, align_corners=False)[0]
    return part.flip(-1) if flip else part


def coloured(rng, image):
    """Brightness, contrast and saturation changed by up to a quarter."""
    image = image * rng.uniform(0.75, 1.25)
    mean = image.mean()
    image = (image - mean) * rng.uniform(0.75, 1.25) + mean
    grey = image.mean(0, keepdim=True)
    return ((image - grey) * rng.uniform(0.75, 1.25) + grey).clamp(0, 255)


class Dense:
    """Draws photos with masks, caltech's photos and captioned photos."""

    def __init__(self, cache):
        self.cache = cache
        self.items = [i for i, it in enumerate(cache["items"]) if it["split"] == "train" and it["masks"]]
        self.captioned = [i for i, s in enumerate(cache["splits"]) if s == "train"]

    def crop(self, rng, size, smallest=0.4):
        """A crop of a photo with masks: pixels as floats, {class: (target [size/16, size/16], weight)}, its labels."""
        i = self.items[rng.integers(len(self.items))]
        item, flip, crop = self.cache["items"][i], rng.random() < 0.5, window(rng, smallest, 28)
        image = cut(self.cache["images"][i], crop, 28, size, flip)
        names = list(item["masks"])
        grids = (cut(torch.stack([item["masks"][n] for n in names]), crop, 28, size // 16, flip) / 255).clamp(0, 1)
        sure = 1.0 if item["collection"] == "coco-seg" else 0.7
        targets = {n: (g, sure if n in item["things"] else 0.4) for n, g in zip(names, grids) if g.mean() > 0.01}
        return image, targets, item["labels"]

    def single(self, rng, size):
        """One photo: pixels, [(class, None, target, weight, is tile)], labels."""
        image, targets, labels = self.crop(rng, size)
        order = sorted(targets, key=lambda n: -targets[n][1] * rng.random())[:TEXTS]
        return image, [(n, None, targets[n][0], targets[n][1], False) for n in order], labels

    def mosaic(self, rng, size):
        """Four photos in one: one class or caption of each must be found in its own tile."""
        if rng.random() < 0.35:
            return self.captions(rng, size)
        image, half, grid = torch.empty(3, size, size), size // 2, size // 16
        targets, labels = {}, set()
        for tile in range(4):
            y, x = tile // 2 * half, tile % 2 * half
            gy, gx, gh = y // 16, x // 16, half // 16
            if rng.random() < 0.3:
                i = rng.integers(len(self.cache["caltech_names"]))
                part = cut(self.cache["caltech"][i], window(rng, 0.6, 28), 28, half, rng.random() < 0.5)
                found, names = {self.cache["caltech_names"][i]: (torch.ones(gh, gh), 0.5)}, []
                labels.add(self.cache["caltech_names"][i])
            else:
                part, found, names = self.crop(rng, half, 0.5)
            image[:, y:y + half, x:x + half] = part
            labels |= set(names)
            for name, (target, weight) in found.items():
                full, least, whole = targets.get(name, (torch.zeros(grid, grid), 1.0, False))
                full[gy:gy + gh, gx:gx + gh] = target
                targets[name] = (full, min(least, weight), whole or not names)
        order = sorted(targets, key=lambda n: -targets[n][1] * rng.random())[:TEXTS]
        return image, [(n, None, *targets[n]) for n in order], sorted(labels)

    def captions(self, rng, size):
        """A mosaic of captioned photos."""
        image, half, grid, texts = torch.empty(3, size, size), size // 2, size // 16, []
        for tile, i in enumerate(rng.choice(self.captioned, 4, replace=False)):
            y, x = tile // 2 * half, tile % 2 * half
            image[:, y:y + half, x:x + half] = cut(self.cache["flickr"][i], window(rng, 0.7, 20), 20, half, rng.random() < 0.5)
            target = torch.zeros(grid, grid)
            target[y // 16:(y + half) // 16, x // 16:(x + half) // 16] = 1
            five = self.cache["captions"][i]
            texts.append((None, five[rng.integers(len(five))], target, 1.0, True))
        return image, texts, []

    def batch(self, rng, count, size, mosaics):
        """Pixels [B, 3, size, size] in -1..1 and for every image its texts and labels."""
        drawn = [self.mosaic(rng, size) if rng.random() < mosaics else self.single(rng, size) for _ in range(count)]
        drawn = [d for d in drawn if d[1]]
        images = torch.stack([coloured(rng, d[0]) for d in drawn]) / 127.5 - 1
        return images, [d[1] for d in drawn], [d[2] for d in drawn]


def photos(rng, cache, chosen, size):
    """Crops of the chosen captioned photos, pixels [B, 3, size, size] in -1..1."""
    return torch.stack([coloured(rng, cut(cache["flickr"][i], window(rng, 0.55, 20), 20, size, rng.random() < 0.5))
                        for i in chosen]) / 127.5 - 1
