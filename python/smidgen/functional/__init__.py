"""The arithmetic of programs, written out slowly: the judge of every fast implementation.

All functions work on numpy arrays in the logical layout, such as [N, C, H, W]. docs/arithmetic.md
is the definition; csrc/ must equal these functions byte for byte. Every float operation here is one
float32 operation with one rounding (round half to even); none may be reordered or fused.
"""

from __future__ import annotations

from smidgen.functional.attention import attention, attention_multipliers
from smidgen.functional.elementwise import binary, cast, compare, unary, where
from smidgen.functional.float_layers import float_convolve, float_convolve_transposed
from smidgen.functional.matrix import dynamic_linear, embed, matmul, row_qparams
from smidgen.functional.movement import concatenate, expand, gather, pad
from smidgen.functional.quantized import (
    add,
    average_pool,
    convolve,
    dequantize,
    dequantize_accumulators,
    lookup,
    max_pool,
    multiply,
    multiply_accumulate,
    product_multiplier,
    quantize,
    quantize_bias,
    quantize_weight,
    requantize,
    requantize_multipliers,
    window_count,
)
from smidgen.functional.reduction import layer_norm, reduce, softmax
from smidgen.functional.resampling import (
    convolution_weight,
    convolve_transposed,
    nearest_places,
    neighbours,
    resize_bilinear,
    resize_nearest,
)
from smidgen.functional.types import F32, I8, I32, I64, U8, Bool

__all__ = [
    "F32",
    "I8",
    "I32",
    "I64",
    "U8",
    "Bool",
    "add",
    "attention",
    "attention_multipliers",
    "average_pool",
    "binary",
    "cast",
    "compare",
    "concatenate",
    "convolution_weight",
    "convolve",
    "convolve_transposed",
    "dequantize",
    "dequantize_accumulators",
    "dynamic_linear",
    "embed",
    "expand",
    "float_convolve",
    "float_convolve_transposed",
    "gather",
    "layer_norm",
    "lookup",
    "matmul",
    "max_pool",
    "multiply",
    "multiply_accumulate",
    "nearest_places",
    "neighbours",
    "pad",
    "product_multiplier",
    "quantize",
    "quantize_bias",
    "quantize_weight",
    "reduce",
    "requantize",
    "requantize_multipliers",
    "resize_bilinear",
    "resize_nearest",
    "row_qparams",
    "softmax",
    "unary",
    "where",
    "window_count",
]
