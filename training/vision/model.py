"""The vision-language model: a ViT, a BERT with a small head, and LeGrad's map in closed form.

Letters: B images, K texts an image, N tokens (1 + patches), D = 192 width, H heads, F = 4D.
"""
import math

import torch
from torch import nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel

WIDTH, HEADS, DEPTH, PATCH, GRID = 192, 3, 12, 16, 14


class Attention(nn.Module):
    """Names its tensors as timm does: qkv, proj."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        """Returns the attended tokens [B, N, D] and the values [B, H, N, D/H] that LeGrad needs."""
        B, N, _ = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(B, N, WIDTH)), v


class Perceptron(nn.Module):
    """Names its tensors as timm does: fc1, fc2."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, 1e-6), nn.LayerNorm(WIDTH, 1e-6)
        self.attn, self.mlp = Attention(), Perceptron()

    def forward(self, x):
        """Returns the block's output Z and what LeGrad's closed form reads: V, Z' (after attention), h (before GELU), Z."""
        y, V = self.attn(self.norm1(x))
        mid = x + y
        h = self.mlp.fc1(self.norm2(mid))
        out = mid + self.mlp.fc2(F.gelu(h))
        return out, (V, mid, h, out)


class PatchEmbed(nn.Module):
    """The first convolution, under timm's name."""

    def __init__(self):
        super().__init__()
        self.proj = nn.Conv2d(3, WIDTH, PATCH, PATCH)


class Visual(nn.Module):
    """ViT-Tiny/16 in timm's layout, for any multiple of 16 pixels a side."""

    def __init__(self):
        super().__init__()
        self.patch_embed = PatchEmbed()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID * GRID, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH, 1e-6)

    def positions(self, h, w):
        """The position table at another grid: bicubic with antialiasing; the class token's row stays."""
        if (h, w) == (GRID, GRID):
            return self.pos_embed
        table = self.pos_embed[:, 1:].reshape(1, GRID, GRID, WIDTH).permute(0, 3, 1, 2)
        table = F.interpolate(table, (h, w), mode="bicubic", antialias=True)
        return torch.cat([self.pos_embed[:, :1], table.flatten(2).transpose(1, 2)], 1)

    def forward(self, pixels, taps=0):
        """pixels [B, 3, h, w] in -1..1 → tokens [B, N, D] before the last norm, and the last `taps` blocks' tensors."""
        x = self.patch_embed.proj(pixels)
        h, w = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.positions(h, w)
        kept = []
        for i, block in enumerate(self.blocks):
            x, tensors = block(x)
            if i >= DEPTH - taps:
                kept.append(tensors)
        return x, kept


class TextHead(nn.Module):
    """From MiniLM's sentence vector to the classifier's feature space: a linear path and a correction beside it."""

    def __init__(self, dropout=0.1):
        super().__init__()
        self.skip = nn.Linear(384, WIDTH, bias=False)
        self.fc1, self.fc2 = nn.Linear(384, 768), nn.Linear(768, WIDTH)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, sentence):
        return self.skip(sentence) + self.fc2(self.dropout(F.gelu(self.fc1(sentence))))


class Model(nn.Module):
    """Both towers. The projection is the identity: text vectors live where the image classifier's rows live."""

    def __init__(self, text_config):
        super().__init__()
        self.visual = Visual()
        self.text = BertModel(text_config, add_pooling_layer=False)
        self.text_head = TextHead()
        self.log_scale = nn.Parameter(torch.tensor(math.log(20.0)))

    def pooled(self, tokens):
        """tokens [B, N, D] → the class token's and the mean token's vectors, each of length 1, [B, D]."""
        cls, mean = self.visual.norm(tokens[:, 0].float()), self.visual.norm(tokens.float().mean(1))
        return F.normalize(cls, dim=-1), F.normalize(mean, dim=-1)

    def sentence(self, ids, mask, frozen=0):
        """Token ids [T, n] → MiniLM's sentence vectors [T, 384] of length 1; the first `frozen` layers get no gradient."""
        bias = (1.0 - mask[:, None, None].float()) * -1e9
        with torch.set_grad_enabled(torch.is_grad_enabled() and frozen == 0):
            x = self.text.embeddings(input_ids=ids)
        for i, layer in enumerate(self.text.encoder.layer):
            with torch.set_grad_enabled(torch.is_grad_enabled() and i >= frozen):
                x = layer(x, attention_mask=bias.to(x.dtype))
                x = x[0] if isinstance(x, tuple) else x
        m = mask[..., None].float()
        return F.normalize((x.float() * m).sum(1) / m.sum(1), dim=-1)

    def name(self, sentence):
        """MiniLM's sentence vectors → text vectors [T, D] of length 1."""
        return F.normalize(self.text_head(sentence), dim=-1)


def gelu_slope(h):
    """The derivative of exact GELU."""
    return 0.5 * (1 + torch.erf(h / math.sqrt(2))) + h * torch.exp(-h * h / 2) / math.sqrt(2 * math.pi)


def norm_back(norm, x, y):
    """A layer norm's transposed Jacobian at x, applied to y."""
    centred = x - x.mean(-1, keepdim=True)
    r = (centred.square().mean(-1, keepdim=True) + norm.eps).rsqrt()
    xh, gy = centred * r, norm.weight * y
    return r * (gy - gy.mean(-1, keepdim=True) - xh * (gy * xh).mean(-1, keepdim=True))


def legrad(visual, index, tensors, texts):
    """One block's LeGrad map in closed form (Bousselham et al., arXiv:2404.03214): score = cosine of the mean token.

    index    the block's number; tensors: what the block returned, (V, Z', h, Z)
    texts    [B, K, D] of length 1
    returns  [B, K, N-1]: how much each patch, as a key, raises the score; not normalised
    """
    block, (V, mid, h, Z) = visual.blocks[index], tensors
    B, N, D = Z.shape
    K = texts.shape[1]
    zbar = Z.float().mean(1)
    f = visual.norm(zbar)
    length = f.norm(dim=-1, keepdim=True)[:, None]
    unit = F.normalize(f, dim=-1)[:, None]
    df = (texts - unit * (texts * unit).sum(-1, keepdim=True)) / length
    g = norm_back(visual.norm, zbar[:, None], df) / N
    w = g @ block.mlp.fc2.weight
    y = (gelu_slope(h.float())[:, None] * w[:, :, None]) @ block.mlp.fc1.weight
    q = (g[:, :, None] + norm_back(block.norm2, mid.float()[:, None], y)) @ block.attn.proj.weight
    q = q.reshape(B, K, N, HEADS, D // HEADS).transpose(2, 3)
    G = q @ V[:, None].transpose(-1, -2).to(q.dtype)
    return F.relu(G.float()).mean((2, 3))[..., 1:]


def spread(maps):
    """Min-max over the last dimension; a flat map gives zeros."""
    low, high = maps.amin(-1, keepdim=True), maps.amax(-1, keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-12)


def begin(start, encoder):
    """A model from timm's ViT-Tiny (its classifier is returned beside it) and MiniLM."""
    from safetensors.torch import load_file
    config = BertConfig.from_pretrained(encoder, attn_implementation="sdpa")
    model = Model(config)
    model.text.load_state_dict(BertModel.from_pretrained(encoder, add_pooling_layer=False).state_dict())
    weights = {k: v.float() for k, v in load_file(start).items()}
    head = {k: weights.pop(k) for k in ("head.weight", "head.bias")}
    model.visual.load_state_dict(weights)
    return model, head
