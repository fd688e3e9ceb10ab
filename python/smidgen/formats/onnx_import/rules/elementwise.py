"""ONNX operators on each element."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from onnx import TensorProto

from smidgen.formats.onnx_import.call import Call, Result, Rule, plain
from smidgen.formats.onnx_import.tensors import type_name
from smidgen.graph.arguments import (
    Activation,
    ArgumentError,
    Constant,
    Joined,
    Tensor,
    TypeNumber,
    UnsupportedCase,
    Value,
)
from smidgen.graph.operations import BOOL, FLOAT32, INT64

COMPUTED_IN: Mapping[int, str] = {
    TensorProto.FLOAT: FLOAT32, TensorProto.FLOAT16: FLOAT32, TensorProto.BFLOAT16: FLOAT32,
    TensorProto.DOUBLE: FLOAT32, TensorProto.INT64: INT64, TensorProto.INT32: INT64,
    TensorProto.BOOL: BOOL,
}  # fmt: skip
"""What the graph computes in for each element type that a Cast gives."""


def unary(target: str, **arguments: Value) -> Rule:
    """Makes the rule of a function of one number."""
    return lambda call: call.aten(target, self=call.value(0), **arguments)


def binary(target: str) -> Rule:
    """Makes the rule of a function of two numbers."""

    def rule(call: Call) -> Sequence[Result]:
        return call.aten(target, self=call.value(0), other=call.value(1))

    return rule


def divide(call: Call) -> Sequence[Result]:
    """Div of floats."""
    if INT64 in (_dtype(call.value(0)), _dtype(call.value(1))):
        raise UnsupportedCase("a division of integers")
    return binary("div.Tensor")(call)


def _dtype(value: Tensor | Joined) -> str:
    return value.value.dtype if isinstance(value, Joined) else value.dtype


def extreme(target: str, bound: str) -> Rule:
    """Makes the rule of Min or Max of any number of values; with one number it is a clamp."""

    def rule(call: Call) -> Sequence[Result]:
        result = call.input(0)
        for index in range(1, len(call.inputs)):
            result = _extreme_of(call, target, bound, result, call.input(index))
        return [result]

    return rule


def _extreme_of(call: Call, target: str, bound: str, lhs: Tensor, rhs: Tensor) -> Tensor:
    for value, other in ((lhs, rhs), (rhs, lhs)):
        is_number = not isinstance(other, Activation) and other.array.size == 1
        if is_number and isinstance(value, Activation) and value.dtype == FLOAT32:
            number = {bound: float(other.array.reshape(-1)[0])}  # type: ignore[union-attr]
            return call.one("clamp.default", self=value, **number)
    return call.one(target, self=lhs, other=rhs)


def total(call: Call) -> Sequence[Result]:
    """Sum of any number of values, one after the other."""
    result = call.input(0)
    for index in range(1, len(call.inputs)):
        result = call.one("add.Tensor", self=result, other=call.input(index))
    return [result]


def clip(call: Call) -> Sequence[Result]:
    """Clip between constant bounds."""
    value = call.value(0)
    bounds: list[float | None] = []
    for index in (1, 2):
        number = call.number_in(index) if call.has(index) else None
        is_bound = number is not None and abs(number) < float(np.finfo(np.float32).max)
        bounds.append(number if is_bound else None)
    if bounds == [None, None]:
        return [value]
    return call.aten("clamp.default", self=value, min=bounds[0], max=bounds[1])


def hard_sigmoid(call: Call) -> Sequence[Result]:
    """HardSigmoid: clamp(alpha x + beta, 0, 1); with 1/6 and 1/2 it is torch's."""
    alpha, beta = call.number("alpha", 0.2), call.number("beta", 0.5)
    value = call.value(0)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-5) and beta == 0.5:
        return call.aten("hardsigmoid.default", self=value)
    scaled = call.one_value("mul.Tensor", self=value, other=alpha)
    moved = call.one_value("add.Tensor", self=scaled, other=beta)
    return call.aten("clamp.default", self=moved, min=0.0, max=1.0)


def leaky_relu(call: Call) -> Sequence[Result]:
    """LeakyRelu."""
    slope = call.number("alpha", 0.01)
    return call.aten("leaky_relu.default", self=call.input(0), negative_slope=slope)


