"""Networks of torch's own attention modules, which work on [S, N, features] and [N * H, S, D]."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

TOKENS, FEATURES, HEADS, WORDS = 5, 16, 4, 20


def _encoder(layers: int, **options: object) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(FEATURES, HEADS, 32, **options)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


class Encoder(nn.Module):
    """nn.TransformerEncoder with the samples first, and a mask of padding."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _encoder(2, batch_first=True)

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        return self.encoder(x, src_key_padding_mask=padding)


class Attention(nn.Module):
    """nn.MultiheadAttention that returns its weights, with a key and a value of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            FEATURES, HEADS, batch_first=True, add_bias_kv=True, add_zero_attn=True
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.attention(x, x, x)


class SequenceFirst(nn.Module):
    """Ids to classes by a class token: all of it on [S, N, features]."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, FEATURES)
        self.places = nn.Parameter(torch.randn(TOKENS + 1, 1, FEATURES))
        self.token = nn.Parameter(torch.randn(1, 1, FEATURES))
        self.encoder = _encoder(1, norm_first=True, activation="gelu")
        self.head = nn.Linear(FEATURES, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.words(ids.transpose(0, 1))
        x = torch.cat([self.token.expand(-1, x.shape[1], -1), x], 0) + self.places
        return self.head(self.encoder(x)[0])


class Decoder(nn.Module):
    """nn.TransformerDecoder: causal attention, and attention to other tokens."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerDecoderLayer(FEATURES, HEADS, 32, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, 1)

    def forward(self, x: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(TOKENS)
        return self.decoder(x, memory, tgt_mask=mask, tgt_is_causal=True)


class MaskedTwice(nn.Module):
    """An encoder with a mask of pairs, which is -inf where it holds, and one of padding."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _encoder(1, batch_first=True)
        mask = torch.full((TOKENS, TOKENS), -torch.inf).triu(1)
        self.register_buffer("mask", mask)

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        left_out = torch.zeros_like(x[:, :, 0]).masked_fill(padding, -torch.inf)
        return self.encoder(x, mask=self.mask, src_key_padding_mask=left_out, is_causal=True)


def rows(count: int, tokens: int = TOKENS) -> torch.Tensor:
    return torch.randn(count, tokens, FEATURES)


def padding(count: int) -> torch.Tensor:
    """Returns which tokens are none: the last two of every other sample."""
    mask = torch.zeros(count, TOKENS, dtype=torch.bool)
    mask[::2, 3:] = True
    return mask


@dataclass(frozen=True)
class Case:
    """A network, its inputs for a number of samples, and how many of its attentions are fused."""

    network: Callable[[], nn.Module]
    inputs: Callable[[int], tuple[torch.Tensor, ...]]
    fused: int


CASES = {
    "encoder": Case(Encoder, lambda n: (rows(n), padding(n)), 2),
    "weights": Case(Attention, lambda n: (rows(n),), 0),
    "sequence first": Case(SequenceFirst, lambda n: (torch.randint(0, WORDS, (n, TOKENS)),), 1),
    "decoder": Case(Decoder, lambda n: (rows(n), rows(n, 6)), 0),
    "masked twice": Case(MaskedTwice, lambda n: (rows(n), padding(n)), 0),
}


def network(case: Case) -> nn.Module:
    """Returns a network with random weights; biases begin with zeros in torch."""
    torch.manual_seed(0)
    made = case.network().eval()
    for parameter in made.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, 0.1, 0.3)
    return made


def export(made: nn.Module, inputs: tuple[torch.Tensor, ...], path: Path) -> Path:
    """Saves a network with a dynamic batch, in the format that the path's name ends in."""
    if path.suffix == ".pt2":
        batch = torch.export.Dim("batch", min=1, max=64)
        shapes = tuple({0: batch} for _ in inputs)
        torch.export.save(torch.export.export(made, inputs, dynamic_shapes=shapes), path)
        return path
    names = [f"x{index}" for index in range(len(inputs))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter by tracing is deprecated, and much used
        torch.onnx.export(
            made, inputs, path, dynamo=False, opset_version=17, input_names=names,
            dynamic_axes={name: {0: "batch"} for name in names},
        )  # fmt: skip
    return path
