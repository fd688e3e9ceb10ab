"""Quantizes the weights and bias of one layer. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smidgen.config.precision import INT8, LayerPrecision, WeightBits
from smidgen.errors import CalibrationError, UnsupportedOperatorError
from smidgen.functional import quantize_bias
from smidgen.qparams import INT4_QMAX, LARGEST_SCALE, WEIGHT_QMAX, QParams, check_weights
from smidgen.weight_grid import LARGEST_BIAS, weight_grid

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
        CalibrationError: int8 cannot hold the weights with any scale (WEIGHT_NOT_REPRESENTABLE), or
            int32 the bias (BIAS_NOT_REPRESENTABLE).
    """
    if bias is None:
        bias = np.zeros(weight.shape[0], np.float32)
    is_int4 = precision.weights is WeightBits.INT4
    check_weights(weight, largest=INT4_QMAX if is_int4 else WEIGHT_QMAX)
    _check_bias(bias, source)
    grid = weight_grid(weight, bias, source.scale, precision)
    quantized = QuantizedLayer(
        weight=grid.quantize(weight),
        weight_scale=grid.scale,
        bias=quantize_bias(bias, source.scale, grid.scale),
    )
    check_accumulators(quantized, source, node=node)
    return quantized


def _check_bias(bias: NDArray[np.float32], source: QParams) -> None:
    """Checks that some scale of the weights leaves room for the bias."""
    largest, limit = (
        float(np.abs(bias).max(initial=0.0)),
        source.scale * LARGEST_BIAS * LARGEST_SCALE,
    )
    if largest > limit:
        raise CalibrationError(
            f"a bias reaches {largest:.7g}, expected at most {limit:.7g} beside the input's scale "
            f"of {source.scale:.4g}; keep the layer in float, or rescale the model so that its "
            "values are nearer to 1",
            reason="BIAS_NOT_REPRESENTABLE",
        )


def check_accumulators(layer: QuantizedLayer, source: QParams, *, node: str) -> None:
    """Checks that no sum of products can leave int32, in whatever order they are added.

    Raises:
        UnsupportedOperatorError: one could.
    """
    largest = int(accumulator_reach(layer, source).max())
    if largest >= ACCUMULATOR_LIMIT:
        inputs = layer.weight[0].size
        raise UnsupportedOperatorError(
            f"the accumulators of {node} can reach {largest}, expected less than 2**31; keep the "
            f"layer in float, or use fewer than its {inputs} inputs per output",
            reason="ACCUMULATOR_OVERFLOW",
            node=node,
        )


def accumulator_reach(layer: QuantizedLayer, source: QParams) -> NDArray[np.int64]:
    """Returns how large the sums of each output can become on the way, in any order: [O] int64."""
    weight = layer.weight.reshape(layer.weight.shape[0], -1).astype(np.int64)
    folded = layer.bias.astype(np.int64) - source.zero_point * weight.sum(axis=1)
    reach: NDArray[np.int64] = np.abs(folded) + 255 * np.abs(weight).sum(axis=1)
    return reach
