"""The decoder: a small GPT whose first token is a vector of the vision-language model.

Letters: B texts, T tokens, D width, E = 192 the size of the vision-language model's vectors, V word pieces.
"""
import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Causal attention; its tensors are named as timm names them."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(x).reshape(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=self.dropout if self.training else 0.0)
        return self.proj(y.transpose(1, 2).reshape(B, T, D))


class Perceptron(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp, self.drop = Attention(width, heads, dropout), Perceptron(width), nn.Dropout(dropout)

    def forward(self, x):
        x = x + self.drop(self.attn(self.norm1(x)))
        return x + self.drop(self.mlp.fc2(F.gelu(self.mlp.fc1(self.norm2(x)))))


class Decoder(nn.Module):
    """Says a text whose vector is given. Its first token is the vector, carried to width D; what it says at token i is piece i."""

    def __init__(self, size, pieces, width, layers, heads, length, dropout=0.1):
        super().__init__()
        self.settings = dict(size=size, pieces=pieces, width=width, layers=layers, heads=heads, length=length)
        self.prefix = nn.Linear(size, width)
        self.tokens = nn.Embedding(pieces, width)
        self.positions = nn.Parameter(torch.zeros(length, width))
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm, self.drop = nn.LayerNorm(width), nn.Dropout(dropout)
        for name, p in self.named_parameters():
            if p.ndim > 1:
                nn.init.normal_(p, std=0.02 / ((2 * layers) ** 0.5 if name.endswith(("proj.weight", "fc2.weight")) else 1))
            elif name.endswith("bias"):
                nn.init.zeros_(p)
        nn.init.normal_(self.prefix.weight, std=size ** -0.5)

    def states(self, vectors, ids):
        """vectors [B, E] of length 1, ids [B, T-1] → the last block's tokens, normalised, [B, T, D]."""
        x = torch.cat([self.prefix(vectors)[:, None], self.tokens(ids)], 1)
        x = self.drop(x + self.positions[:x.shape[1]])
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def forward(self, vectors, ids):
        """Logits [B, T, V]: row t is of the piece after t pieces."""
        return self.states(vectors, ids) @ self.tokens.weight.T


def project(vectors, memory, temperature):
    """Vectors [B, E] → the mean of memory's texts [M, E], weighted by softmax(cosine / temperature), of length 1 (DeCap, eq. 3)."""
    return F.normalize((vectors @ memory.T / temperature).softmax(-1) @ memory, dim=-1)
