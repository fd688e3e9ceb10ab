"""Attention on quantized tensors."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.program.steps.fields import TensorName


@dataclass(frozen=True, slots=True)
class Attention:
    """Values weighted by the softmax of the scaled products of queries and keys, head by head.

    Queries, keys and values are uint8 tensors [N, S, features], or the same tensor, in which each
    begins at its own feature; the output is [N, S, heads * head_size] uint8.

    mask: a float32 tensor [N or 1, 1, S or 1, S] that is added to the scores.
    scale: a positive float32 value by which the products are multiplied.
    """

    query: TensorName
    key: TensorName
    value: TensorName
    output: TensorName
    heads: int
    head_size: int
    scale: float
    mask: TensorName | None = None
    query_offset: int = 0
    key_offset: int = 0
    value_offset: int = 0


AttentionStep = Attention
