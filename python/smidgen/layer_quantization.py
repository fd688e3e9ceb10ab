"""Quantizes the weights and bias of one layer. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smidgen.config.precision import INT8, LayerPrecision
from smidgen.errors import UnsupportedOperatorError
from smidgen.functional import quantize_bias
from smidgen.qparams import QParams
from smidgen.weight_grid import weight_grid

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
    weight: NDArray[np.float32],
    bias: NDArray[np.float32] | None,
    source: QParams,
    precision: LayerPrecision = INT8,
    *,
    node: str,
) -> QuantizedLayer:
    """Quantizes a layer's parameters for an input with these qparams.

    int4 weights are int8 weights too: multiples of their group's multiplier, see weight_grid.

    Shapes: weight [O, ...] float32, bias [O] float32.

    Raises:
        UnsupportedOperatorError: a sum over the layer's inputs could leave int32.
    """
    if bias is None:
        bias = np.zeros(weight.shape[0], np.float32)
    grid = weight_grid(weight, bias, source.scale, precision)
    quantized = QuantizedLayer(
        weight=grid.quantize(weight),
        weight_scale=grid.scale,
        bias=quantize_bias(bias, source.scale, grid.scale),
    )
    check_accumulators(quantized, source, node=node)
    return quantized


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
