"""Writes internal/picture/testdata: small image files of every kind, and goldens.npz, what the reference packages make of them.

    pip install pillow==13.0.0 numpy simplejpeg tifffile torchvision transformers
    python tools/ref/picture.py

goldens.npz holds decode/FILE, the upright RGB pixels of each file; resize/SOURCE/WIDTHxHEIGHT/FILTER; turn/N, a picture of EXIF
orientation N made upright; recipe/NAME/SOURCE/SIZE, what a processor gives to a model. Everything is drawn here; the only
noise comes from a seeded generator.
"""
import io
import os
import struct
import sys
import zlib

import numpy as np
import PIL
import simplejpeg
import tifffile
import torchvision.transforms as transforms
from PIL import Image, ImageOps
from transformers import CLIPImageProcessor, SiglipImageProcessor

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "internal", "picture", "testdata")
FILTERS = ["bicubic", "bilinear", "lanczos", "hamming", "box", "nearest"]
goldens = {}


def draw(width, height, channels=3):
    """Waves, a ramp and hard edges: [height, width, channels] in 0..255."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = [127 + 127 * np.sin(x / 3 + y / 7), 255 * x / max(width - 1, 1), 255 * ((x // 5 + y // 4) % 2), 255 * y / max(height - 1, 1)]
    return np.stack(waves[:channels], -1).astype(np.uint8)


def noise(width, height):
    return np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), np.uint8)


def pillow(array, mode=None):
    image = Image.fromarray(array)
    return image.convert(mode) if mode else image


def keep(name, data, pixels=None):
    """Writes a file and what Pillow decodes of it."""
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(data)
    image = Image.open(io.BytesIO(data))
    if pixels is None:
        pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    goldens["decode/" + name] = pixels


def file_of(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def save(name, image, pixels=None, **options):
    keep(name, file_of(image, name.split(".")[-1].replace("jpg", "jpeg"), **options), pixels)


def exif(orientation):
    e = Image.Exif()
    e[0x0112] = orientation
    return e.tobytes()


def png(width, height, depth, kind, rows, *chunks):
    """A PNG that Pillow cannot write. rows: the bytes of each row."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    body = zlib.compress(b"".join(b"\0" + bytes(r) for r in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*c) for c in chunks) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def do_png():
    w, h = 29, 19
    colour, alpha = pillow(draw(w, h)), pillow(draw(w, h, 4))
    save("rgb.png", colour)
    save("rgba.png", alpha)
    save("grey.png", colour.convert("L"))
    save("grey-alpha.png", alpha.convert("LA"))
    save("bilevel.png", colour.convert("1"))
    for bits in (1, 2, 4, 8):
        save(f"palette{bits}.png", colour.quantize(2**bits), bits=bits)
    save("palette-alpha.png", colour.quantize(16), transparency=bytes(range(0, 256, 16)))
    save("rgb-transparent.png", colour, transparency=tuple(draw(w, h)[3, 5].tolist()))
    save("grey-transparent.png", colour.convert("L"), transparency=200)
    save("turned6.png", colour, exif=exif(6))
    frames = [pillow(np.roll(draw(w, h), i, 1)) for i in range(3)]
    save("animated.png", frames[0], save_all=True, append_images=frames[1:])
    save("still-animated.png", frames[0], save_all=True, append_images=frames[1:], default_image=True)
    one = draw(w, h)[..., 0]
    for bits in (2, 4):
        v = one >> (8 - bits)
        packed = np.packbits(np.unpackbits(v[..., None], axis=2)[..., 8 - bits:].reshape(h, -1), axis=1)
        keep(f"grey{bits}.png", png(w, h, bits, 0, packed))
    deep = (np.random.default_rng(1).integers(0, 65536, (h, w, 4))).astype(np.uint16)
    deep[..., :3] = draw(w, h).astype(np.uint16) * 256 + deep[..., :3] % 256
    # Pillow cuts grey of 16 bits to 255; ours is the upper byte.
    keep("grey16.png", png(w, h, 16, 0, deep[..., 0].astype(">u2").view(np.uint8)), np.repeat(deep[..., :1] >> 8, 3, 2).astype(np.uint8))
    keep("grey-alpha16.png", png(w, h, 16, 4, deep[..., 2:].reshape(h, -1).astype(">u2").view(np.uint8)))
    keep("rgb16.png", png(w, h, 16, 2, deep[..., :3].reshape(h, -1).astype(">u2").view(np.uint8)))
    keep("rgba16.png", png(w, h, 16, 6, deep.reshape(h, -1).astype(">u2").view(np.uint8)))


def without_segment(data, kind):
    """A JPEG without its first segment of a kind."""
    at = data.index(bytes([0xFF, kind]))
    return data[:at] + data[at + 2 + struct.unpack(">H", data[at + 2:at + 4])[0]:]


