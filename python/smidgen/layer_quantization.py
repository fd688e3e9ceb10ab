"""Quantizes the weights and bias of one layer. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import UnsupportedOperatorError
from smidgen.functional import quantize_bias, quantize_weight
from smidgen.qparams import LARGEST_SCALE, QParams, symmetric_weight_scales

LARGEST_BIAS = 2.0**30
"""Where a quantized bias ends, so that half of int32 is left for the products."""

ACCUMULATOR_LIMIT = 2**31


@dataclass(frozen=True, slots=True)
class QuantizedLayer:
    """The constants of a convolution or linear step.

    Attributes:
        weight: [O, ...] int8.
        weight_scale: [O] float32.
        bias: [O] int32 with scale input_scale * weight_scale[c].
    """

    weight: NDArray[np.int8]
    weight_scale: NDArray[np.float32]
    bias: NDArray[np.int32]


def quantize_layer(
    weight: NDArray[np.float32], bias: NDArray[np.float32] | None, source: QParams, *, node: str
) -> QuantizedLayer:
    """Quantizes a layer's parameters for an input with these qparams.

    Shapes: weight [O, ...] float32, bias [O] float32.

    Raises:
        UnsupportedOperatorError: a sum over the layer's inputs could leave int32.
    """
    if bias is None:
        bias = np.zeros(weight.shape[0], np.float32)
    scales = _scales_with_room_for_bias(symmetric_weight_scales(weight), bias, source.scale)
    quantized = QuantizedLayer(
        weight=quantize_weight(weight, scales),
        weight_scale=scales,
        bias=quantize_bias(bias, source.scale, scales),
    )
    check_accumulators(quantized, source, node=node)
    return quantized


def _scales_with_room_for_bias(
    scales: NDArray[np.float32], bias: NDArray[np.float32], input_scale: float
) -> NDArray[np.float32]:
    """Widens the scale of channels whose bias would not fit into int32.

    Such a channel has next to no weights, as batch norm leaves it when it has learned to ignore a
    filter: its output is its bias, and coarser weights do not change it visibly.
    """
    needed = np.abs(bias.astype(np.float64)) / (input_scale * LARGEST_BIAS)
    return np.minimum(np.maximum(scales, needed), LARGEST_SCALE).astype(np.float32)


def check_accumulators(layer: QuantizedLayer, source: QParams, *, node: str) -> None:
    """Checks that no sum of products can leave int32, in whatever order they are added.

    Raises:
        UnsupportedOperatorError: one could.
    """
    weight = layer.weight.reshape(layer.weight.shape[0], -1).astype(np.int64)
    folded = layer.bias.astype(np.int64) - source.zero_point * weight.sum(axis=1)
    largest = int((np.abs(folded) + 255 * np.abs(weight).sum(axis=1)).max())
    if largest >= ACCUMULATOR_LIMIT:
        raise UnsupportedOperatorError(
            f"the accumulators of {node} can reach {largest}, expected less than 2**31; "
            f"use fewer than the layer's {weight.shape[1]} inputs per output",
            reason="ACCUMULATOR_OVERFLOW",
            node=node,
        )
