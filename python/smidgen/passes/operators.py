"""What the nodes of a float graph do, and the modules that fused nodes call."""

from __future__ import annotations

import enum
import math

import torch
from torch import fx, nn

from smidgen.graph.modules import Clamp, Resize
from smidgen.graph.operations import OpKind


class Kind(enum.Enum):
    """What a node does, as far as quantization is concerned."""

    INPUT = "input"
    CONSTANT = "constant"
    OUTPUT = "output"
    CONV = "conv2d"
    CONV_TRANSPOSE = "conv_transpose2d"
    RESIZE = "resize"
    LINEAR = "linear"
    BATCH_NORM = "batch_norm"
    CLAMP = "clamp"
    UNARY = "unary"
    ADD = "add"
    MULTIPLY = "multiply"
    CONCAT = "concat"
    MAX_POOL = "max_pool"
    AVERAGE_POOL = "average_pool"
    RESHAPE = "reshape"
    MOVE = "move"
    ATTENTION = "attention"
    IDENTITY = "identity"
    FLOAT = "float"


SOURCE_KINDS = frozenset({Kind.INPUT, Kind.CONSTANT})
"""Kinds whose value is there before anything runs."""

MOVING_KINDS = frozenset({Kind.RESHAPE, Kind.MOVE, Kind.CONCAT})
"""Kinds that move values of any type and change none."""

SHARING_KINDS = frozenset({Kind.MAX_POOL, Kind.RESIZE, Kind.RESHAPE, Kind.MOVE, Kind.IDENTITY})
"""Kinds whose output lies within the values of the input, so that both have the same scale."""

CLAMPABLE_KINDS = frozenset(
    {
        Kind.CONV,
        Kind.CONV_TRANSPOSE,
        Kind.LINEAR,
        Kind.ADD,
        Kind.MULTIPLY,
        Kind.AVERAGE_POOL,
    }
)
"""Kinds whose integer step can clamp its output."""


STAYS_FLOAT = "stays_float"
"""Entry of the meta of a layer that keep_in_float has marked."""

UNBOUNDED = (-math.inf, math.inf)
"""The clamp that does nothing."""


