"""Writes model/vision/testdata/{clip-open,clip-custom,clip-hf,timm-token,timm-mean} and internal/tokenize/testdata/clip.json: small models
with random weights in the folders that OpenCLIP, Hugging Face and timm write, and beside each what the reference packages
compute from it (golden.safetensors, golden.json).

    python -m venv VENV && VENV/bin/pip install -r tools/ref/clip.txt && VENV/bin/python tools/ref/clip.py

open_clip newer than 2.23 must not be used: its blocks are batch first, and legrad-torch's hooks then give wrong maps.
No two sizes of a model are the same where its architecture leaves a choice, so that a swapped axis cannot pass.
"""
import contextlib
import gzip
import io
import json
import os
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"
import open_clip  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from legrad import LeWrapper  # noqa: E402
from open_clip.model import CLIP, CustomTextCLIP  # noqa: E402
from open_clip.tokenizer import SimpleTokenizer, default_bpe  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from timm.layers import resample_abs_pos_embed  # noqa: E402
from timm.models._hub import save_for_hf  # noqa: E402
from torch.nn import functional as F  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
OUT = os.path.join(ROOT, "model", "vision", "testdata")
TEXTS = ["a dog", "The red car's wheel, in 1984!", "", "caf\u00c3\u00a9 &amp; th\u00c3\u00a9 " * 9]
MERGES = 31


