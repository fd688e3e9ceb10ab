"""The integers of a layer as its step has them: int8 with zero point 0, and an int32 bias."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.formats.onnx_import.quantized.operands import QuantizedConstant
from smidgen.functional import quantize_bias
from smidgen.graph import operations as ops
from smidgen.layer_quantization import ACCUMULATOR_LIMIT, QuantizedLayer, accumulator_reach
from smidgen.qparams import WEIGHT_QMAX, QParams
from smidgen.weight_grid import LARGEST_BIAS

Layer = ops.Conv2d | ops.ConvTranspose2d | ops.Linear
_SCALE_TOLERANCE = 1e-6  # both are products of float32 numbers, rounded once or not at all

_LARGER_SCALE = (
    "quantize the model again with a larger scale for this output's weights, as a bias has the "
    "scale of the input times that of the weights, or leave the layer in float there"
)
"""What to do about a bias that int32 has no room for."""


class UnsupportedWeightsError(Exception):
    """The integers of a layer do not fit its step; the message says why."""


def by_output(layer: Layer, array: NDArray[Any]) -> NDArray[Any]:
    """Returns a weight, or what has its shape, as [O, ...]."""
    match layer:
        case ops.Linear():
            return array.T if layer.is_transposed else array
        case ops.ConvTranspose2d():
            channels, per_group, *kernel = array.shape
            cut = array.reshape(layer.groups, channels // layer.groups, per_group, *kernel)
            joined = (layer.groups * per_group, channels // layer.groups, *kernel)
            return cut.swapaxes(1, 2).reshape(joined)
        case _:
            return array


def as_stored(layer: Layer, array: NDArray[Any]) -> NDArray[Any]:
    """Returns a weight [O, ...] in the order that the layer's step has."""
    if not isinstance(layer, ops.ConvTranspose2d):
        return array
    outputs, per_group, *kernel = array.shape
    cut = array.reshape(layer.groups, outputs // layer.groups, per_group, *kernel)
    return cut.swapaxes(1, 2).reshape(layer.groups * per_group, outputs // layer.groups, *kernel)


def layer_integers(
    layer: Layer,
    weight: QuantizedConstant,
    bias: QuantizedConstant | NDArray[Any] | None,
    source: QParams,
) -> QuantizedLayer:
    """Returns the integers of a layer, the weight as [O, ...].

    Args:
        layer: The layer.
        weight: Its weight in the order of the graph.
        bias: Its bias [O], in integers or floats.
        source: Parameters of what it reads.

    Raises:
        UnsupportedWeightsError: They are others than the engine computes with.
    """
    values, scales = weight_integers(layer, weight)
    found = QuantizedLayer(values, scales, _bias(bias, source, scales))
    _check_room(found, source)
    return found


def _check_room(found: QuantizedLayer, source: QParams) -> None:
    """Checks that the bias leaves int32 room for the products."""
    reach = accumulator_reach(found, source)
    output = int(reach.argmax())
    if reach[output] < ACCUMULATOR_LIMIT:
        return
    bias = int(found.bias[output])
    cause = (
        f"its bias is {bias}{' and has saturated' if abs(bias) >= ACCUMULATOR_LIMIT - 1 else ''}; "
        f"{_LARGER_SCALE}"
        if abs(bias) > LARGEST_BIAS
        else f"it has {found.weight[output].size} inputs for each output; use fewer, or leave "
        "the layer in float where the model is quantized"
    )
    raise UnsupportedWeightsError(
        f"has sums that can reach {int(reach[output])} in output {output}, expected less than "
        f"2**31: {cause}"
    )


def weight_integers(
    layer: Layer, weight: QuantizedConstant
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Returns a weight as [O, ...] and the scale of each output.

    Raises:
        UnsupportedWeightsError: They are others than the engine computes with.
    """
    values = by_output(layer, _symmetric(weight))
    spread = by_output(layer, np.broadcast_to(weight.scales, weight.values.shape))
    return np.ascontiguousarray(values), _scales_of_rows(spread)


def _symmetric(weight: QuantizedConstant) -> NDArray[np.int8]:
    """Moves values so that their zero point is 0, where int8 holds all of them then."""
    if weight.values.dtype.itemsize != 1:
        raise UnsupportedWeightsError(f"has weights of {weight.values.dtype.name}, expected int8")
    centred = weight.centred()
    low, high = int(centred.min(initial=0)), int(centred.max(initial=0))
    if low >= -WEIGHT_QMAX and high <= WEIGHT_QMAX:
        return centred.astype(np.int8)
    zero_points = sorted({int(point) for point in weight.zero_points.reshape(-1)})[:4]
    if low >= -WEIGHT_QMAX - 1 and high <= WEIGHT_QMAX:
        raise UnsupportedWeightsError(
            f"has the weight -128 from its zero point, expected {-WEIGHT_QMAX} to {WEIGHT_QMAX}"
        )
    raise UnsupportedWeightsError(
        f"has asymmetric weights: {weight.values.dtype.name} with zero points such as "
        f"{', '.join(map(str, zero_points))}, from which they lie {low} to {high}; expected "
        f"{-WEIGHT_QMAX} to {WEIGHT_QMAX}, so quantize weights symmetrically"
    )


def _scales_of_rows(spread: NDArray[Any]) -> NDArray[np.float32]:
    rows = spread.reshape(len(spread), -1)
    if (rows != rows[:, :1]).any():
        raise UnsupportedWeightsError(
            "has weights with several scales for one output, expected one scale for all or one "
            "for each output"
        )
    return np.array(rows[:, 0], np.float32)


def _bias(
    bias: QuantizedConstant | NDArray[Any] | None, source: QParams, scales: NDArray[np.float32]
) -> NDArray[np.int32]:
    if bias is None:
        return np.zeros(len(scales), np.int32)
    if isinstance(bias, QuantizedConstant):
        expected = np.float64(source.scale) * scales.astype(np.float64)
        found = np.broadcast_to(bias.scales.astype(np.float64).reshape(-1), expected.shape)
        is_of_products = np.abs(found - expected) <= _SCALE_TOLERANCE * expected
        if bias.values.dtype == np.int32 and not bias.zero_points.any() and is_of_products.all():
            return np.array(bias.values.reshape(-1), np.int32)
    reals = bias.reals() if isinstance(bias, QuantizedConstant) else bias
    reals = np.array(reals, np.float32).reshape(-1)
    largest = np.abs(reals.astype(np.float64) / (np.float64(source.scale) * scales)).max(initial=0)
    if largest > LARGEST_BIAS:
        raise UnsupportedWeightsError(
            f"has a bias of {largest:.4g} times the scale of its products, expected at most 2**30; "
            f"{_LARGER_SCALE}"
        )
    return quantize_bias(reals, source.scale, scales)
