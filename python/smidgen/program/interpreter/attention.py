"""How attention runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from numpy.typing import NDArray

from smidgen import functional
from smidgen.program.interpreter.rule import Rule, Values
from smidgen.program.steps import Attention
from smidgen.program.types import Program


def _attention(program: Program, step: Attention, values: Values) -> NDArray[Any]:
    query, key, value = (
        _heads(values[name], offset, step)
        for name, offset in (
            (step.query, step.query_offset),
            (step.key, step.key_offset),
            (step.value, step.value_offset),
        )
    )
    output = program.tensor(step.output)
    score, averaging = functional.attention_multipliers(
        *(_scale(program, name) for name in (step.query, step.key, step.value, step.output)),
        scale=step.scale,
    )
    mask = None if step.mask is None else cast("functional.F32", values[step.mask])
    result = functional.attention(
        query,
        key,
        value,
        mask,
        query_zero_point=program.tensor(step.query).zero_point,
        value_zero_point=program.tensor(step.value).zero_point,
        score_multiplier=score,
        value_multiplier=averaging,
        zero_point=output.zero_point,
    )
    images, heads, tokens, size = result.shape
    return result.swapaxes(1, 2).reshape(images, tokens, heads * size)


def _scale(program: Program, tensor: str) -> float:
    scale = program.tensor(tensor).scale
    assert scale is not None, "verify lets no such step read the scale of a float tensor"
    return scale


def _heads(x: NDArray[Any], offset: int, step: Attention) -> NDArray[Any]:
    """Returns the features of all heads as [N, H, S, D]."""
    size = step.heads * step.head_size
    part = x[:, :, offset : offset + size]
    return part.reshape(*x.shape[:2], step.heads, step.head_size).swapaxes(1, 2)


RULES: Mapping[type[Any], Rule] = {Attention: _attention}
