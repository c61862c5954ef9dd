"""The joint reader of MIX (arXiv:2012.09766): one encoder pass over [CLS] question [SEP] passage [SEP]."""
import json

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import BertConfig, BertModel


class JointReader(nn.Module):
    """A BERT encoder with the extractor's head on every token and the scorer's head on [CLS].

    span  [2, d]  start and end logits
    pair  [2, d]  relevance (the passage is about the question) and answerability (it holds the answer)
    """

    def __init__(self, config):
        super().__init__()
        self.bert = BertModel(config, add_pooling_layer=False)
        self.span = nn.Linear(config.hidden_size, 2)
        self.pair = nn.Linear(config.hidden_size, 2)
        for head in (self.span, self.pair):
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)

    def forward(self, batch):
        """Returns logits [B, T, 2] of span starts and ends and [B, 2] of relevance and answerability."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = self.bert(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"],
                               token_type_ids=batch["token_type_ids"]).last_hidden_state
        hidden = hidden.float()
        return self.span(hidden), self.pair(hidden[:, 0])


def load_reader(path):
    """Weights of a trained reader: a run's checkpoint.pt, or the model.safetensors that export.py wrote of it."""
    if not path.endswith(".safetensors"):
        return torch.load(path, map_location="cpu")["model"]
    stored = load_file(path)
    return {k: v.float() * stored[f"{k}.scale"][:, None] if f"{k}.scale" in stored else v
            for k, v in stored.items() if not k.endswith(".scale")}


def from_encoder(folder, dropout=0.1, start=None, layers=None):
    """A reader on a pretrained encoder (config.json, model.safetensors), or on a trained reader `start` (see load_reader).
    `layers` keeps only those encoder layers, in that order."""
    with open(f"{folder}/config.json", encoding="utf8") as f:
        fields = json.load(f)
    # Attention dropout is left out for speed.
    fields |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": 0.0}
    if start:
        weights = load_reader(start)
    else:
        weights = {f"bert.{k.removeprefix('bert.')}": v for k, v in load_file(f"{folder}/model.safetensors").items()
                   if not k.removeprefix("bert.").startswith("pooler.")}
    have = 1 + max(int(k.split(".")[3]) for k in weights if k.startswith("bert.encoder.layer."))
    layers = layers or range(have)
    fields["num_hidden_layers"] = len(layers)
    config = BertConfig(**fields)
    config._attn_implementation = "eager"  # its backward is 1.2 times faster on CPUs than the fused one
    model = JointReader(config)
    kept = {k: v for k, v in weights.items() if not k.startswith("bert.encoder.layer.")}
    for to, layer in enumerate(layers):
        prefix = f"bert.encoder.layer.{layer}."
        kept |= {f"bert.encoder.layer.{to}.{k.removeprefix(prefix)}": v for k, v in weights.items() if k.startswith(prefix)}
    missing, unexpected = model.load_state_dict(kept, strict=False)
    if unexpected or any(k.startswith("bert.") for k in missing):
        raise ValueError(f"{start or folder}: tensors missing {missing}, unexpected {unexpected}")
    return model
