"""Operators of quantized models, of which a float model has only dequantized constants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smidgen.formats.onnx_import.call import Call, Result, label_of
from smidgen.formats.onnx_import.reasons import OnnxReason
from smidgen.formats.refusal import refusal
from smidgen.graph.arguments import Activation, ArgumentError, Constant, UnsupportedCase
from smidgen.graph.axis_numbers import axis_of


def refused(call: Call) -> Sequence[Result]:
    """An operator that computes quantized values.

    Raises:
        InvalidModelError: Always; the model has been quantized already.
    """
    raise refusal(
        OnnxReason.QUANTIZED_MODEL,
        f"it is quantized already, by {call.node.op_type} at {label_of(call.node)!r}. Upload "
        "and convert it as it is, or with `smidgen convert --local --quantized`, which keeps its "
        "scales; to calibrate or train, export the float model.",
    )


def dequantize(call: Call) -> Sequence[Result]:
    """DequantizeLinear of a constant, one scale for all or for each index of an axis."""
    if isinstance(call.input(0), Activation):
        return refused(call)
    values, scales = call.array(0), call.array(1)
    if scales.ndim > 1 or call.integer("block_size", 0):
        raise UnsupportedCase("scales of blocks")
    zero_points = call.array(2) if call.has(2) else np.zeros(scales.shape, np.int64)
    shape = [1] * values.ndim
    if scales.size != 1:
        axis = axis_of(call.integer("axis", 1), values.ndim)
        shape[axis] = values.shape[axis]
        if scales.size != shape[axis]:
            raise ArgumentError(f"it has {scales.size} scales for an extent of {shape[axis]}")
    if zero_points.size != scales.size:
        raise ArgumentError(f"it has {scales.size} scales and {zero_points.size} zero points")
    centred = values.astype(np.int64) - zero_points.astype(np.int64).reshape(shape)
    reals = centred.astype(np.float32) * scales.astype(np.float32).reshape(shape)
    return [Constant(reals)]
