"""Gives what `evident region export` wrote to the pipelines of diffusers that it was written for.

    evident region export photo.jpg --mask masks.json --form FORM --unchecked -o FORM.safetensors   (for each form)
    python generators.py FORM.safetensors...

The pipelines are the real ones, their networks tiny and random, made for vectors of the file's length: what is
checked is that names, shapes and types are accepted, and that the vector is what conditions the picture: the same
noise gives another picture for another region, and the same for the same. Wants diffusers 0.35, transformers, torch.
"""

import json
import struct
import sys

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    KandinskyV22Pipeline,
    StableDiffusionPipeline,
    StableUnCLIPImg2ImgPipeline,
    UNet2DConditionModel,
    UnCLIPImageVariationPipeline,
    UNet2DModel,
    UnCLIPScheduler,
    VQModel,
)
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from diffusers.pipelines.unclip import UnCLIPTextProjModel
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPVisionConfig, CLIPVisionModelWithProjection

SIDE = 64
WIDE = 32  # of the texts' states


def metadata(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(length))["__metadata__"]


def ddim():
    return DDIMScheduler(beta_schedule="linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1)


def vae():
    return AutoencoderKL(
        block_out_channels=[32, 64], in_channels=3, out_channels=3, latent_channels=4, norm_num_groups=8,
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
    )


def vision(size):
    return CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=WIDE, intermediate_size=37, num_hidden_layers=1, num_attention_heads=4, image_size=32, patch_size=16,
        projection_dim=size,
    ))


def generator():
    return torch.Generator().manual_seed(7)


def kandinsky(t):
    size = t["image_embeds"].shape[1]
    unet = UNet2DConditionModel(
        in_channels=4, out_channels=8, addition_embed_type="image", block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"), attention_head_dim=4,
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), cross_attention_dim=WIDE,
        mid_block_type="UNetMidBlock2DSimpleCrossAttn", encoder_hid_dim=size, encoder_hid_dim_type="image_proj",
        resnet_time_scale_shift="scale_shift",
    )
    movq = VQModel(
        block_out_channels=[32, 64], in_channels=3, out_channels=3, latent_channels=4, norm_num_groups=8, vq_embed_dim=4,
        down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"], norm_type="spatial", num_vq_embeddings=12,
        up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
    )
    pipe = KandinskyV22Pipeline(unet=unet, scheduler=ddim(), movq=movq)
    return lambda i: pipe(
        image_embeds=t["image_embeds"][i : i + 1], negative_image_embeds=t["negative_image_embeds"][i : i + 1],
        height=SIDE, width=SIDE, num_inference_steps=2, generator=generator(), output_type="np",
    ).images


def stable_unclip(t):
    size = t["image_embeds"].shape[1]
    unet = UNet2DConditionModel(
        sample_size=32, in_channels=4, out_channels=4, block_out_channels=(32, 64), attention_head_dim=(2, 4),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        class_embed_type="projection", projection_class_embeddings_input_dim=2 * size, cross_attention_dim=WIDE,
        layers_per_block=1, use_linear_projection=True,
    )
    pipe = StableUnCLIPImg2ImgPipeline(
        feature_extractor=None, image_encoder=vision(size), image_normalizer=StableUnCLIPImageNormalizer(size),
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"), tokenizer=None,
        text_encoder=None, unet=unet, scheduler=ddim(), vae=vae(),
    )
    texts = torch.zeros(1, 7, WIDE)
    return lambda i: pipe(
        image_embeds=t["image_embeds"][i : i + 1], prompt_embeds=texts, negative_prompt_embeds=texts, height=SIDE, width=SIDE,
        num_inference_steps=2, generator=generator(), output_type="np",
    ).images


class Tokenizer:
    """Stands for CLIP's: the pipeline asks it for the empty text alone."""

    model_max_length = 7

    def __call__(self, texts, **_):
        ids = torch.full((len(texts), self.model_max_length), 9)
        ids[:, 0] = 8
        return type("Tokens", (), {"input_ids": ids, "attention_mask": torch.ones_like(ids)})


