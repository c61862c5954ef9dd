"""Writes model/siglip/testdata and model/clip/testdata: tiny random models and what the reference packages make of them.

    python tools/ref/siglip.py

needs torch 2.9.1, torchvision 0.24.1, open_clip_torch 2.23.0, timm 1.0.9, transformers 4.57.1, tokenizers 0.22.2, legrad-torch 1.1
(open_clip newer than 2.23 must not be used: legrad-torch gives wrong maps with it). Weights are rounded to float16, which
halves the files; everything is computed with the rounded ones in float32. Beside a square image one of another aspect ratio is
explained, of which LeGrad's package knows nothing: there its hooks are used and the gradient taken here, by autograd; on the
square one both ways must agree.
"""
import contextlib
import io
import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"
import open_clip.timm_model as otm
import timm
import torch
from legrad import LeWrapper
from open_clip.coca_model import CoCa
from open_clip.model import CustomTextCLIP
from open_clip.tokenizer import canonicalize_text, get_clean_fn
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch.nn import functional as F
from transformers import SiglipTokenizer

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
WIDTH, DEPTH, HEADS, PATCH, SIDE = 24, 3, 3, 8, 32
TEXT_WIDTH, TEXT_HEADS, CONTEXT = 20, 2, 13
TEXTS = ["A photo of a dog.", "two red bridges over the river, at night", "Élan_vital: naïve café!", "a much longer text than the model reads, word after word after word"]
EMPTY = "a photo of a"
SQUARE, WIDE = (32, 32), (24, 56)
quiet = lambda: contextlib.redirect_stdout(io.StringIO())  # noqa: E731


def folder(*names):
    path = os.path.join(ROOT, "model", *names)
    os.makedirs(path, exist_ok=True)
    return path


def dump(path, name, value):
    with open(os.path.join(path, name), "w", encoding="utf8") as f:
        json.dump(value, f, indent=1, ensure_ascii=False)
        f.write("\n")


