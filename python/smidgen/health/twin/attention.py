"""Attention, made of matrix products and a softmax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from smidgen.health.twin.writer import TwinWriter
from smidgen.program import Attention, Binary, MatMul, Reshape, Slice, Softmax, Transpose

_HEADS_FIRST = (0, 2, 1, 3)


def _attention(writer: TwinWriter, step: Attention) -> None:
    near = step.output
    images, tokens, features = writer.source.tensor(near).shape
    by_head = (images, step.heads, tokens, step.head_size)
    scores_shape = (images, step.heads, tokens, tokens)
    query, key, value = (
        _heads(writer, step, name, offset, role)
        for name, offset, role in (
            (step.query, step.query_offset, "query"),
            (step.key, step.key_offset, "key"),
            (step.value, step.value_offset, "value"),
        )
    )
    products, scores, weights = (
        writer.between(near, role, scores_shape) for role in ("products", "scores", "weights")
    )
    writer.add(MatMul(query, key, products, transpose_rhs=True))
    scale = writer.constant_tensor(near, "scale", np.array([step.scale], np.float32))
    writer.add(Binary(products, scale, scores, "mul"))
    if step.mask is not None:
        masked = writer.between(near, "masked", scores_shape)
        writer.add(Binary(scores, writer.read(step.mask), masked, "add"))
        scores = masked
    writer.add(Softmax(scores, weights, 3))
    means = writer.between(near, "means", by_head)
    writer.add(MatMul(weights, value, means))
    by_token = writer.between(near, "by_token", (images, tokens, step.heads, step.head_size))
    writer.add(Transpose(means, by_token, _HEADS_FIRST))
    assert features is not None  # verify computes it from heads and their size
    writer.add(Reshape(by_token, writer.define(near), (0, 0, features)))


def _heads(writer: TwinWriter, step: Attention, name: str, offset: int, role: str) -> str:
    """Returns the features of all heads as [N, H, S, D]."""
    images, tokens = writer.source.tensor(name).shape[:2]
    features = step.heads * step.head_size
    part = writer.between(step.output, f"{role}_part", (images, tokens, features))
    writer.add(Slice(writer.read(name), part, 2, offset, offset + features))
    split = writer.between(
        step.output, f"{role}_split", (images, tokens, step.heads, step.head_size)
    )
    writer.add(Reshape(part, split, (0, 0, step.heads, step.head_size)))
    heads = writer.between(step.output, role, (images, step.heads, tokens, step.head_size))
    writer.add(Transpose(split, heads, _HEADS_FIRST))
    return heads


RULES: Mapping[type[Any], Callable[[TwinWriter, Any], None]] = {Attention: _attention}