def folder(name):
    path = os.path.join(OUT, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def dump(path, obj):
    with open(path, "w", encoding="utf8") as f:
        json.dump(obj, f, indent=1, ensure_ascii=False)
        f.write("\n")


def randomise(model, dtype=torch.float32):
    """Weights far from any symmetry, exact in dtype, so that the file may hold them in it."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "logit" in name:
                pass
            elif p.ndim == 1 and name.endswith("weight"):
                p.copy_(1 + 0.2 * torch.randn_like(p))
            elif p.ndim == 1:
                p.copy_(0.4 * torch.randn_like(p) if "gamma" in name else 0.1 * torch.randn_like(p))
            elif p.ndim == 2 and "embed" not in name:
                p.copy_(1.3 * torch.randn_like(p) / min(p.shape) ** 0.5)
            else:
                p.copy_(torch.randn_like(p) / p[0].numel() ** 0.5 if p.ndim == 4 else 0.3 * torch.randn_like(p))
            p.copy_(p.to(dtype))
    return model.float().eval()


def image(height, width):
    base = F.interpolate(torch.randn(1, 3, 4, 4), size=(height, width), mode="bicubic")
    return base + 0.3 * torch.randn(1, 3, height, width)


# ------------------------------------------------------------------ LeGrad by autograd, any grid ------------------
def open_clip_block(b):
    a = b.attn
    return dict(ln1=b.ln_1, ln2=b.ln_2, heads=a.num_heads, mlp=b.mlp, ls1=b.ls_1, ls2=b.ls_2, out=a.out_proj,
                qkv=lambda x: F.linear(x, a.in_proj_weight, a.in_proj_bias))


def timm_block(b):
    return dict(ln1=b.norm1, ln2=b.norm2, heads=b.attn.num_heads, mlp=b.mlp, ls1=b.ls1, ls2=b.ls2, out=b.attn.proj, qkv=b.attn.qkv)


def hf_block(b):
    a = b.self_attn
    return dict(ln1=b.layer_norm1, ln2=b.layer_norm2, heads=a.num_heads, mlp=b.mlp, ls1=lambda x: x, ls2=lambda x: x, out=a.out_proj,
                qkv=lambda x: torch.cat([a.q_proj(x), a.k_proj(x), a.v_proj(x)], -1))


def run(b, x):
    """One block on x [N, D]: its output and its attention [H, N, N]."""
    q, k, v = (t.view(len(x), b["heads"], -1).transpose(0, 1) for t in b["qkv"](b["ln1"](x)).chunk(3, -1))
    weights = ((q @ k.transpose(1, 2)) * q.shape[-1] ** -0.5).softmax(-1)
    if not weights.requires_grad:
        weights.requires_grad_(True)
    x = x + b["ls1"](b["out"]((weights @ v).transpose(0, 1).reshape(x.shape)))
    return x + b["ls2"](b["mlp"](b["ln2"](x))), weights


def maps(blocks, tokens, read, texts, grid):
    """LeGrad of every layer [L, P, gh, gw], the last block's output, attention [H, N, N] and gradients [P, H, N, N]."""
    layers, x = [], tokens.detach()
    for b in blocks:
        x, weights = run(b, x.detach())
        s = F.normalize(read(x.mean(0)), dim=-1) @ texts.T
        grads = torch.stack([torch.autograd.grad(v, weights, retain_graph=True)[0] for v in s])
        layers.append(grads.clamp(min=0).mean((1, 2))[:, -grid[0] * grid[1]:].view(len(texts), *grid))
    return torch.stack(layers), x.detach(), weights.detach(), grads


def heat(layers, patch):
    """[1, P, H, W] of some layers: added, resized, scaled."""
    m = F.interpolate(layers.sum(0)[None], scale_factor=patch, mode="bilinear")
    low, high = m.amin((2, 3), keepdim=True), m.amax((2, 3), keepdim=True)
    return (m - low) / (high - low)


class Tower:
    """What the three libraries call differently."""

    def __init__(self, blocks, embed, read, pool, patch):
        self.blocks, self.embed, self.read, self.pool, self.patch = blocks, embed, read, pool, patch


def outputs(tower, images, texts):
    """Everything a port must reproduce of an image tower, for images by the suffix of their names."""
    out = {}
    texts = F.normalize(texts, dim=-1).detach()
    for suffix, pixels in images.items():
        grid = [n // tower.patch for n in pixels.shape[2:]]
        layers, tokens, attention, grads = maps(tower.blocks, tower.embed(pixels), tower.read, texts, grid)
        out["in_image" + suffix] = pixels
        out["out_image_embedding" + suffix] = tower.pool(tokens)[None]
        out["out_legrad_layers" + suffix] = layers
        out["out_heatmap_layers_last2" + suffix] = heat(layers[-2:], tower.patch)
        if not suffix:
            out["out_heatmap_layers_all"] = heat(layers, tower.patch)
            out["out_attn_last_layer"], out["out_attn_grad_last_layer"] = attention, grads[:1]
    return {k: v.detach() for k, v in out.items()}


def write(path, tensors, **facts):
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, f"{path}/golden.safetensors")
    dump(f"{path}/golden.json", dict(
        facts, made_with=dict(torch=torch.__version__, open_clip="2.23.0", legrad="1.1", timm=timm.__version__, transformers=transformers.__version__)))
    print(os.path.basename(path), {k: tuple(v.shape) for k, v in tensors.items()})


# ------------------------------------------------------------------ OpenCLIP ---------------------------------------
def merges():
    return gzip.open(default_bpe()).read().decode("utf8").split("\n")[:1 + MERGES]


def open_clip_tower(model):
    v = model.visual

    def embed(pixels):
        x = v.conv1(pixels)
        grid = list(x.shape[2:])
        x = torch.cat([v.class_embedding[None], x.flatten(2)[0].T])
        return v.ln_pre(x + resample_abs_pos_embed(v.positional_embedding[None], grid, list(v.grid_size))[0])

    def pool(tokens):
        if v.final_ln_after_pool:
            return v.ln_post(v._global_pool(tokens[None])[0][0]) @ v.proj
        return v._global_pool(v.ln_post(tokens[None]))[0][0] @ v.proj

    return Tower([open_clip_block(b) for b in v.transformer.resblocks], embed, lambda z: v.ln_post(z) @ v.proj, pool, v.patch_size[0])


def open_clip_model(name, seed, kind, cfg, dtype, sizes):
    torch.manual_seed(seed)
    path = folder(name)
    with gzip.GzipFile(f"{path}/bpe_simple_vocab_16e6.txt.gz", "wb", mtime=0) as f:
        f.write("\n".join(merges()).encode("utf8"))
    tokenizer = SimpleTokenizer(f"{path}/bpe_simple_vocab_16e6.txt.gz", context_length=cfg["text_cfg"]["context_length"])
    cfg["text_cfg"]["vocab_size"] = tokenizer.vocab_size
    model = randomise(kind(**json.loads(json.dumps(cfg))), dtype)
    save_file({k: v.to(dtype).contiguous() for k, v in model.state_dict().items()}, f"{path}/open_clip_model.safetensors")
    dump(f"{path}/open_clip_config.json", dict(
        model_cfg=dict(cfg, custom_text=True) if kind is CustomTextCLIP else cfg,
        preprocess_cfg=dict(mean=[0.48, 0.46, 0.41], std=[0.27, 0.26, 0.28], interpolation="bilinear", resize_mode="squash")))
    images = {suffix: image(*size) for suffix, size in sizes.items()}
    with torch.no_grad():
        ids = tokenizer(TEXTS)
        texts = model.encode_text(ids)
        plain = model.encode_image(images[""])
    tower = open_clip_tower(model)
    tensors = outputs(tower, images, texts) | {"in_tokens": ids, "out_text_embedding": texts}
    assert (plain - tensors["out_image_embedding"]).abs().max() < 1e-5
    for layers, index in (("last2", -2), ("all", 0)):  # the package itself, where it can: a square image, and nothing else
        with contextlib.redirect_stdout(io.StringIO()):
            package = LeWrapper(copied(model, kind, cfg), layer_index=index)
        want = package.compute_legrad(F.normalize(texts, dim=-1), images[""]).detach()
        assert (want - tensors["out_heatmap_layers_" + layers]).abs().max() < 1e-5, (name, layers)
        tensors["out_heatmap_layers_" + layers] = want
    write(path, tensors, texts=TEXTS, scale=model.logit_scale.exp().item(), bias=0.0 if model.logit_bias is None else model.logit_bias.item())


def copied(model, kind, cfg):
    copy = kind(**json.loads(json.dumps(cfg)))
    copy.load_state_dict(model.state_dict())
    return copy.eval()


def open_clip_models():
    open_clip_model("clip-open", 3, CLIP, dict(
        embed_dim=17,
        vision_cfg=dict(image_size=35, patch_size=5, width=21, layers=3, head_width=7, mlp_ratio=2.0, ls_init_value=0.1),
        text_cfg=dict(context_length=13, width=22, heads=2, layers=2, mlp_ratio=3.0)),
        torch.float32, {"": (35, 35), "_wide": (20, 55)})
    open_clip_model("clip-custom", 5, CustomTextCLIP, dict(
        embed_dim=19, init_logit_bias=-3.0,
        vision_cfg=dict(image_size=12, patch_size=2, width=26, layers=4, head_width=13, mlp_ratio=1.5, no_ln_pre=True, pool_type="avg",
                        final_ln_after_pool=True, act_kwargs=dict(approximate="tanh"), norm_kwargs=dict(eps=1e-6)),
        text_cfg=dict(context_length=11, width=15, heads=3, layers=2, mlp_ratio=2.0, no_causal_mask=True, proj_bias=True, pool_type="last",
                      ls_init_value=0.1, act_kwargs=dict(approximate="tanh"), norm_kwargs=dict(eps=1e-6))),
        torch.bfloat16, {"": (12, 12), "_wide": (18, 10)})


# ------------------------------------------------------------------ Hugging Face -----------------------------------
def hf_model():
    torch.manual_seed(7)
    path, pairs = folder("clip-hf"), merges()[1:]
    tokenizer = SimpleTokenizer()
    vocabulary = list(tokenizer.byte_encoder.values())
    vocabulary += [v + "</w>" for v in vocabulary] + ["".join(p.split()) for p in pairs] + ["<|startoftext|>", "<|endoftext|>"]
    ids = {v: i for i, v in enumerate(vocabulary)}
    dump(f"{path}/vocab.json", ids)
    with open(f"{path}/merges.txt", "w", encoding="utf8") as f:
        f.write("#version: 0.2\n" + "\n".join(pairs) + "\n")
    end = len(ids) - 1
    config = transformers.CLIPConfig(
        projection_dim=19,
        text_config=dict(vocab_size=len(ids) + 2, hidden_size=15, intermediate_size=31, num_hidden_layers=2, num_attention_heads=3,
                         max_position_embeddings=13, hidden_act="quick_gelu", bos_token_id=end - 1, eos_token_id=end, pad_token_id=end),
        vision_config=dict(hidden_size=22, intermediate_size=53, num_hidden_layers=3, num_attention_heads=2, image_size=21, patch_size=3,
                           hidden_act="gelu", layer_norm_eps=1e-6))
    config._attn_implementation = "eager"
    model = randomise(transformers.CLIPModel(config), torch.float16)
    model.half().save_pretrained(path)
    model = model.float()
    transformers.CLIPImageProcessor(size=dict(shortest_edge=23), crop_size=dict(height=21, width=21)).save_pretrained(path)
    fast = transformers.CLIPTokenizerFast(vocab_file=f"{path}/vocab.json", merges_file=f"{path}/merges.txt")
    batch = fast(TEXTS, padding="max_length", truncation=True, max_length=13, return_tensors="pt")
    v = model.vision_model

    def embed(pixels):
        x = v.embeddings.patch_embedding(pixels)
        grid = list(x.shape[2:])
        x = torch.cat([v.embeddings.class_embedding[None], x.flatten(2)[0].T])
        return v.pre_layrnorm(x + resample_abs_pos_embed(v.embeddings.position_embedding.weight[None], grid, [7, 7])[0])

    def read(z):
        return model.visual_projection(v.post_layernorm(z))

    images = {"": image(21, 21), "_wide": image(15, 33)}
    with torch.no_grad():
        texts = model.get_text_features(**batch)
        plain = model.get_image_features(pixel_values=images[""])
    tower = Tower([hf_block(b) for b in v.encoder.layers], embed, read, lambda tokens: read(tokens[0]), 3)
    tensors = outputs(tower, images, texts) | {"in_tokens": batch["input_ids"], "out_text_embedding": texts}
    assert (plain - tensors["out_image_embedding"]).abs().max() < 1e-5
    write(path, tensors, texts=TEXTS, scale=model.logit_scale.exp().item(), bias=0.0)


# ------------------------------------------------------------------ timm -------------------------------------------
def timm_model(name, seed, classes, sizes, **kw):
    torch.manual_seed(seed)
    path = folder(name)
    model = randomise(timm.create_model("vit_tiny_patch16_224", num_classes=len(classes), **kw))
    known = {k: v for k, v in model.pretrained_cfg.items() if k not in ("url", "hf_hub_id", "tag", "custom_load")}
    config = dict(pretrained_cfg=dict(known, input_size=[3, kw["img_size"], kw["img_size"]]), model_args=kw, label_names=classes)
    save_for_hf(model, path, model_config=config, safe_serialization=True)
    patch = kw["patch_size"]

    def embed(pixels):
        x = model.patch_embed.proj(pixels)
        grid, d = list(x.shape[2:]), x.shape[1]
        first = [t.view(-1, d) for t in (model.cls_token, model.reg_token) if t is not None]
        table = resample_abs_pos_embed(model.pos_embed, grid, num_prefix_tokens=0 if model.no_embed_class else model.num_prefix_tokens)[0]
        x = x.flatten(2)[0].T
        x = torch.cat(first + [x + table]) if model.no_embed_class else torch.cat(first + [x]) + table
        return model.norm_pre(x)

    def pool(tokens):
        return model.forward_head(model.norm(tokens[None]), pre_logits=True)[0]

    images = {suffix: image(*size) for suffix, size in sizes.items()}
    tower = Tower([timm_block(b) for b in model.blocks], embed, lambda z: model.fc_norm(model.norm(z)), pool, patch)
    head = model.head.weight.detach()
    tensors = outputs(tower, images, head) | {"out_text_embedding": head}
    with torch.no_grad():
        tensors["out_logits"] = model(images[""])
        assert (model.head(tensors["out_image_embedding"]) - tensors["out_logits"]).abs().max() < 1e-5
    write(path, tensors, texts=classes)


def timm_models():
    timm_model("timm-token", 11, ["tench, Tinca tinca", "goldfish", "white shark"], {"": (20, 20), "_wide": (12, 28)},
               img_size=20, patch_size=4, embed_dim=26, depth=3, num_heads=2, mlp_ratio=1.5)
    timm_model("timm-mean", 13, ["cat", "dog", "horse", "bird", "sheep"], {"": (21, 21), "_wide": (27, 15)},
               img_size=21, patch_size=3, embed_dim=22, depth=2, num_heads=2, mlp_ratio=2.0, global_pool="avg", reg_tokens=3,
               init_values=0.1, no_embed_class=True)


# ------------------------------------------------------------------ tokens -----------------------------------------
STRINGS = [
    "a photo of a cat", "A Photo Of A CAT.", "", " ", "  many   spaces  ", "two\nlines\tand tabs", "don't can't I'll we've they're he'd I'm", "it's 3.14159 or 1,000,000",
    "#tag @user http://example.com/a?b=c&d=e", "C++ && C#; x[0] = {1: 'y'};", "snake_case camelCase kebab-case", "na\u00efve caf\u00e9 d\u00e9j\u00e0 vu fa\u00e7ade",
    "\u00c5NGSTR\u00d6M \u00dcn\u00efc\u00f6d\u00e9 \u00df \u1e9e", "I \u0130 \u0131 i", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!", "\u4f60\u597d\uff0c\u4e16\u754c",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3002", "\ud55c\uad6d\uc5b4 \ubb38\uc7a5", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22", "\U0001f600\U0001f389 emoji \U0001f44d\U0001f3fd", "\u2764\ufe0f \u2665", "\u2211 \u221a2 \u2264 \u03c0",
    "\u00bd \u00b2 \u2116 \u2122 \u00ae", "\uff11\uff12\uff21\uff22", "\ufb01 \ufb02", "e\u0301 vs \u00e9", "zero\u200bwidth\u200djoiner", "non\u00a0breaking\u2009space",
    "\u201ccurly\u201d \u2018quotes\u2019 \u2013 \u2014 \u2026", "&amp; &lt;b&gt; &quot;html&quot; &#39;", "&amp;amp; twice", "<|startoftext|> hi <|endoftext|>",
    "<start_of_text> hi <end_of_text>", "sch\u00c3\u00b6n caf\u00c3\u00a9", "supercalifragilisticexpialidocious", "''''", "'s 't 're 'VE", "a" * 300,
    "the quick brown fox " * 22, "1234567890 " * 9, "word " * 75, "word " * 76, "\u0001control\u007f", "tab\u000bfeed\u000c", "a centered satellite photo of annual crop land.",
]


def tokens():
    plain = SimpleTokenizer()
    work = os.path.join(OUT, "tokens-work")
    os.makedirs(work, exist_ok=True)
    ids = {("<|startoftext|>", "<|endoftext|>")[i - 49406] if i > 49405 else k: i for k, i in plain.encoder.items()}
    dump(f"{work}/vocab.json", ids)
    with open(f"{work}/merges.txt", "w", encoding="utf8") as f:
        f.write("#version: 0.2\n" + "\n".join(gzip.open(default_bpe()).read().decode("utf8").split("\n")[1:49152 - 256 - 1]) + "\n")
    fast = transformers.CLIPTokenizerFast(f"{work}/vocab.json", f"{work}/merges.txt")
    rows = []
    for text in STRINGS:
        padded = plain(text)[0].tolist()
        rows.append(dict(text=text, open_clip=padded[:1 + max(i for i, v in enumerate(padded) if v == 49407)],
                         hf_fast=fast(text, truncation=True, max_length=77)["input_ids"], clean_lower=plain.clean_fn(text)))
    shutil.rmtree(work)
    with open(os.path.join(ROOT, "internal", "tokenize", "testdata", "clip.json"), "w", encoding="utf8") as f:
        f.write("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows) + "\n]\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    assert not hasattr(open_clip, "__version__") or open_clip.__version__.startswith("2.23"), "open_clip must be 2.23"
    open_clip_models()
    hf_model()
    timm_models()
    tokens()
