"""Turns sums, differences, products and quotients with constants into what integers do at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx, nn

from smidgen.graph.modules import Affine
from smidgen.graph.operations import OpKind
from smidgen.passes.operators import Kind, kind_of, operands
from smidgen.passes.rewriter import Rewriter

FLOAT32 = "float32"

Coefficients = tuple[torch.Tensor, torch.Tensor]

_QUANTIZED_KINDS = frozenset(
    {Kind.INPUT, Kind.CONV, Kind.CONV_TRANSPOSE, Kind.MAX_POOL, Kind.AVERAGE_POOL}
)
"""Kinds whose values are there as uint8 in any case, or may be."""


def absorb_constants(source: fx.GraphModule) -> fx.GraphModule:
    """Returns the graph with operations on a value and a constant as operations on the value.

    With one number it becomes factor * x + offset, a function of one number, which is a table in
    integers. With one number for each channel of an image, it becomes a depthwise 1x1 convolution.
    Equal to the source, up to rounding.
    """
    rewriter = Rewriter(source)
    for node in source.graph.nodes:
        absorbed = _absorbed(source, node)
        if absorbed is None:
            rewriter.copy(node)
            continue
        value, (factor, offset) = absorbed
        if factor.numel() == offset.numel() == 1:
            function = Affine(factor.item(), offset.item())
            rewriter.call(node, function, (value,), like=node, op=OpKind.AFFINE)
        else:
            layer = _depthwise(factor, offset, value.meta["shape"][1])
            rewriter.call(node, layer, (value,), like=node, op=OpKind.CONV2D)
    return rewriter.finish()


def _absorbed(source: fx.GraphModule, node: fx.Node) -> tuple[fx.Node, Coefficients] | None:
    """Returns the value that a node reads, and what it is multiplied by and what is added."""
    if kind_of(node) is Kind.INPUT or node.meta.get("op") not in _COEFFICIENTS:
        return None
    lhs, rhs = operands(node)
    is_constant = [kind_of(operand) is Kind.CONSTANT for operand in (lhs, rhs)]
    if is_constant[0] == is_constant[1] or node.meta.get("dtype", FLOAT32) != FLOAT32:
        return None
    value, constant = (rhs, lhs) if is_constant[0] else (lhs, rhs)
    if tuple(value.meta["shape"]) != tuple(node.meta["shape"]):
        return None
    number = getattr(source, str(constant.target)).detach()
    if number.numel() != 1 and not _is_by_channel(value, number):
        return None
    coefficients = _COEFFICIENTS[node.meta["op"]](number, is_constant[0])
    return None if coefficients is None else (value, coefficients)


def _is_by_channel(value: fx.Node, constant: torch.Tensor) -> bool:
    """Tells whether a constant has one number for each channel of a quantized image."""
    shape = tuple(value.meta["shape"])
    if len(shape) != 4 or kind_of(value) not in _QUANTIZED_KINDS:
        return False
    return tuple(constant.shape) in ((shape[1], 1, 1), (1, shape[1], 1, 1))


def _depthwise(factor: torch.Tensor, offset: torch.Tensor, channels: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, channels, 1, groups=channels, device="meta")
    layer.weight = nn.Parameter(factor.flatten().expand(channels).reshape(-1, 1, 1, 1).clone())
    layer.bias = nn.Parameter(offset.flatten().expand(channels).clone())
    return layer


def _sum(constant: torch.Tensor, _: bool) -> Coefficients:
    return torch.ones(1), constant


def _difference(constant: torch.Tensor, is_first: bool) -> Coefficients:
    return (torch.tensor([-1.0]), constant) if is_first else (torch.ones(1), -constant)


def _product(constant: torch.Tensor, _: bool) -> Coefficients:
    return constant, torch.zeros(1)


def _quotient(constant: torch.Tensor, is_first: bool) -> Coefficients | None:
    return None if is_first else (1.0 / constant, torch.zeros(1))


_COEFFICIENTS: dict[OpKind, Callable[[torch.Tensor, bool], Coefficients | None]] = {
    OpKind.ADD: _sum,
    OpKind.SUB: _difference,
    OpKind.MULTIPLY: _product,
    OpKind.DIV: _quotient,
}
"""What a constant makes of x, given whether it is the left operand."""