class Add(nn.Module):
    """Adds two tensors of one shape."""

    def forward(self, lhs: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
        """Returns lhs + rhs."""
        return lhs + rhs


class Multiply(nn.Module):
    """Multiplies two tensors whose shapes go together."""

    def forward(self, lhs: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
        """Returns lhs * rhs."""
        return lhs * rhs


class Clamped(nn.Module):
    """An operator followed by a clamp: what one integer step computes.

    Attributes:
        operator: What runs first; one of CLAMPABLE_KINDS.
        low: Smallest output, may be -inf.
        high: Largest output, may be +inf.
    """

    def __init__(self, operator: nn.Module, *, low: float, high: float) -> None:
        super().__init__()
        self.operator = operator
        self.low = low
        self.high = high

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Runs the operator and clamps its output."""
        return clamp(self.operator(*inputs), self.low, self.high)


class ConvBatchNorm2d(nn.Module):
    """A convolution followed by batch norm, kept together for training."""

    def __init__(self, conv: nn.Conv2d, batch_norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv = conv
        self.batch_norm = batch_norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps [N, C, H, W] to [N, O, OH, OW]."""
        normalized: torch.Tensor = self.batch_norm(self.conv(x))
        return normalized


def clamp(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Bounds x; an infinite bound does nothing."""
    if low == 0.0 and high == math.inf:
        return torch.relu(x)
    return torch.clamp(x, low, high)


UNARY_TABLES = (
    OpKind.SQRT, OpKind.NEG, OpKind.ABS, OpKind.EXP, OpKind.LOG, OpKind.RSQRT, OpKind.RECIPROCAL,
    OpKind.ERF, OpKind.MISH, OpKind.SOFTPLUS, OpKind.SIN, OpKind.COS, OpKind.FLOOR, OpKind.ROUND,
    OpKind.POW, OpKind.AFFINE,
)  # fmt: skip

_KINDS: dict[OpKind, Kind] = {
    OpKind.CONV2D: Kind.CONV,
    OpKind.CONV_TRANSPOSE2D: Kind.CONV_TRANSPOSE,
    OpKind.RESIZE: Kind.RESIZE,
    OpKind.LINEAR: Kind.LINEAR,
    OpKind.BATCH_NORM: Kind.BATCH_NORM,
    OpKind.RELU: Kind.CLAMP,
    OpKind.RELU6: Kind.CLAMP,
    OpKind.CLAMP: Kind.CLAMP,
    OpKind.SIGMOID: Kind.UNARY,
    OpKind.HARDSIGMOID: Kind.UNARY,
    OpKind.HARDSWISH: Kind.UNARY,
    OpKind.SILU: Kind.UNARY,
    OpKind.GELU: Kind.UNARY,
    OpKind.TANH: Kind.UNARY,
    OpKind.LEAKY_RELU: Kind.UNARY,
    OpKind.ELU: Kind.UNARY,
    **dict.fromkeys(UNARY_TABLES, Kind.UNARY),
    OpKind.ADD: Kind.ADD,
    OpKind.MULTIPLY: Kind.MULTIPLY,
    OpKind.MAX_POOL: Kind.MAX_POOL,
    OpKind.AVERAGE_POOL: Kind.AVERAGE_POOL,
    OpKind.GLOBAL_AVERAGE_POOL: Kind.AVERAGE_POOL,
    OpKind.FLATTEN: Kind.RESHAPE,
    OpKind.RESHAPE: Kind.RESHAPE,
    OpKind.CONCAT: Kind.CONCAT,
    OpKind.TRANSPOSE: Kind.MOVE,
    OpKind.SLICE: Kind.MOVE,
    OpKind.EXPAND: Kind.MOVE,
    OpKind.PAD: Kind.MOVE,
    OpKind.ATTENTION: Kind.ATTENTION,
    OpKind.CONSTANT: Kind.CONSTANT,
    OpKind.DROPOUT: Kind.IDENTITY,
    OpKind.IDENTITY: Kind.IDENTITY,
}

_FUNCTIONS: dict[Kind, type[nn.Module]] = {Kind.ADD: Add, Kind.MULTIPLY: Multiply}

_NODE_KINDS = {"placeholder": Kind.INPUT, "output": Kind.OUTPUT}


def kind_of(node: fx.Node) -> Kind:
    """Tells what a node does."""
    if node.op in _NODE_KINDS:
        return _NODE_KINDS[node.op]
    if stays_float(node):
        return Kind.FLOAT
    return kind_of_op(node.meta["op"])


def stays_float(node: fx.Node) -> bool:
    """Tells whether a node is a layer that is left in float, though it has an integer step."""
    return STAYS_FLOAT in node.meta


def kind_of_op(op: OpKind) -> Kind:
    """Tells what nodes of an operation do."""
    return _KINDS.get(op, Kind.FLOAT)


def module_of(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """Returns the module that a node calls, without its clamp; None for other nodes."""
    if node.op != "call_module":
        return None
    module = graph.get_submodule(str(node.target))
    return module.operator if isinstance(module, Clamped) else module


def clamp_of(graph: fx.GraphModule, node: fx.Node) -> tuple[float, float]:
    """Returns the bounds that are fused into a node; infinite ones where there are none."""
    if node.op == "call_module":
        module = graph.get_submodule(str(node.target))
        if isinstance(module, Clamped):
            return module.low, module.high
    return UNBOUNDED


def activation_bounds(module: nn.Module) -> tuple[float, float]:
    """Returns the bounds of a module of kind CLAMP."""
    if isinstance(module, Clamp):
        low = -math.inf if module.minimum is None else module.minimum
        high = math.inf if module.maximum is None else module.maximum
        return float(low), float(high)
    return 0.0, 6.0 if isinstance(module, nn.ReLU6) else math.inf


def is_interpolation(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Tells whether a node computes values between those that it reads, which must be rounded."""
    module = module_of(graph, node)
    return isinstance(module, Resize) and module.mode == "bilinear"


def concat_axis(node: fx.Node) -> int:
    """Returns the axis of a node of kind CONCAT."""
    axis = node.args[1]
    assert isinstance(axis, int)
    return axis


def operator_module(graph: fx.GraphModule, node: fx.Node) -> nn.Module:
    """Returns a module that does what a node of CLAMPABLE_KINDS does, without its clamp."""
    module = module_of(graph, node)
    if module is not None:
        return module
    assert kind_of(node) in _FUNCTIONS, "all other operations are modules"
    return _FUNCTIONS[kind_of(node)]()


def is_mask_of(node: fx.Node, user: fx.Node) -> bool:
    """Tells whether a value is the mask of an attention, which reads it as it is."""
    return kind_of(user) is Kind.ATTENTION and node in user.args[3:]


def operands(node: fx.Node) -> list[fx.Node]:
    """Returns the values that a node reads in order, one that is read twice twice."""
    found: list[fx.Node] = []
    fx.map_arg(node.args, found.append)
    return found


def pair(value: object) -> tuple[int, int]:
    """Returns an attribute such as a stride as (vertical, horizontal); one number means both."""
    if isinstance(value, int):
        return (value, value)
    assert isinstance(value, tuple | list), f"{value!r} is no extent"
    return (int(value[0]), int(value[1]))