def do_jpeg():
    w, h = 29, 21
    array = draw(w, h)
    colour = pillow(array)
    for sampling in ("444", "422", "420", "440", "411"):
        keep(f"{sampling}.jpg", simplejpeg.encode_jpeg(array, quality=85, colorsubsampling=sampling))
    save("grey.jpg", colour.convert("L"), quality=85)
    save("progressive.jpg", colour, quality=85, progressive=True)
    save("restart.jpg", colour, quality=85, restart_marker_blocks=3)
    save("rgb.jpg", colour, quality=85, keep_rgb=True)
    inks = draw(w, h, 4)
    save("cmyk.jpg", Image.frombytes("CMYK", (w, h), inks.tobytes()), quality=85)
    with open(os.path.join(OUT, "cmyk.jpg"), "rb") as f:
        keep("cmyk-plain.jpg", without_segment(f.read(), 0xEE))
    for sampling in ("444", "420"):
        keep(f"ycck{sampling}.jpg", simplejpeg.encode_jpeg(inks, quality=85, colorspace="CMYK", colorsubsampling=sampling))
    # Flat blocks of 16 x 16: nothing is left to the rounding of the cosine transform. Upsampling and colours must be equal.
    flat, inks = np.repeat(np.repeat(noise(4, 3), 16, 0), 16, 1), np.repeat(np.repeat(draw(4, 3, 4), 16, 0), 16, 1)
    for sampling in ("422", "420", "440", "411"):
        keep(f"flat-{sampling}.jpg", simplejpeg.encode_jpeg(np.ascontiguousarray(flat), quality=100, colorsubsampling=sampling))
    keep("flat-ycck420.jpg", simplejpeg.encode_jpeg(np.ascontiguousarray(inks), quality=100, colorspace="CMYK", colorsubsampling="420"))
    # The edges of upsampling: chroma of one, two and three samples.
    for w, h in ((1, 1), (1, 7), (2, 3), (4, 4), (5, 5), (7, 1)):
        for sampling in ("420", "422", "440") if w % 4 == 1 else ("420",):
            keep(f"{sampling}-{w}x{h}.jpg", simplejpeg.encode_jpeg(np.ascontiguousarray(noise(w, h)), quality=95, colorsubsampling=sampling))
    for n in range(1, 9):
        save(f"turned{n}.jpg", pillow(draw(11, 7)), quality=85, exif=exif(n))
    # The turning itself, without JPEG's rounding.
    for n in range(1, 9):
        image = Image.open(io.BytesIO(file_of(pillow(noise(7, 5)), "png", exif=exif(n))))
        goldens[f"turn/{n}"] = np.asarray(ImageOps.exif_transpose(image))
    goldens["turn/source"] = noise(7, 5)


def do_gif():
    w, h = 29, 19
    colour = pillow(draw(w, h))
    save("plain.gif", colour.quantize(64), interlace=0)
    save("interlaced.gif", colour.quantize(64), interlace=1)
    save("grey.gif", colour.convert("L"))
    save("transparent.gif", colour.quantize(64), transparency=7)
    frames = [pillow(np.roll(draw(w, h), 3 * i, 1)).quantize(32) for i in range(3)]
    save("animated.gif", frames[0], save_all=True, append_images=frames[1:], duration=50, loop=0)
    for name, options in (("offset.gif", {}), ("offset-transparent.gif", {"transparency": 5})):
        data = bytearray(file_of(colour.quantize(16), "gif", **options))
        struct.pack_into("<HH", data, 6, w + 9, h + 6)
        at = data.index(struct.pack("<BHHHH", 0x2C, 0, 0, w, h))
        struct.pack_into("<HH", data, at + 1, 4, 3)
        keep(name, bytes(data))
    data = bytearray(file_of(colour.quantize(16), "gif"))
    struct.pack_into("<HH", data, 6, 10, 10)
    keep("small-screen.gif", bytes(data))


def do_webp():
    for w, h in ((1, 1), (2, 2), (29, 19), (30, 20)):
        save(f"lossy-{w}x{h}.webp", pillow(draw(w, h)), quality=80)
    w, h = 29, 19
    colour, alpha = pillow(draw(w, h)), pillow(draw(w, h, 4))
    save("lossless.webp", colour, lossless=True)
    save("lossless-alpha.webp", alpha, lossless=True, exact=True)
    save("lossy-alpha.webp", alpha, quality=80, exact=True)
    save("turned8.webp", colour, quality=80, exif=exif(8))
    frames = [pillow(np.roll(draw(w, h), 3 * i, 1)) for i in range(3)]
    save("animated.webp", frames[0], save_all=True, append_images=frames[1:], quality=80)
    save("animated-lossless.webp", frames[0], save_all=True, append_images=frames[1:], lossless=True)


def tiff(array, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, software=False, metadata=None, **options)
    return file.getvalue()