def elu(call: Call) -> Sequence[Result]:
    """Elu."""
    return call.aten("elu.default", self=call.input(0), alpha=call.number("alpha", 1.0))


def selu(call: Call) -> Sequence[Result]:
    """Selu: gamma elu(x)."""
    alpha = call.number("alpha", 1.67326319217681884765625)
    gamma = call.number("gamma", 1.05070102214813232421875)
    value = call.one("elu.default", self=call.input(0), alpha=alpha)
    return call.aten("mul.Tensor", self=value, other=gamma)


def gelu(call: Call) -> Sequence[Result]:
    """Gelu."""
    approximate = call.text("approximate", "none")
    return call.aten("gelu.default", self=call.value(0), approximate=approximate)


def ceil(call: Call) -> Sequence[Result]:
    """Ceil: -floor(-x)."""
    negative = call.one("neg.default", self=call.input(0))
    return call.aten("neg.default", self=call.one("floor.default", self=negative))


def softsign(call: Call) -> Sequence[Result]:
    """Softsign: x / (1 + |x|)."""
    value = call.input(0)
    divisor = call.one("add.Tensor", self=call.one("abs.default", self=value), other=1.0)
    return call.aten("div.Tensor", self=value, other=divisor)


def swish(call: Call) -> Sequence[Result]:
    """Swish: x sigmoid(alpha x)."""
    value, alpha = call.input(0), call.number("alpha", 1.0)
    if alpha == 1:
        return call.aten("silu.default", self=value)
    scaled = call.one("mul.Tensor", self=value, other=alpha)
    return call.aten("mul.Tensor", self=value, other=call.one("sigmoid.default", self=scaled))


def is_nan(call: Call) -> Sequence[Result]:
    """IsNaN: only NaN differs from itself."""
    return call.aten("ne.Tensor", self=call.input(0), other=call.input(0))


def power(call: Call) -> Sequence[Result]:
    """Pow with a constant exponent."""
    if _dtype(call.value(0)) != FLOAT32:
        raise UnsupportedCase("a power of integers")
    return call.aten("pow.Tensor_Scalar", self=call.value(0), exponent=call.number_in(1))


def cast(call: Call) -> Sequence[Result]:
    """Cast; floats of all widths are float32 here, and integers int64."""
    wanted = call.integer("to")
    if wanted not in COMPUTED_IN:
        raise UnsupportedCase(f"a change of the element type to {type_name(wanted)}")
    value = call.value(0)
    return call.aten(
        "to.dtype",
        self=value if isinstance(value, Joined) else plain(value),
        dtype=TypeNumber("scalar_type", COMPUTED_IN[wanted]),
    )


def cast_like(call: Call) -> Sequence[Result]:
    """CastLike."""
    return call.aten("type_as.default", self=call.input(0), other=call.input(1))


def where(call: Call) -> Sequence[Result]:
    """Where."""
    names = zip(("condition", "self", "other"), range(3), strict=True)
    operands = {name: call.value(index) for name, index in names}
    return call.aten("where.self", **operands)


def dropout(call: Call) -> Sequence[Result]:
    """Dropout: nothing but in training, which the graph's own mode decides."""
    ratio = call.number_in(1) if call.has(1) else 0.5
    return call.aten("dropout.default", input=call.value(0), p=ratio, train=False)


def constant(call: Call) -> Sequence[Result]:
    """Constant."""
    if len(call.attributes) != 1:
        raise ArgumentError(f"it has {len(call.attributes)} attributes, expected one")
    (name,) = call.attributes
    makers: Mapping[str, Callable[[], object]] = {
        "value": lambda: call.tensor_attribute("value"),
        "value_float": lambda: np.float32(call.number("value_float", 0.0)),
        "value_floats": lambda: np.array(call.numbers("value_floats"), np.float32),
        "value_int": lambda: np.int64(call.integer("value_int")),
        "value_ints": lambda: np.array(call.integers("value_ints"), np.int64),
    }
    if name not in makers:
        raise UnsupportedCase(f"a constant given by {name[:32]!r}")
    return [plain(Constant(np.asarray(makers[name]())))]