def randomise(model):
    """Random weights of float16 with which maps are neither flat nor all alike."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            x = torch.randn_like(p)
            if "logit" in name:
                x = torch.full_like(p, 2.25 if "scale" in name else -9.5)
            elif p.ndim == 1 and "weight" in name:
                x = 1 + 0.2 * x
            elif p.ndim == 1:
                x *= 0.2
            elif p.ndim == 2 and "emb" not in name:
                x *= 1.4 / p.shape[1] ** 0.5
            elif p.ndim == 4:
                x /= p[0].numel() ** 0.5
            else:
                x *= 0.4
            p.copy_(x.half().float())
    return model.eval()


def tokenizer(path):
    """A unigram model of a few pieces, in the form of SigLIP's file without the table of normalisation."""
    words = "a photo of the dog cat two red bridges over river at night elan vital naive cafe longer text than model reads word after much".split()
    letters = sorted(set("".join(words)) | set("▁ébcjqz"))
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [("▁" + w, -3 - i / 32) for i, w in enumerate(words)]
    t = Tokenizer(models.Unigram(pieces + [(c, -6 - i / 64) for i, c in enumerate(letters)], 2, False))
    t.normalizer = normalizers.Sequence([normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    t.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    t.add_special_tokens([AddedToken(x, normalized=False, special=True) for x in ("<pad>", "</s>", "<unk>")])
    t.save(os.path.join(path, "tokenizer.json"))
    dump(path, "tokenizer_config.json", {"tokenizer_class": "SiglipTokenizer", "pad_token": "</s>"})
    return t


def encode(t, texts, clean):
    """As open_clip's HFTokenizer does: cleaned, cut, padded to the context."""
    t.enable_truncation(CONTEXT)
    t.enable_padding(length=CONTEXT, pad_id=1, pad_token="</s>")
    return torch.tensor([e.ids for e in t.encode_batch([clean(x) for x in texts])])


def huggingface_clean(text):
    """SiglipTokenizer's canonicalize_text and lower case: there a line below is punctuation like any other."""
    return canonicalize_text(text.replace("_", ""))


CLEAN = ["A Photo_of a CAT.", "  two\n lines\tand   blanks ", "don't stop, can't won't: I'll we've!", "naïve café déjà vu façade", "ÅNGSTRÖM Ünïcödé ß ẞ", "I İ ı i",
         "ΟΔΟΣ ΑΣ", "Привет, МИР!", "你好，世界。", "“curly” ‘quotes’ – en — em …", "&amp; &lt;b&gt; &amp;amp; &quot;x&quot;", "ﬁ ﬂ １２３ ＡＢＣ", "e\u0301 x\u200by\ufeffz",
         "schÃ¶n cafÃ©", "snake_case-kebab #tag @user http://a.b/c?d=e", "$€£ © ™ ½ ²", "😀👩‍👩‍👧‍👦 🏳️‍🌈", "", "...", "\u00a0nbsp\u2009thin\u3000wide"]


def do_cleaning():
    """internal/tokenize/testdata/canonical.json: what the two references make of texts before they are cut."""
    slow = SiglipTokenizer.__new__(SiglipTokenizer)  # its cleaning needs no vocabulary
    rows = [{"text": x, "open_clip": get_clean_fn("canonicalize")(x), "huggingface": slow.canonicalize_text(x.lower())} for x in CLEAN]
    dump(os.path.join(ROOT, "internal", "tokenize", "testdata"), "canonical.json", rows)


def siglip(vocabulary, tanh):
    """A tiny SigLIP of open_clip, whose vision tower is timm's."""
    create = timm.create_model
    otm.timm.create_model = lambda name, **k: create(name, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS, patch_size=PATCH, img_size=SIDE, **k)
    config = dict(embed_dim=WIDTH, init_logit_bias=-10.0,
                  vision_cfg=dict(image_size=SIDE, timm_model_name="vit_base_patch16_siglip_224", timm_model_pretrained=False, timm_pool="map", timm_proj="none"),
                  text_cfg=dict(context_length=CONTEXT, vocab_size=vocabulary, width=TEXT_WIDTH, heads=TEXT_HEADS, layers=2, no_causal_mask=True, proj_bias=True,
                                pool_type="last", norm_kwargs=dict(eps=1e-6)))
    with quiet():
        m = CustomTextCLIP(**json.loads(json.dumps(config)))
    otm.timm.create_model = create
    if tanh:
        for module in m.modules():
            for name, child in list(module.named_children()):
                if isinstance(child, torch.nn.GELU):
                    setattr(module, name, torch.nn.GELU(approximate="tanh"))
    return m.eval(), config


def picture(size, seed):
    g = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.randn(1, 3, 5, 5, generator=g), size=size, mode="bicubic")
    return (coarse + 0.3 * torch.randn(1, 3, *size, generator=g)).half().float()


def layer_maps(w, texts, grid):
    """LeGrad of SigLIP's pool at every layer for every text, before it is added: [L, T, gh, gw]."""
    layers, trunk = [], w.visual.trunk
    for block in trunk.blocks:
        pooled = F.normalize(trunk.attn_pool(block.feat_post_mlp), dim=-1)[0]
        rows = []
        for t in texts:
            g, = torch.autograd.grad(pooled @ t, [trunk.attn_pool.attn_probs], retain_graph=True)
            rows.append(g.clamp(min=0).mean(1)[0, 0].view(grid))
        layers.append(torch.stack(rows))
    return torch.stack(layers)


def minmax(x):
    low, high = x.flatten(1).amin(1)[:, None, None], x.flatten(1).amax(1)[:, None, None]
    return (x - low) / (high - low)


def upsample(x):
    return F.interpolate(x[None], scale_factor=PATCH, mode="bilinear")[0]


def heatmaps(maps, empty):
    """The last two layers added, plain and corrected, as the package puts them together."""
    plain, nothing = maps[-2:].sum(0), minmax(empty[-2:].sum(0))[0]
    corrected = torch.where(nothing[None] > 0.8, torch.zeros(()), plain)
    return upsample(minmax(plain)), upsample(minmax(corrected))


def siglip_outputs(make, texts, empty):
    out = {}
    for tag, size in (("", SQUARE), ("_wide", WIDE)):
        image, grid = picture(size, 21), (size[0] // PATCH, size[1] // PATCH)
        with quiet():
            w = LeWrapper(make(), layer_index=0)
        out["in_image" + tag], out["out_image_embedding" + tag] = image, w.encode_image(image)
        maps, nothing = layer_maps(w, texts, grid), layer_maps(w, empty, grid)
        out["out_legrad_layers" + tag], out["out_legrad_layers_empty" + tag] = maps, nothing[:, 0]
        both = "out_heatmap_layers_last2" + tag, "out_heatmap_corrected_layers_last2" + tag
        out[both[0]], out[both[1]] = heatmaps(maps, nothing)
        if size == SQUARE:
            for which, correct in zip(both, (False, True)):
                with quiet():
                    w = LeWrapper(make(), layer_index=-2)
                w.empty_embedding = empty.t()
                package = torch.cat([w.compute_legrad(t[None], image, apply_correction=correct)[0] for t in texts])
                assert (package - out[which]).abs().max() < 1e-5
    return out


def facts(model):
    return {"texts": TEXTS, "empty": EMPTY, "scale": model.logit_scale.exp().item(), "bias": model.logit_bias.item()}


def save(path, weights_name, weights, out, note):
    save_file({k: v.half().contiguous() if v.ndim else v for k, v in weights.items()}, os.path.join(path, weights_name))
    save_file({k: v.detach().contiguous() for k, v in out.items()}, os.path.join(path, "golden.safetensors"))
    for name in (weights_name, "golden.safetensors"):
        os.chmod(os.path.join(path, name), 0o644)
    dump(path, "golden.json", note)


def do_siglip():
    path = folder("siglip", "testdata", "open")
    t = tokenizer(path)
    torch.manual_seed(7)
    model = randomise(siglip(t.get_vocab_size(), False)[0])
    state = model.state_dict()

    def make():
        m, _ = siglip(t.get_vocab_size(), False)
        m.load_state_dict(state)
        return m
    config = siglip(t.get_vocab_size(), False)[1]
    config["custom_text"] = True
    config["vision_cfg"]["timm_model_kwargs_for_tiny"] = dict(embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS, patch_size=PATCH, img_size=SIDE)
    dump(path, "open_clip_config.json", dict(model_cfg=config, preprocess_cfg=dict(mean=[0.5] * 3, std=[0.5] * 3, interpolation="bicubic", resize_mode="squash")))
    with torch.no_grad():
        vectors, empty = (model.encode_text(encode(t, x, canonicalize_text)) for x in (TEXTS, [EMPTY]))
    out = siglip_outputs(make, F.normalize(vectors, dim=-1), F.normalize(empty, dim=-1))
    save(path, "open_clip_model.safetensors", state, out | {"out_text_embedding": vectors, "out_text_embedding_empty": empty}, facts(model))


def timm_names(s):
    """Hugging Face's weights by the names of open_clip and timm."""
    o, trunk, vision, head = {}, "visual.trunk.", "vision_model.", "vision_model.head."
    for k in ("weight", "bias"):
        o[f"{trunk}patch_embed.proj.{k}"] = s[f"{vision}embeddings.patch_embedding.{k}"]
        o[f"{trunk}norm.{k}"] = s[f"{vision}post_layernorm.{k}"]
        stacked = s[f"{head}attention.in_proj_{k}"]
        o[f"{trunk}attn_pool.q.{k}"], o[f"{trunk}attn_pool.kv.{k}"] = stacked[:WIDTH], stacked[WIDTH:]
        for there, here in (("proj", "attention.out_proj"), ("norm", "layernorm"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2")):
            o[f"{trunk}attn_pool.{there}.{k}"] = s[f"{head}{here}.{k}"]
        o[f"text.ln_final.{k}"], o[f"text.text_projection.{k}"] = s[f"text_model.final_layer_norm.{k}"], s[f"text_model.head.{k}"]
        for there, here, count, names in (
                (trunk + "blocks", vision + "encoder.layers", DEPTH, ("norm1", "norm2", "attn.qkv.", "attn.proj", "mlp.fc1", "mlp.fc2")),
                ("text.transformer.resblocks", "text_model.encoder.layers", 2, ("ln_1", "ln_2", "attn.in_proj_", "attn.out_proj", "mlp.c_fc", "mlp.c_proj"))):
            for i in range(count):
                p, q = f"{here}.{i}.", f"{there}.{i}."
                for name, source in zip(names, ("layer_norm1", "layer_norm2", None, "self_attn.out_proj", "mlp.fc1", "mlp.fc2")):
                    o[q + name + (k if source is None else "." + k)] = (
                        torch.cat([s[f"{p}self_attn.{x}_proj.{k}"] for x in "qkv"]) if source is None else s[f"{p}{source}.{k}"])
    o[trunk + "pos_embed"], o[trunk + "attn_pool.latent"] = s[vision + "embeddings.position_embedding.weight"][None], s[head + "probe"]
    o["text.token_embedding.weight"], o["text.positional_embedding"] = (s[f"text_model.embeddings.{x}_embedding.weight"] for x in ("token", "position"))
    o["logit_scale"], o["logit_bias"] = s["logit_scale"].reshape([]), s["logit_bias"].reshape([])
    return o


def do_huggingface():
    from transformers import SiglipConfig, SiglipModel
    path = folder("siglip", "testdata", "huggingface")
    t = tokenizer(path)
    torch.manual_seed(9)
    config = SiglipConfig(
        text_config=dict(vocab_size=t.get_vocab_size(), hidden_size=TEXT_WIDTH, intermediate_size=4 * TEXT_WIDTH, num_hidden_layers=2,
                         num_attention_heads=TEXT_HEADS, max_position_embeddings=CONTEXT, projection_size=WIDTH),
        vision_config=dict(hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS, image_size=SIDE, patch_size=PATCH))
    model = randomise(SiglipModel(config))
    config.save_pretrained(path)
    dump(path, "preprocessor_config.json", {"size": {"height": SIDE, "width": SIDE}, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.25] * 3})
    state = model.state_dict()

    def make():
        m, _ = siglip(t.get_vocab_size(), True)
        m.load_state_dict(timm_names(state))
        return m
    ids, empty_ids = (encode(t, x, huggingface_clean) for x in (TEXTS, [EMPTY]))
    with torch.no_grad():
        vectors, empty = model.get_text_features(input_ids=ids), model.get_text_features(input_ids=empty_ids)
        assert (make().encode_text(ids) - vectors).abs().max() < 1e-5
        out = {"out_text_embedding": vectors, "out_text_embedding_empty": empty,
               "out_image_embedding": model.get_image_features(pixel_values=picture(SQUARE, 21))}
    maps = siglip_outputs(make, F.normalize(vectors, dim=-1), F.normalize(empty, dim=-1))
    assert (maps["out_image_embedding"] - out["out_image_embedding"]).abs().max() < 1e-5
    save(path, "model.safetensors", state, maps | out, facts(model))


def do_coca(name, width):
    """CoCa with its own text tower; once with torch's stacked weights, where tokens are as wide as vectors."""
    path = folder("clip", "testdata", name)
    torch.manual_seed(13)
    config = dict(embed_dim=16, custom_text=True, multimodal_cfg=dict(context_length=CONTEXT, vocab_size=300, width=12, heads=2, layers=1, attn_pooler_heads=2),
                  vision_cfg=dict(image_size=SIDE, patch_size=PATCH, width=width, layers=DEPTH, head_width=8, attentional_pool=True, attn_pooler_queries=5,
                                  attn_pooler_heads=4, output_tokens=True),
                  text_cfg=dict(context_length=CONTEXT, vocab_size=300, width=TEXT_WIDTH, heads=TEXT_HEADS, layers=2, embed_cls=True, output_tokens=True))
    kwargs = {k: v for k, v in json.loads(json.dumps(config)).items() if k != "custom_text"}
    state = randomise(CoCa(**kwargs)).state_dict()

    def make():
        m = CoCa(**json.loads(json.dumps(kwargs)))
        m.load_state_dict(state)
        return m.eval()
    model = make()
    dump(path, "open_clip_config.json", dict(model_cfg=config, preprocess_cfg=dict(mean=[0.5] * 3, std=[0.25] * 3)))
    ids = torch.zeros(4, CONTEXT, dtype=torch.long)
    g = torch.Generator().manual_seed(5)
    for i, n in enumerate((3, 7, CONTEXT - 1, CONTEXT)):
        ids[i, :n] = torch.randint(1, 298, (n,), generator=g)
        ids[i, 0], ids[i, n - 1] = 298, 299
    ids[1, 3] = 0  # a token that is no padding and has its id
    with torch.no_grad():
        texts = model.encode_text(ids, normalize=False)
    out = {"in_tokens": ids, "out_text_embedding": texts}
    texts = F.normalize(texts, dim=-1)
    for tag, size in (("", SQUARE), ("_wide", WIDE)):
        image, grid = picture(size, 22), (size[0] // PATCH, size[1] // PATCH)
        visual = make().visual
        table = visual.positional_embedding
        if tag:
            table = torch.nn.Parameter(resample_abs_pos_embed(table[None], list(grid), num_prefix_tokens=1)[0])
            visual.positional_embedding = table
        with torch.no_grad():
            out["in_image" + tag], out["out_image_embedding" + tag] = image, visual(image)[0]
        maps = coca_maps(visual, image, texts, grid)
        out["out_legrad_layers" + tag] = maps
        heat = upsample(maps[-2:].sum(0))
        out["out_heatmap_layers_last2" + tag] = minmax(heat)
        if not tag:
            with quiet():
                w = LeWrapper(make(), layer_index=-2)
            w.encode_image = lambda x: w.visual(x)[0]
            package = torch.cat([w.compute_legrad(t[None], image)[0] for t in texts])
            assert (package - out["out_heatmap_layers_last2"]).abs().max() < 1e-5
    save(path, "open_clip_model.safetensors", state, out, {"scale": model.logit_scale.exp().item()})


def coca_maps(visual, image, texts, grid):
    """LeGrad of the pool's first query at every layer, by autograd on the weights of a pool written out."""
    pool, taps = visual.attn_pool, []
    for block in visual.transformer.resblocks:
        block.register_forward_hook(lambda _, __, x: taps.append(x.detach().permute(1, 0, 2)[0]))
    with torch.no_grad():
        visual(image)
    a = pool.attn
    width = a.embed_dim
    if a.in_proj_weight is None:
        weights = a.q_proj_weight, a.k_proj_weight, a.v_proj_weight
    else:
        weights = a.in_proj_weight.chunk(3)
    bias, layers = a.in_proj_bias.chunk(3), []
    for x in taps:
        x = pool.ln_k(x)
        q = F.linear(pool.ln_q(pool.query), weights[0], bias[0])[:1]
        k, v = (F.linear(x, weights[i], bias[i]) for i in (1, 2))
        q, k, v = (y.view(len(y), a.num_heads, -1).transpose(0, 1) for y in (q, k, v))
        attention = (q @ k.transpose(1, 2) * (width // a.num_heads) ** -0.5).softmax(-1).detach().requires_grad_(True)
        y = a.out_proj((attention @ v).transpose(0, 1).reshape(1, width)) @ visual.proj
        rows = [torch.autograd.grad((y @ t).sum(), attention, retain_graph=True)[0].clamp(min=0).mean(0)[0, 1:].view(grid) for t in texts]
        layers.append(torch.stack(rows))
    return torch.stack(layers)


if __name__ == "__main__":
    torch.set_num_threads(1)
    do_cleaning()
    do_siglip()
    do_huggingface()
    do_coca("coca", 24)
    do_coca("coca-stacked", 16)