def unclip(t):
    size = t["image_embeddings"].shape[1]
    texts = CLIPTextModelWithProjection(CLIPTextConfig(
        vocab_size=10, hidden_size=size, intermediate_size=37, num_hidden_layers=1, num_attention_heads=4, projection_dim=size,
        bos_token_id=8, eos_token_id=9, pad_token_id=9,
    ))
    decoder = UNet2DConditionModel(
        sample_size=SIDE, in_channels=3, out_channels=6, block_out_channels=(32, 64), layers_per_block=1, attention_head_dim=4,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"), cross_attention_dim=WIDE,
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), class_embed_type="identity",
        mid_block_type="UNetMidBlock2DSimpleCrossAttn", resnet_time_scale_shift="scale_shift",
    )
    larger = [
        UNet2DModel(
            sample_size=SIDE, in_channels=6, out_channels=3, block_out_channels=(32, 64), layers_per_block=1,
            down_block_types=("ResnetDownsampleBlock2D",) * 2, up_block_types=("ResnetUpsampleBlock2D",) * 2,
        )
        for _ in range(2)
    ]
    steps = {"variance_type": "learned_range", "prediction_type": "epsilon", "num_train_timesteps": 1000}
    pipe = UnCLIPImageVariationPipeline(
        decoder=decoder, text_encoder=texts, tokenizer=Tokenizer(), image_encoder=vision(size), feature_extractor=None,
        text_proj=UnCLIPTextProjModel(
            clip_embeddings_dim=size, time_embed_dim=128, cross_attention_dim=WIDE, clip_extra_context_tokens=4),
        super_res_first=larger[0], super_res_last=larger[1], decoder_scheduler=UnCLIPScheduler(**steps),
        super_res_scheduler=UnCLIPScheduler(variance_type="fixed_small_log", prediction_type="epsilon"),
    )
    return lambda i: pipe(
        image_embeddings=t["image_embeddings"][i : i + 1], decoder_num_inference_steps=2, super_res_num_inference_steps=2,
        generator=generator(), output_type="np",
    ).images


def ip_adapter(t):
    size = t["ip_adapter_image_embeds"].shape[2]
    unet = UNet2DConditionModel(
        sample_size=SIDE // 2, in_channels=4, out_channels=4, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDE,
    )
    adapter, number = {}, 1
    for name in unet.attn_processors:
        if name.endswith("attn2.processor"):
            hidden = 64  # all cross-attention of this network is in its widest blocks
            for part in ("to_k_ip", "to_v_ip"):
                adapter[f"{number}.{part}.weight"] = torch.randn(hidden, WIDE) / WIDE**0.5
            number += 2
    projection = {
        "proj.weight": torch.randn(4 * WIDE, size) / size**0.5, "proj.bias": torch.zeros(4 * WIDE),
        "norm.weight": torch.ones(WIDE), "norm.bias": torch.zeros(WIDE),
    }
    unet._load_ip_adapter_weights([{"image_proj": projection, "ip_adapter": adapter}])
    pipe = StableDiffusionPipeline(
        vae=vae(), text_encoder=None, tokenizer=None, unet=unet, scheduler=ddim(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )
    texts = torch.zeros(1, 7, WIDE)
    return lambda i: pipe(
        prompt_embeds=texts, negative_prompt_embeds=texts, ip_adapter_image_embeds=[t["ip_adapter_image_embeds"][:, i : i + 1]],
        cross_attention_kwargs={"ip_adapter_masks": [t["ip_adapter_masks"][:, i : i + 1]]},
        height=SIDE, width=SIDE, num_inference_steps=2, generator=generator(), output_type="np",
    ).images


PIPELINES = {
    "kandinsky": kandinsky, "unclip": unclip, "stable-unclip": stable_unclip, "stable-unclip-small": stable_unclip,
    "ip-adapter": ip_adapter, "ip-adapter-sdxl": ip_adapter,
}


def main():
    for path in sys.argv[1:]:
        form = metadata(path)["form"]
        tensors = {name: t.float() for name, t in load_file(path).items()}
        n = tensors["map"].shape[0]
        if n < 2:
            sys.exit(f"{path}: one region; two are needed to compare")
        torch.manual_seed(3)
        with torch.no_grad():
            draw = PIPELINES[form](tensors)
            first, again, other = draw(0), draw(0), draw(1)
        assert first.shape == (1, SIDE, SIDE, 3), first.shape
        assert (first == again).all(), "the same region gives two pictures"
        difference = float(abs(first - other).max())
        assert difference > 1e-4, f"two regions give one picture ({difference})"
        print(f"{form}: accepted; another region changes the picture by {difference:.3f}")


if __name__ == "__main__":
    main()
