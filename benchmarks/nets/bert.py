"""BERT and nets of its form: encoders of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WORDS = 30522
MOST_TOKENS = 512
NORM_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Size:
    """How large an encoder is.

    Attributes:
        layers: How many layers follow each other.
        features: Numbers for each token.
        heads: Parts of the features that attend by themselves.
        hidden: Features between the two linear layers behind attention.
    """

    layers: int
    features: int
    heads: int
    hidden: int


class Embeddings(nn.Module):
    """The sum of what word, place and type of a token stand for."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, features)
        self.places = nn.Embedding(MOST_TOKENS, features)
        self.types = nn.Embedding(2, features)
        self.norm = nn.LayerNorm(features, NORM_EPSILON)

    def forward(self, ids: Tensor, types: Tensor) -> Tensor:
        """Maps ids and types [N, S] to [N, S, features]."""
        places = torch.arange(ids.size(1)).unsqueeze(0)
        total: Tensor = self.norm(self.words(ids) + self.types(types) + self.places(places))
        return total


class Layer(nn.Module):
    """Self-attention and two linear layers. Source: Vaswani et al. 2017, section 3.1."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        features = size.features
        self.heads, self.head_size = size.heads, features // size.heads
        self.query = nn.Linear(features, features)
        self.key = nn.Linear(features, features)
        self.value = nn.Linear(features, features)
        self.joined = nn.Linear(features, features)
        self.attention_norm = nn.LayerNorm(features, NORM_EPSILON)
        self.wide = nn.Linear(features, size.hidden)
        self.narrow = nn.Linear(size.hidden, features)
        self.norm = nn.LayerNorm(features, NORM_EPSILON)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Maps [N, S, features] to the same shape; mask [N, 1, 1, S] is added to the scores."""
        count, tokens, features = x.shape
        query, key, value = (
            layer(x).view(count, tokens, self.heads, self.head_size).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        attended = F.scaled_dot_product_attention(query, key, value, mask)
        joined = attended.transpose(1, 2).reshape(count, tokens, features)
        x = self.attention_norm(self.joined(joined) + x)
        y: Tensor = self.norm(self.narrow(F.gelu(self.wide(x))) + x)
        return y


class Encoder(nn.Module):
    """Embeddings, layers, and a summary of the first token. Source: Devlin et al. 2018."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.embeddings = Embeddings(size.features)
        self.layers = nn.ModuleList(Layer(size) for _ in range(size.layers))
        self.summary = nn.Linear(size.features, size.features)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Maps three int64 tensors [N, S] to [N, S, features] and [N, features]."""
        x = self.embeddings(input_ids, token_type_ids)
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * -1e4
        for layer in self.layers:
            x = layer(x, mask)
        return x, torch.tanh(self.summary(x[:, 0]))


def bert_base() -> nn.Module:
    """Returns BERT-base. Source: Devlin et al. 2018, section 3."""
    return Encoder(Size(layers=12, features=768, heads=12, hidden=3072))


def minilm_l6() -> nn.Module:
    """Returns MiniLM of 6 layers. Source: Wang et al. 2020, table 1, every second layer."""
    return Encoder(Size(layers=6, features=384, heads=12, hidden=1536))