def do_tiff():
    w, h = 23, 17
    colour, alpha = pillow(draw(w, h)), pillow(draw(w, h, 4))
    for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        save(f"{name.split('_')[-1]}.tiff", colour, compression=name)
    save("group4.tiff", colour.convert("1"), compression="group4")
    save("group4-white.tiff", colour.convert("1"), compression="group4", tiffinfo={262: 0})
    save("group3.tiff", colour.convert("1"), compression="group3")
    save("bilevel.tiff", colour.convert("1"))
    save("grey.tiff", colour.convert("L"))
    save("palette.tiff", colour.quantize(64))
    save("rgba.tiff", alpha)
    save("cmyk.tiff", Image.frombytes("CMYK", (w, h), draw(w, h, 4).tobytes()), compression="tiff_lzw")
    save("turned5.tiff", colour, tiffinfo={0x0112: 5})
    save("pages.tiff", colour, save_all=True, append_images=[colour.convert("L"), colour.convert("1")])
    deep = draw(w, h, 4).astype(np.uint16) * 256 + np.random.default_rng(2).integers(0, 256, (h, w, 4)).astype(np.uint16)
    keep("rgb16.tiff", tiff(deep[..., :3], photometric="rgb", byteorder=">"))
    keep("rgba16.tiff", tiff(deep, photometric="rgb", extrasamples=["unassalpha"]))
    keep("premultiplied.tiff", tiff(draw(w, h, 4), photometric="rgb", extrasamples=["assocalpha"]))
    keep("premultiplied16.tiff", tiff(deep, photometric="rgb", extrasamples=["assocalpha"]))
    keep("cmyk16.tiff", tiff(deep, photometric="separated"))
    keep("tiled.tiff", tiff(draw(w, h), photometric="rgb", tile=(16, 16)))
    keep("white-is-zero.tiff", tiff(draw(w, h)[..., 0], photometric="miniswhite"))
    grey = np.repeat(deep[..., :1] >> 8, 3, 2).astype(np.uint8)  # Pillow cuts to 255
    keep("grey16.tiff", tiff(deep[..., 0], photometric="minisblack"), grey)
    with open(os.path.join(OUT, "planar.tiff"), "wb") as f:  # a kind that is refused
        f.write(tiff(np.ascontiguousarray(draw(w, h).transpose(2, 0, 1)), photometric="rgb", planarconfig="separate"))


def do_bmp():
    w, h = 29, 19
    colour = pillow(draw(w, h))
    for name, image in (("rgb", colour), ("grey", colour.convert("L")), ("bilevel", colour.convert("1")),
                        ("palette", colour.quantize(64)), ("rgba", pillow(draw(w, h, 4)))):
        save(name + ".bmp", image)


def do_resize():
    sizes = {(29, 19): [(13, 7), (11, 19), (29, 5), (35, 23), (47, 3), (7, 41), (28, 17), (1, 1)],
             (1, 1): [(5, 3)], (1, 7): [(3, 2), (1, 3)], (7, 1): [(4, 2)], (3, 89): [(5, 4)]}
    for (w, h), targets in sizes.items():
        goldens[f"source/{w}x{h}"] = noise(w, h)
        for target in targets:
            for name in FILTERS:
                resized = pillow(noise(w, h)).resize(target, Image.Resampling[name.upper()])
                goldens[f"resize/{w}x{h}/{target[0]}x{target[1]}/{name}"] = np.asarray(resized)


def do_recipes():
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    tensor = [transforms.ToTensor(), transforms.Normalize(mean, std)]
    bicubic = transforms.InterpolationMode.BICUBIC
    for w, h in ((41, 29), (3, 89)):
        image = pillow(noise(w, h))
        goldens[f"source/{w}x{h}"] = noise(w, h)
        for s in (13, 17) if w == 41 else (13,):  # 41 x 29 is cut by 2.5 and by 3.5 pixels
            crop = transforms.Compose([transforms.Resize(s, bicubic), transforms.CenterCrop(s), *tensor])
            squash = transforms.Compose([transforms.Resize((s, s), bicubic), *tensor])
            larger = transforms.Compose([transforms.Resize(s + 4, bicubic), transforms.CenterCrop(s), *tensor])
            clip = CLIPImageProcessor(size={"shortest_edge": s}, crop_size={"height": s, "width": s})
            siglip = SiglipImageProcessor(size={"height": s, "width": s}, resample=Image.Resampling.BICUBIC)
            found = {"crop": crop(image).numpy(), "squash": squash(image).numpy(), "larger": larger(image).numpy(),
                     "floor": clip(image, return_tensors="np")["pixel_values"][0],
                     "half": siglip(image, return_tensors="np")["pixel_values"][0]}
            for name, values in found.items():
                goldens[f"recipe/{name}/{w}x{h}/{s}"] = values.astype(np.float32)


def main():
    if PIL.__version__ != "13.0.0":
        sys.exit(f"this needs Pillow 13.0.0, not {PIL.__version__}: other versions resize otherwise")
    os.makedirs(OUT, exist_ok=True)
    for old in os.scandir(OUT):
        if old.is_file():
            os.remove(old)
    for make in (do_png, do_jpeg, do_gif, do_webp, do_tiff, do_bmp, do_resize, do_recipes):
        make()
    np.savez_compressed(os.path.join(OUT, "goldens.npz"), **goldens)
    print(f"{len(goldens)} goldens, {sum(e.stat().st_size for e in os.scandir(OUT) if e.is_file()) / 1000:.0f} KB")


if __name__ == "__main__":
    main()
