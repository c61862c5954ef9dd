"""Writes the goldens of model/bert with transformers.

    python tools/ref/encoders.py small model/bert/testdata
    python tools/ref/encoders.py minilm FOLDER model/bert/testdata
    python tools/ref/encoders.py rounding FOLDER model/bert/testdata

small: a random model of every kind, its outputs for random inputs of several lengths. minilm: FOLDER is
all-MiniLM-L6-v2 as tools/ref/minilm.py makes it; only the outputs are kept. rounding: what rounding the factors of
MiniLM's linear products to bfloat16 costs by itself. Needs torch 2.9.1, transformers 4.57.1.
"""
import json
import os
import shutil
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import (BertConfig, BertForQuestionAnswering, BertModel, BertTokenizerFast, DistilBertConfig,
                          DistilBertForQuestionAnswering, DistilBertModel, RobertaConfig, RobertaForQuestionAnswering,
                          RobertaModel)
from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode

LENGTHS = (5, 1, 17, 2, 31, 13)
SENTENCES = [("Who designed the bridge?", "The old bridge was designed by Ada Kovács in 1871, and rebuilt after the flood of 1954."),
             ("", "Straße"), ("What is the largest known star?", "東京 is not a star; “UY Scuti” perhaps is (1,708 ± 192 R☉)."),
             ("unbelievable antidisestablishmentarianism?", "No.")]


def bert(**more):
    return BertConfig(vocab_size=53, hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=37,
                      max_position_embeddings=41, **more)


def roberta(**more):
    return RobertaConfig(vocab_size=263, hidden_size=26, num_hidden_layers=2, num_attention_heads=2, intermediate_size=41,
                         max_position_embeddings=37, type_vocab_size=1, **more)


def distilbert(**more):
    return DistilBertConfig(vocab_size=53, dim=35, n_layers=2, n_heads=5, hidden_dim=43, max_position_embeddings=41, **more)


class Joint(torch.nn.Module):
    """evident's joint reader: training/mix/model.py."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.bert = BertModel(config, add_pooling_layer=False)
        self.span = torch.nn.Linear(config.hidden_size, 2)
        self.pair = torch.nn.Linear(config.hidden_size, 2)

    def forward(self, input_ids, token_type_ids):
        out = self.bert(input_ids=input_ids, token_type_ids=token_type_ids)
        spans = self.span(out.last_hidden_state)
        out["start_logits"], out["end_logits"] = spans[..., 0], spans[..., 1]
        out["pair_logits"] = self.pair(out.last_hidden_state[:, 0])
        return out


KINDS = {
    "bert": (BertModel, bert(hidden_act="gelu_new")),
    "bert-qa": (BertForQuestionAnswering, bert(hidden_act="gelu", layer_norm_eps=1e-5)),
    "bert-quick": (BertModel, bert(hidden_act="quick_gelu")),
    "roberta": (RobertaModel, roberta(hidden_act="gelu_pytorch_tanh")),
    "roberta-qa": (RobertaForQuestionAnswering, roberta(hidden_act="relu", layer_norm_eps=1e-5)),
    "distilbert": (DistilBertModel, distilbert(activation="relu")),
    "distilbert-qa": (DistilBertForQuestionAnswering, distilbert(activation="gelu")),
    "joint": (Joint, bert(hidden_act="gelu")),
}


def randomise(model):
    """Weights large enough that every tensor is felt: a swapped or forgotten one changes the outputs."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.normal_(0, 0.5 if "embeddings" in name else 1.7 / max(p.shape) ** 0.5 if p.dim() == 2 else 0.3)
            if "norm" in name.lower() and name.endswith("weight"):
                p.add_(1)


def compress(state):
    """Two-dimensional tensors as int8 with a scale for each row; also puts the rounded values back into state."""
    stored = {}
    for name, w in state.items():
        if w.dim() != 2:
            stored[name] = w.clone()
            continue
        scale = w.abs().amax(1) / 127
        q = torch.round(w / scale[:, None]).to(torch.int8)
        stored[name], stored[name + ".scale"] = q, scale
        w.copy_(q.float() * scale[:, None])
    return stored


def vocabulary(folder, family):
    if family == "roberta":
        pieces = ["<s>", "<pad>", "</s>", "<unk>", *bytes_to_unicode().values(), "aa", "Ġaa", "<mask>"]
        with open(f"{folder}/vocab.json", "w", encoding="utf8") as f:
            json.dump({p: i for i, p in enumerate(pieces)}, f, ensure_ascii=False)
        with open(f"{folder}/merges.txt", "w", encoding="utf8") as f:
            f.write("#version: 0.2\na a\nĠ aa\n")
        return
    with open(f"{folder}/vocab.txt", "w", encoding="utf8") as f:
        f.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz", *("##" + c for c in "abcdefghijklmno")]))


