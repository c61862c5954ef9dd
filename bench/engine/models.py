"""The encoders that are compared, and what each engine reads of them."""

import json
from typing import NamedTuple

import numpy as np
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import BertConfig, BertModel, ViTConfig, ViTModel


class Case(NamedTuple):
    name: str
    kind: str  # bert: post-norm, vit: pre-norm
    layers: int
    width: int
    heads: int
    tokens: int


CASES = [Case("minilm-l6-256", "bert", 6, 384, 12, 256), Case("bert-12x384-192", "bert", 12, 384, 12, 192),
         Case("bert-base-512", "bert", 12, 768, 12, 512), Case("vit-b16-197", "vit", 12, 768, 12, 197),
         Case("vit-b16-785", "vit", 12, 768, 12, 785)]


def model_of(case, folder=None):
    """A model with random weights, or those of a Hugging Face folder."""
    torch.manual_seed(case.layers)
    kinds = {"bert": (BertConfig, BertModel, {"vocab_size": 1000}),
             "vit": (ViTConfig, ViTModel, {"image_size": 16 * round((case.tokens - 1) ** 0.5)})}
    config, model, more = kinds[case.kind]
    if folder:
        return model.from_pretrained(folder, attn_implementation="eager").eval()
    return model(config(hidden_size=case.width, num_hidden_layers=case.layers,
                        num_attention_heads=case.heads, intermediate_size=4 * case.width,
                        attn_implementation="eager", **more)).eval()


def inputs_of(case, model, batch):
    """Hidden rows [batch, tokens, width] as the embeddings of random ids or pixels make them."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        if case.kind == "bert":
            ids = torch.randint(model.config.vocab_size, (batch, case.tokens), generator=generator)
            return model.embeddings(ids)
        size = model.config.image_size
        return model.embeddings(torch.randn((batch, 3, size, size), generator=generator))


class Layers(torch.nn.Module):
    """The encoder without embeddings and head: hidden rows in, hidden rows out."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.eval()

    def forward(self, x):
        return self.encoder(x)[0]


def reference(model, x):
    """The exact result, one sequence at a time in float64. The model is float64 afterwards."""
    encoder = Layers(model.double().encoder)
    with torch.inference_mode():
        return np.concatenate([encoder(one[None].double()).numpy().ravel() for one in x])


def export(case, model, x, plain, fused, int8):
    """Writes ONNX as torch exports it, as ONNX Runtime's optimiser fuses it, and that in int8."""
    torch.onnx.export(Layers(model.encoder), (x[:1],), str(plain), input_names=["x"],
                      output_names=["y"], opset_version=17, dynamo=False,
                      dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}})
    import onnx
    from onnxruntime.transformers import optimizer
    graph = optimizer.optimize_model(str(plain), model_type=case.kind, opt_level=0,
                                     num_heads=case.heads, hidden_size=case.width)
    graph.save_model_to_file(str(fused))
    quantize_dynamic(str(fused), str(int8), weight_type=QuantType.QInt8, per_channel=True,
                     extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
    return {k: v for k, v in graph.get_fused_operator_statistics().items() if v}


def tensors_of(case, layer):
    """A layer's tensors in the order of main.go."""
    a = layer.attention.self if case.kind == "bert" else layer.attention.attention
    out, down = layer.attention.output, layer.output
    norms = ((out.LayerNorm, down.LayerNorm) if case.kind == "bert"
             else (layer.layernorm_before, layer.layernorm_after))
    return [torch.cat([a.query.weight, a.key.weight, a.value.weight]),
            torch.cat([a.query.bias, a.key.bias, a.value.bias]),
            out.dense.weight, out.dense.bias, norms[0].weight, norms[0].bias,
            layer.intermediate.dense.weight, layer.intermediate.dense.bias,
            down.dense.weight, down.dense.bias, norms[1].weight, norms[1].bias]


def write_ours(case, model, x, path):
    """The format of main.go: a line of JSON, then the input, then each layer's tensors."""
    c = model.config
    assert c.hidden_act == "gelu", c.hidden_act
    head = {"layers": c.num_hidden_layers, "width": c.hidden_size, "heads": c.num_attention_heads,
            "wide": c.intermediate_size, "batch": x.shape[0], "tokens": x.shape[1],
            "epsilon": c.layer_norm_eps, "prenorm": case.kind == "vit"}
    with open(path, "wb") as f:
        f.write(json.dumps(head).encode() + b"\n")
        for t in [x] + [t for layer in model.encoder.layer for t in tensors_of(case, layer)]:
            f.write(np.ascontiguousarray(t.detach().numpy(), dtype="<f4").tobytes())
