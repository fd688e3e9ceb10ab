"""Decides for each value of a quantized model in which form it is computed.

A value is exact if bytes hold it without rounding: what QuantizeLinear gave, and what only moves
such values. Other values are computed for their readers. Where QuantizeLinear reads them they are
targets: an integer step writes bytes at once, a table does, or what reads them is moved in front
of what only moves or bounds them, which changes no result. All other readers take floats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from smidgen.formats.onnx_import.quantized.attention import Attention
from smidgen.formats.onnx_import.quantized.functions import (
    Function,
    clamp_bounds,
    function_of,
    identity_of,
)
from smidgen.formats.onnx_import.quantized.operands import INT8_OFFSET, QuantizedConstant
from smidgen.functional import quantize
from smidgen.graph import operations as ops
from smidgen.graph.exported import ExportedNode
from smidgen.graph.operations import FLOAT32, Shape
from smidgen.program.verify import MOST_STEPS
from smidgen.qparams import QParams

_MOVING = (
    ops.Reshape, ops.Flatten, ops.Transpose, ops.Slice, ops.Expand, ops.Pad, ops.Concat,
    ops.MaxPool, ops.Resize, ops.Dropout,
)  # fmt: skip
_LAYERS = (
    ops.Conv2d, ops.ConvTranspose2d, ops.Linear, ops.Add, ops.Multiply, ops.AveragePool,
    ops.GlobalAveragePool, ops.Resize, Attention,
)  # fmt: skip
LAYERS_WITHOUT_FLOATS = (Attention,)


_MOST_TARGETS = 4 * MOST_STEPS
_MOST_FUNCTIONS = MOST_STEPS


class PlanTooLargeError(Exception):
    """A model asks for more than a program may have; the message says of what."""


@dataclass(frozen=True, slots=True)
class Target:
    """Bytes as which a value is wanted.

    Attributes:
        qparams: Their parameters.
        qmin: The smallest.
        qmax: The greatest.
    """

    qparams: QParams
    qmin: int = 0
    qmax: int = 255

    def narrowed(self, low: float, high: float) -> Target:
        """Returns the bytes of values that are bounded before."""
        bounds = np.array([low, high], np.float32)
        scale, zero_point = self.qparams.scale, self.qparams.zero_point
        first, last = np.clip(quantize(bounds, scale, zero_point), self.qmin, self.qmax)
        return Target(self.qparams, int(first), int(last))


@dataclass(slots=True)
class Plan:
    """The forms of a model's values, by their numbers.

    Attributes:
        shapes: Shape of each value.
        integers: Names of the weights of which the file has integers.
        exact: Parameters of the values that bytes hold exactly.
        functions: The values that are functions of one exact value.
        targets: As which bytes other values are wanted, in order.
        plain: The values that are wanted as they are.
        target_count: How many targets there are.
    """

    shapes: dict[int, Shape]
    integers: Set[str]
    exact: dict[int, QParams] = field(default_factory=dict)
    functions: dict[int, Function] = field(default_factory=dict)
    targets: dict[int, dict[Target, None]] = field(default_factory=dict)
    plain: set[int] = field(default_factory=set)
    target_count: int = 0

    def is_layer(self, node: ExportedNode) -> bool:
        """Tells whether a node has an integer step for what it reads."""
        read = node.inputs[:3] if isinstance(node.operation, Attention) else node.inputs
        if not isinstance(node.operation, _LAYERS) or any(v not in self.exact for v in read):
            return False
        if self.has_float_weights(node):
            return False
        shapes = [self.shapes[value] for value in node.inputs]
        match node.operation:
            case ops.Add():
                return shapes[0] == shapes[1]
            case ops.AveragePool() as pool:
                return counts_whole_windows(pool, shapes[0], node.shape)
            case ops.Multiply():
                return shapes[0] == shapes[1] or any(
                    _scales_channels(*pair) for pair in (shapes, shapes[::-1])
                )
            case _:
                return True

    def has_float_weights(self, node: ExportedNode) -> bool:
        """Tells whether a node is a layer of which the file has no integers."""
        layers = (ops.Conv2d, ops.ConvTranspose2d, ops.Linear)
        return isinstance(node.operation, layers) and node.operation.weight not in self.integers

    def commutes(self, node: ExportedNode, target: Target | None = None) -> bool:
        """Tells whether bytes can be moved as a node moves values."""
        match node.operation:
            case ops.Resize(mode):
                return mode != "bilinear"
            case ops.Pad(_, value):
                held = target is None or target.qmin <= target.qparams.zero_point <= target.qmax
                return value == 0.0 and held
            case _:
                return isinstance(node.operation, _MOVING) and node.dtype == FLOAT32


def counts_whole_windows(pool: ops.AveragePool, source: Shape, target: Shape) -> bool:
    """Tells whether no window of a pool reaches past the end, as where its extent is rounded up."""
    return all(
        ((source[axis + 2] or 1) + 2 * pool.padding[axis] - pool.kernel[axis]) // pool.stride[axis]
        + 1
        == target[axis + 2]
        for axis in (0, 1)
    )


def target_of(operation: ops.Quantized) -> Target:
    """Returns the bytes that QuantizeLinear and a Clip behind it give."""
    qparams = QParams(operation.scale, operation.zero_point)
    return Target(qparams, operation.qmin, operation.qmax)


def plan(
    nodes: Sequence[ExportedNode],
    inputs: Sequence[Shape],
    outputs: Sequence[int],
    constants: Mapping[str, QuantizedConstant],
    weights: Mapping[str, np.ndarray],
) -> Plan:
    """Plans a model.

    Args:
        nodes: Its operations in an order in which they can run.
        inputs: Shapes of its inputs, which are the first values.
        outputs: Numbers of the values that it returns.
        constants: The integers of its weights, where it has integers.
        weights: All its weights.

    Raises:
        PlanTooLargeError: It asks for more than a program may have.
    """
    shapes = dict(enumerate(inputs)) | {node.output: node.shape for node in nodes}
    made = Plan(shapes, constants.keys())
    numbers: dict[int, float] = {}
    for node in nodes:
        _find_exact(made, node, numbers, constants, weights)
    made.plain.update(value for value in outputs if value not in made.exact)
    for node in reversed(nodes):
        _ask_for_inputs(made, node)
    return made


def _find_exact(
    made: Plan,
    node: ExportedNode,
    numbers: dict[int, float],
    constants: Mapping[str, QuantizedConstant],
    weights: Mapping[str, np.ndarray],
) -> None:
    qparams = _exact_qparams(made, node, constants)
    if qparams is not None:
        made.exact[node.output] = qparams
        return
    if isinstance(node.operation, ops.Constant):
        array = weights[node.operation.name]
        if array.size == 1 and node.dtype == FLOAT32:
            numbers[node.output] = float(array.reshape(-1)[0])
        return
    read = {
        value: made.functions.get(value) or identity_of(value, made.exact[value])
        for value in node.inputs
        if value in made.functions or value in made.exact
    }
    if len(made.functions) >= _MOST_FUNCTIONS:
        return
    if node.dtype == FLOAT32 and all(made.shapes[value] == node.shape for value in read):
        found = function_of(node, read, numbers)
        if found is not None:
            made.functions[node.output] = found


def _exact_qparams(
    made: Plan, node: ExportedNode, constants: Mapping[str, QuantizedConstant]
) -> QParams | None:
    match node.operation:
        case ops.Quantized() as operation:
            return target_of(operation).qparams
        case ops.Tabulated(_, scale, zero_point):
            return QParams(scale, zero_point)
        case ops.Constant(name):
            return _constant_qparams(constants.get(name))
    found = {made.exact.get(value) for value in node.inputs}
    return found.pop() if len(found) == 1 and made.commutes(node) else None


def _constant_qparams(constant: QuantizedConstant | None) -> QParams | None:
    if constant is None or not constant.is_per_tensor or constant.values.dtype.itemsize != 1:
        return None
    offset = INT8_OFFSET if constant.values.dtype == np.int8 else 0
    zero_point = int(constant.zero_points.reshape(-1)[0]) + offset
    return QParams(float(constant.scales.reshape(-1)[0]), zero_point)


def _ask_for_inputs(made: Plan, node: ExportedNode) -> None:
    if node.output in made.exact:
        if isinstance(node.operation, ops.Quantized):
            _want(made, node.inputs[0], target_of(node.operation))
        return
    left = [t for t in made.targets.get(node.output, ()) if not _pass_on(made, node, t)]
    if left:
        made.plain.add(node.output)
    if node.output not in made.plain:
        return
    for value in node.inputs:
        if value not in made.exact:
            made.plain.add(value)


def _pass_on(made: Plan, node: ExportedNode, target: Target) -> bool:
    """Asks for what a node needs to give bytes; false where it cannot but from floats."""
    if made.is_layer(node):
        if isinstance(node.operation, Attention):
            made.plain.update(node.inputs[3:])
        return True
    is_only_bytes = node.output not in made.plain
    if clamp_bounds(node.operation) != (-math.inf, math.inf) and is_only_bytes:
        _want(made, node.inputs[0], target.narrowed(*clamp_bounds(node.operation)))
        return True
    if made.commutes(node, target) and is_only_bytes:
        for value in node.inputs:
            _want(made, value, target)
        return True
    return False


def _want(made: Plan, value: int, target: Target) -> None:
    if value in made.exact or value in made.functions:
        return
    wanted = made.targets.setdefault(value, {})
    if target not in wanted:
        made.target_count += 1
        if made.target_count > _MOST_TARGETS:
            raise PlanTooLargeError(f"more than {_MOST_TARGETS} values are wanted as bytes")
        wanted[target] = None


def _scales_channels(image: Shape, factor: Shape) -> bool:
    return len(image) == len(factor) == 4 and factor == (*image[:2], 1, 1)
