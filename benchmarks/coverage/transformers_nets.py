"""Architectures of transformers 5.24.0, with few and narrow layers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.coverage.architecture import Architecture, Input

_WORDS, _TOKENS = 64, 16
_IDS = Input("input_ids", (_TOKENS,), _WORDS)
_MASK = Input("attention_mask", (_TOKENS,), 2, is_mask=True)
_WIDTHS: Mapping[str, Any] = {
    "vocab_size": _WORDS,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}
_TEXT: Mapping[str, Any] = {**_WIDTHS, "max_position_embeddings": 32, "pad_token_id": 0}
_PATCHES: Mapping[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "image_size": 32,
    "patch_size": 8,
}


class _Net(nn.Module):
    """A model of which the first output is taken; forward has the names of its inputs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def first(self, **inputs: torch.Tensor) -> torch.Tensor:
        found = self.model(**inputs, return_dict=True)
        values = [value for value in found.values() if isinstance(value, torch.Tensor)]
        return values[0]


class _TextNet(_Net):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Returns the features of all tokens."""
        return self.first(input_ids=input_ids, attention_mask=attention_mask)


class _ImageNet(_Net):
    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Returns features or logits."""
        return self.first(pixel_values=pixel_values)


class _SpeechNet(_Net):
    def forward(self, input_values: torch.Tensor) -> torch.Tensor:
        """Returns the features of all frames."""
        return self.first(input_values=input_values)


class _SpectrumNet(_Net):
    def forward(self, input_features: torch.Tensor) -> torch.Tensor:
        """Returns the features of all frames."""
        return self.first(input_features=input_features)


def _make(net: type[_Net], model: str, config: str, options: Mapping[str, Any]) -> nn.Module:
    library = importlib.import_module("transformers")
    module, _, name = model.rpartition(".")
    chosen = getattr(library, config)(**options)
    made = importlib.import_module(f"transformers.models.{module}") if module else library
    return net(getattr(made, name)(chosen))


def _text(
    name: str,
    model: str,
    config: str,
    *,
    base: Mapping[str, Any] = _TEXT,
    family: str = "encoder",
    **options: Any,
) -> Architecture:
    made = partial(_make, _TextNet, model, config, {**base, **options})
    return Architecture(name, "transformers", family, (_IDS, _MASK), made)


def _image(
    name: str,
    model: str,
    config: str,
    *,
    size: int = 32,
    base: Mapping[str, Any] = _PATCHES,
    family: str = "vision transformer",
    **options: Any,
) -> Architecture:
    made = partial(_make, _ImageNet, model, config, {**base, **options})
    inputs = (Input("pixel_values", (3, size, size)),)
    return Architecture(name, "transformers", family, inputs, made)