def run(model, kind, ids, types):
    inputs = {"input_ids": torch.tensor([ids])}
    if not kind.startswith("distilbert"):
        inputs["token_type_ids"] = torch.tensor([types])
    out = model(**inputs, **({} if kind == "joint" else {"output_hidden_states": True}))
    hidden = out.last_hidden_state if "last_hidden_state" in out else out.hidden_states[-1]
    return {"hidden": hidden[0]} | {k.removesuffix("_logits"): out[k][0] for k in ("start_logits", "end_logits") if k in out} | (
        {"pair": out["pair_logits"]} if "pair_logits" in out else {})


def small(out):
    for kind, (cls, config) in KINDS.items():
        torch.manual_seed(len(kind) * 7 + ord(kind[0]))
        folder = f"{out}/{kind}"
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        model = cls(config).eval()
        randomise(model)
        family = config.model_type
        with torch.no_grad():
            if kind == "joint":
                state = {k: v for k, v in model.state_dict().items() if "position_ids" not in k}
                save_file(compress(state), f"{folder}/model.safetensors")
                with open(f"{folder}/config.json", "w", encoding="utf8") as f:
                    json.dump(config.to_dict() | {"architectures": ["EvidentJointReader"]}, f, indent=1)
                with open(f"{folder}/reader.json", "w", encoding="utf8") as f:
                    json.dump({"fusion": [1, 2, 3]}, f)
            else:
                if kind == "bert-quick":
                    model.to(torch.bfloat16)
                model.save_pretrained(folder, max_shard_size="20KB" if kind == "roberta" else "1GB")
                model.float()
            vocabulary(folder, family)
            cases, outputs = [], []
            for n in LENGTHS:
                ids = torch.randint(4, config.vocab_size, (n,)).tolist()
                types = [int(i > n // 2) if family == "bert" else 0 for i in range(n)]
                if family == "roberta" and n > 3:
                    ids[2] = config.pad_token_id  # its position is special
                cases.append({"ids": ids, "types": types})
                outputs.append(run(model, kind, ids, types))
            tensors = {k: torch.cat([o[k] for o in outputs]).contiguous() for k in outputs[0]}
            save_file(tensors, f"{folder}/golden.safetensors", {"inputs": json.dumps(cases)})
            print(kind, {k: (tuple(v.shape), round(float(v.std()), 3)) for k, v in tensors.items()})


def minilm(folder, out):
    model, tokenizer = BertModel.from_pretrained(folder, add_pooling_layer=False).eval(), BertTokenizerFast.from_pretrained(folder)
    cases, rows = [], []
    with torch.no_grad():
        for first, second in SENTENCES:
            e = tokenizer(*((first, second) if first else (second,)), return_tensors="pt")
            rows.append(model(**e).last_hidden_state[0])
            cases.append({"first": first, "second": second, "ids": e["input_ids"][0].tolist(), "types": e["token_type_ids"][0].tolist()})
    save_file({"hidden": torch.cat(rows)}, f"{out}/minilm.safetensors", {"inputs": json.dumps(cases, ensure_ascii=False)})


def rounding(folder, out):
    """Prints the relative RMS error of the hidden rows against float64."""
    with safe_open(f"{out}/minilm.safetensors", "pt") as f:
        cases = json.loads(f.metadata()["inputs"])
    exact = BertModel.from_pretrained(folder, add_pooling_layer=False).eval().double()
    for attention in (False, True):
        model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.data = module.weight.data.bfloat16().float()
                module.register_forward_pre_hook(lambda _, args: (args[0].bfloat16().float(),))
                if attention and name.endswith(("query", "key", "value")):
                    module.register_forward_hook(lambda _, args, result: result.bfloat16().float())
        error = total = 0.0
        with torch.no_grad():
            for case in cases:
                inputs = {"input_ids": torch.tensor([case["ids"]]), "token_type_ids": torch.tensor([case["types"]])}
                want = exact(**inputs).last_hidden_state
                error += float((model(**inputs).last_hidden_state.double() - want).square().sum())
                total += float(want.square().sum())
        print("with queries, keys and values" if attention else "linear products", (error / total) ** 0.5)


if __name__ == "__main__":
    {"small": small, "minilm": minilm, "rounding": rounding}[sys.argv[1]](*sys.argv[2:])
