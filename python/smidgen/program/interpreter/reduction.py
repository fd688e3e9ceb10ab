"""How steps that work along axes run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from numpy.typing import NDArray

from smidgen import functional
from smidgen.program.interpreter.rule import Rule, Values
from smidgen.program.steps import LayerNorm, Reduce, Softmax
from smidgen.program.types import Program


def _reduce(_: Program, step: Reduce, values: Values) -> NDArray[Any]:
    return functional.reduce(values[step.input], step.function, step.axes, keep_dims=step.keep_dims)


def _softmax(_: Program, step: Softmax, values: Values) -> NDArray[Any]:
    return functional.softmax(values[step.input], step.axis)


def _layer_norm(program: Program, step: LayerNorm, values: Values) -> NDArray[Any]:
    weight, bias = (
        None if name is None else cast("functional.F32", program.constants[name])
        for name in (step.weight, step.bias)
    )
    return functional.layer_norm(values[step.input], step.epsilon, weight, bias)


RULES: Mapping[type[Any], Rule] = {Reduce: _reduce, Softmax: _softmax, LayerNorm: _layer_norm}