_TEXTS = (
    _text("bert", "BertModel", "BertConfig"),
    _text("bert-eager", "BertModel", "BertConfig", attn_implementation="eager"),
    _text("distilbert", "DistilBertModel", "DistilBertConfig",
          base={"vocab_size": _WORDS, "dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128,
                "max_position_embeddings": 32}),
    _text("albert", "AlbertModel", "AlbertConfig", embedding_size=32),
    _text("electra", "ElectraModel", "ElectraConfig", embedding_size=32),
    _text("roberta", "RobertaModel", "RobertaConfig"),
    _text("xlm-roberta", "XLMRobertaModel", "XLMRobertaConfig"),
    _text("camembert", "CamembertModel", "CamembertConfig"),
    _text("mobilebert", "MobileBertModel", "MobileBertConfig", embedding_size=32,
          intra_bottleneck_size=32),
    _text("mpnet", "MPNetModel", "MPNetConfig"),
    _text("deberta-v2", "DebertaV2Model", "DebertaV2Config"),
    _text("squeezebert", "SqueezeBertModel", "SqueezeBertConfig", embedding_size=64),
    _text("convbert", "ConvBertModel", "ConvBertConfig", embedding_size=64, head_ratio=2,
          conv_kernel_size=3),
    _text("layoutlm-text", "LayoutLMModel", "LayoutLMConfig", max_2d_position_embeddings=32),
    _text("modernbert", "ModernBertModel", "ModernBertConfig", eos_token_id=1, bos_token_id=2,
          cls_token_id=2, sep_token_id=1, attn_implementation="sdpa"),
    _text("t5-encoder", "T5EncoderModel", "T5Config",
          base={"vocab_size": _WORDS, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2,
                "num_heads": 4}),
    _text("clip-text", "CLIPTextModel", "CLIPTextConfig", max_position_embeddings=_TOKENS,
          eos_token_id=1, bos_token_id=2),
    _text("gpt2", "GPT2Model", "GPT2Config", family="decoder",
          base={"vocab_size": _WORDS, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 32,
                "use_cache": False}),
    _text("opt", "OPTModel", "OPTConfig", family="decoder", ffn_dim=128, word_embed_proj_dim=64,
          use_cache=False),
    _text("gpt-neox", "GPTNeoXModel", "GPTNeoXConfig", family="decoder", use_cache=False),
    _text("llama", "LlamaModel", "LlamaConfig", family="decoder", num_key_value_heads=4,
          use_cache=False),
    _text("mistral", "MistralModel", "MistralConfig", family="decoder", num_key_value_heads=2,
          use_cache=False),
    _text("qwen2", "Qwen2Model", "Qwen2Config", family="decoder", num_key_value_heads=2,
          use_cache=False),
    _text("bloom", "BloomModel", "BloomConfig", family="decoder", use_cache=False,
          n_layer=2, n_head=4),
)  # fmt: skip
_STAGES: Mapping[str, Any] = {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]}
_IMAGES = (
    _image("vit", "ViTModel", "ViTConfig"),
    _image("deit", "DeiTModel", "DeiTConfig"),
    _image("beit", "BeitModel", "BeitConfig", use_absolute_position_embeddings=True,
           layer_scale_init_value=0.5),
    _image("dinov2", "Dinov2Model", "Dinov2Config", layerscale_value=0.5),
    _image("clip-vision", "CLIPVisionModel", "CLIPVisionConfig"),
    _image("siglip-vision", "SiglipVisionModel", "SiglipVisionConfig", vision_use_head=False),
    _image("vit-msn", "ViTMSNModel", "ViTMSNConfig"),
    _image("swin", "SwinModel", "SwinConfig", size=64,
           base={"image_size": 64, "patch_size": 4, "embed_dim": 24, "depths": [2, 2],
                 "num_heads": [2, 4], "window_size": 4}),
    _image("swinv2", "Swinv2Model", "Swinv2Config", size=64,
           base={"image_size": 64, "patch_size": 4, "embed_dim": 24, "depths": [2, 2],
                 "num_heads": [2, 4], "window_size": 4}),
    _image("convnext", "ConvNextModel", "ConvNextConfig", size=64,
           base={**_STAGES, "layer_scale_init_value": 0.5}),
    _image("convnextv2", "ConvNextV2Model", "ConvNextV2Config", size=64, base=_STAGES),
    _image("mobilevit", "MobileViTModel", "MobileViTConfig", size=64,
           base={"image_size": 64, "hidden_sizes": [32, 48, 64], "num_attention_heads": 4,
                 "neck_hidden_sizes": [16, 16, 24, 32, 48, 64, 64]}),
    _image("mobilevitv2", "MobileViTV2Model", "MobileViTV2Config", size=64,
           base={"image_size": 64, "width_multiplier": 0.5}),
    _image("segformer", "SegformerForSemanticSegmentation", "SegformerConfig", size=64,
           base={"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1],
                 "num_attention_heads": [1, 2, 3, 4], "decoder_hidden_size": 64}),
    _image("poolformer", "PoolFormerModel", "PoolFormerConfig", size=64,
           base={**_STAGES, "layer_scale_init_value": 0.5}),
    _image("pvt", "PvtModel", "PvtConfig", size=64,
           base={"image_size": 64, "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1],
                 "num_attention_heads": [1, 2, 3, 4]}),
    _image("levit", "LevitModel", "LevitConfig", size=64,
           base={"image_size": 64, "hidden_sizes": [32, 48, 64], "depths": [1, 1, 1],
                 "num_attention_heads": [2, 3, 4], "key_dim": [16, 16, 16]}),
    _image("regnet-hf", "RegNetModel", "RegNetConfig", size=64, family="classifier",
           base={"embedding_size": 16, "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1],
                 "groups_width": 16}),
    _image("resnet-hf", "ResNetModel", "ResNetConfig", size=64, family="classifier",
           base={**_STAGES, "embedding_size": 16}),
    _image("mobilenet-v1-hf", "MobileNetV1Model", "MobileNetV1Config", size=64,
           family="classifier", base={"image_size": 64, "depth_multiplier": 0.5}),
    _image("mobilenet-v2-hf", "MobileNetV2Model", "MobileNetV2Config", size=64,
           family="classifier", base={"image_size": 64, "depth_multiplier": 0.5}),
    _image("dpt", "DPTForDepthEstimation", "DPTConfig", family="dense prediction",
           base={**_PATCHES, "num_hidden_layers": 4, "backbone_out_indices": [0, 1, 2, 3],
                 "neck_hidden_sizes": [16, 32, 48, 64], "fusion_hidden_size": 32,
                 "is_hybrid": False}),
)  # fmt: skip
_SPEECH = (
    Architecture(
        "wav2vec2", "transformers", "speech", (Input("input_values", (1600,)),),
        partial(_make, _SpeechNet, "Wav2Vec2Model", "Wav2Vec2Config", {
            **_WIDTHS, "conv_dim": (32, 32, 32), "conv_stride": (5, 4, 2),
            "conv_kernel": (10, 8, 4), "num_feat_extract_layers": 3,
            "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
            "mask_time_prob": 0.0,
        }),
    ),
    Architecture(
        "hubert", "transformers", "speech", (Input("input_values", (1600,)),),
        partial(_make, _SpeechNet, "HubertModel", "HubertConfig", {
            **_WIDTHS, "conv_dim": (32, 32, 32), "conv_stride": (5, 4, 2),
            "conv_kernel": (10, 8, 4), "num_feat_extract_layers": 3,
            "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
            "mask_time_prob": 0.0,
        }),
    ),
    Architecture(
        "whisper-encoder", "transformers", "speech", (Input("input_features", (20, 64)),),
        partial(_make, _SpectrumNet, "whisper.modeling_whisper.WhisperEncoder", "WhisperConfig", {
            "num_mel_bins": 20, "d_model": 64, "encoder_layers": 2, "encoder_attention_heads": 4,
            "encoder_ffn_dim": 128, "max_source_positions": 32,
        }),
    ),
    Architecture(
        "ast", "transformers", "speech", (Input("input_values", (64, 32)),),
        partial(_make, _SpeechNet, "ASTModel", "ASTConfig", {
            "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "intermediate_size": 128, "num_mel_bins": 32, "max_length": 64,
        }),
    ),
)  # fmt: skip

_THROUGH_ONNX = frozenset({
    "bert", "distilbert", "albert", "electra", "roberta", "mobilebert", "mpnet", "squeezebert",
    "t5-encoder", "gpt2", "opt", "llama", "vit", "deit", "beit", "dinov2", "clip-vision", "swin",
    "levit", "convnext", "convnextv2", "mobilevit", "segformer", "poolformer", "pvt", "regnet-hf",
    "resnet-hf", "dpt", "wav2vec2", "whisper-encoder",
})  # fmt: skip

ARCHITECTURES = tuple(
    replace(architecture, through_onnx=architecture.name in _THROUGH_ONNX)
    for architecture in (*_TEXTS, *_IMAGES, *_SPEECH)
)
