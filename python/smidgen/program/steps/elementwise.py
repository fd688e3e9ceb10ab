"""Steps on float32, int64 and bool tensors that work value by value."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.program.steps.fields import TensorName


@dataclass(frozen=True, slots=True)
class Unary:
    """A function of one float32 value; `not` is one of a bool.

    function: a key of UNARY_PARAMETERS, which gives the number of parameters: the slope of
    leaky_relu, alpha of elu, the bounds of clamp, the exponent of pow; float32 values.
    """

    input: TensorName
    output: TensorName
    function: str
    parameters: tuple[float, ...] = ()


UNARY_PARAMETERS = {
    "abs": 0,
    "clamp": 2,
    "cos": 0,
    "elu": 1,
    "erf": 0,
    "exp": 0,
    "floor": 0,
    "gelu": 0,
    "gelu_tanh": 0,
    "hardsigmoid": 0,
    "hardswish": 0,
    "leaky_relu": 1,
    "log": 0,
    "mish": 0,
    "neg": 0,
    "not": 0,
    "pow": 1,
    "reciprocal": 0,
    "relu": 0,
    "round": 0,
    "rsqrt": 0,
    "sigmoid": 0,
    "silu": 0,
    "sin": 0,
    "softplus": 0,
    "sqrt": 0,
    "tanh": 0,
}


@dataclass(frozen=True, slots=True)
class Binary:
    """A function of two values, with numpy's broadcasting.

    function: a key of BINARY_TYPES, which gives the types it takes; the output is of that type.
    """

    lhs: TensorName
    rhs: TensorName
    output: TensorName
    function: str


BINARY_TYPES = {
    "add": ("float32", "int64"),
    "sub": ("float32", "int64"),
    "mul": ("float32", "int64"),
    "div": ("float32",),
    "minimum": ("float32",),
    "maximum": ("float32",),
    "pow": ("float32",),
    "and": ("bool",),
    "or": ("bool",),
}


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison of two float32 or two int64 tensors to bool, with numpy's broadcasting.

    function: one of COMPARISONS.
    """

    lhs: TensorName
    rhs: TensorName
    output: TensorName
    function: str


COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


@dataclass(frozen=True, slots=True)
class Where:
    """lhs where a bool condition holds, else rhs, with numpy's broadcasting of all three.

    lhs, rhs and output: of one type, float32, int64 or bool.
    """

    condition: TensorName
    lhs: TensorName
    rhs: TensorName
    output: TensorName


@dataclass(frozen=True, slots=True)
class Cast:
    """A change of type among float32, int64 and bool; the tensors say which."""

    input: TensorName
    output: TensorName


ElementwiseStep = Unary | Binary | Compare | Where | Cast
