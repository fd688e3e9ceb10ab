"""The rule of attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from smidgen.functional import attention_multipliers
from smidgen.program.rules.expectations import (
    ACCUMULATOR_LIMIT,
    expect,
    expect_float,
    expect_tensor,
    shapes_agree,
)
from smidgen.program.shapes import Shape
from smidgen.program.steps import Attention
from smidgen.program.types import DType, Program

LARGEST_HEAD = 2**15
"""Extent of a head, and number of heads: sums of that many products of bytes fit int32."""

LARGEST_MULTIPLIER = 2.0**90
"""Of a score, so that no score is infinite."""


def _attention(program: Program, step: Attention) -> Shape:
    expect_tensor(program, step.output, DType.UINT8, rank=3)
    for name, extent in (("heads", step.heads), ("head_size", step.head_size)):
        expect(1 <= extent <= LARGEST_HEAD, f"{name} is {extent}, expected 1 to {LARGEST_HEAD}")
    features = step.heads * step.head_size
    shape: Shape = (None, None)
    for name, offset in (
        (step.query, step.query_offset),
        (step.key, step.key_offset),
        (step.value, step.value_offset),
    ):
        found = expect_tensor(program, name, DType.UINT8, rank=3).shape
        expect(shapes_agree(found[:2], shape), f"{name} has shape {list(found)}")
        expect(
            found[2] is not None and 0 <= offset <= found[2] - features,
            f"{features} features from {offset} of {name}, which has shape {list(found)}",
        )
        shape = tuple(a if b is None else b for a, b in zip(found[:2], shape, strict=True))
    _check_tokens(shape[1])
    _check_mask(program, step, shape)
    _check_multipliers(program, step)
    return (*shape, features)


def _check_tokens(tokens: int | None) -> None:
    """Bounds the sums over tokens; the engine bounds them where extents are not known before."""
    expect(
        tokens is None or tokens * 255 * 255 < ACCUMULATOR_LIMIT,
        f"sums over {tokens} tokens do not fit int32",
    )


def _check_mask(program: Program, step: Attention, shape: Shape) -> None:
    if step.mask is None:
        return
    found = expect_tensor(program, step.mask, DType.FLOAT32, rank=4).shape
    images, tokens = shape
    expect(
        found[0] in (images, 1, None)
        and found[1] == 1
        and found[2] in (tokens, 1, None)
        and shapes_agree((found[3],), (tokens,)),
        f"mask {step.mask} has shape {list(found)}, expected [N or 1, 1, S or 1, S]",
    )


def _check_multipliers(program: Program, step: Attention) -> None:
    expect_float("scale", step.scale)
    expect(step.scale > 0, f"scale is {step.scale}, expected a positive value")
    smallest = np.finfo(np.float32).tiny
    with np.errstate(over="ignore"):
        score, averaging = attention_multipliers(
            *(
                program.tensor(name).scale or 0.0
                for name in (step.query, step.key, step.value, step.output)
            ),
            scale=step.scale,
        )
    expect(bool(smallest <= score <= LARGEST_MULTIPLIER), f"scores are multiplied by {score}")
    expect(
        bool(smallest <= averaging <= np.finfo(np.float32).max),
        f"values are multiplied by {averaging}",
    )


RULES: Mapping[type[Any], Callable[[Program, Any], Shape]] = {Attention: _attention}
