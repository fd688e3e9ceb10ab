"""A small encoder in the manner of BERT, as plain torch modules."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

TOKENS, WORDS, FEATURES, HEADS = 12, 50, 32, 4
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Layer(nn.Module):
    """Self-attention and two linear layers, each with a residual and a norm behind."""

    def __init__(self, *, written_out: bool) -> None:
        super().__init__()
        self.query, self.key, self.value, self.joined = (
            nn.Linear(FEATURES, FEATURES) for _ in range(4)
        )
        self.first_norm, self.second_norm = nn.LayerNorm(FEATURES), nn.LayerNorm(FEATURES)
        self.wide, self.narrow = nn.Linear(FEATURES, 64), nn.Linear(64, FEATURES)
        self.written_out = written_out

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            layer(x).view(x.size(0), TOKENS, HEADS, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        if self.written_out:
            scores = query @ key.transpose(-1, -2) / 8**0.5 + (1.0 - mask.float()) * -1e4
            attended = scores.softmax(-1) @ value
        else:
            attended = F.scaled_dot_product_attention(query, key, value, mask)
        joined = attended.transpose(1, 2).reshape(x.size(0), TOKENS, FEATURES)
        x = self.first_norm(F.dropout(self.joined(joined), 0.1, self.training) + x)
        return self.second_norm(self.narrow(F.gelu(self.wide(x))) + x)


class Encoder(nn.Module):
    """Ids, a mask and types of tokens to features of all tokens and a summary of the first."""

    def __init__(self, *, written_out: bool = False) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, FEATURES)
        self.places = nn.Embedding(TOKENS, FEATURES)
        self.types = nn.Embedding(2, FEATURES)
        self.norm = nn.LayerNorm(FEATURES)
        self.layers = nn.ModuleList(Layer(written_out=written_out) for _ in range(2))
        self.summary = nn.Linear(FEATURES, 8)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        places = torch.arange(TOKENS).unsqueeze(0)
        x = self.words(input_ids) + self.types(token_type_ids) + self.places(places)
        x = self.norm(x)
        keep = attention_mask[:, None, None, :].bool().expand(-1, 1, TOKENS, TOKENS)
        for layer in self.layers:
            x = layer(x, keep)
        return x, torch.tanh(self.summary(x[:, 0]))


def export_encoder(path: Path, *, written_out: bool = False) -> Path:
    """Saves an encoder with random weights and a dynamic batch."""
    torch.manual_seed(0)
    model = Encoder(written_out=written_out).eval()
    arguments = tuple(torch.from_numpy(array) for array in token_arrays(2).values())
    batch = torch.export.Dim("batch", min=1, max=64)
    shapes = tuple({0: batch} for _ in INPUTS)
    torch.export.save(torch.export.export(model, arguments, dynamic_shapes=shapes), path)
    return path


def export_encoder_as_onnx(path: Path, *, written_out: bool = False, opset: int = 17) -> Path:
    """Saves the same encoder as ONNX, where attention is written as its operators."""
    torch.manual_seed(0)
    model = Encoder(written_out=written_out).eval()
    arguments = tuple(torch.from_numpy(array) for array in token_arrays(2).values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter by tracing is deprecated, and much used
        torch.onnx.export(
            model,
            arguments,
            path,
            dynamo=False,
            opset_version=opset,
            input_names=list(INPUTS),
            output_names=["features", "summary"],
            dynamic_axes={name: {0: "batch"} for name in INPUTS},
        )
    return path


def token_arrays(count: int, seed: int = 0) -> dict[str, NDArray[np.int64]]:
    """Returns random inputs; the mask leaves out tokens at the end."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, TOKENS + 1, count)
    return {
        "input_ids": rng.integers(0, WORDS, (count, TOKENS)),
        "attention_mask": (np.arange(TOKENS) < lengths[:, None]).astype(np.int64),
        "token_type_ids": rng.integers(0, 2, (count, TOKENS)),
    }
