"""Matrix products with float32 results, and tables of rows."""

from __future__ import annotations

import numpy as np

from smidgen.functional import elementary
from smidgen.functional.exact_products import BYTE_PRODUCT, exact_dtype, exact_product
from smidgen.functional.movement import gather
from smidgen.functional.quantized import quantize
from smidgen.functional.types import F32, I8, I32, I64


def matmul(lhs: F32, rhs: F32, *, transpose_rhs: bool) -> F32:
    """Multiplies matrices: each value is a sum over k in order from 0, one product, then one sum.

    Shapes: lhs [..., M, K]; rhs [..., K, N], or [..., N, K] to be transposed. Leading axes are
    broadcast.
    """
    columns = np.swapaxes(rhs, -1, -2) if transpose_rhs else rhs
    leading = np.broadcast_shapes(lhs.shape[:-2], columns.shape[:-2])
    acc = np.zeros((*leading, lhs.shape[-2], columns.shape[-1]), np.float32)
    with np.errstate(all="ignore"):
        for k in range(lhs.shape[-1]):
            acc += lhs[..., :, k, None] * columns[..., k, None, :]
    return acc


def embed(indices: I64, table: I8, scales: F32) -> F32:
    """Looks rows up: fl(float(table[i]) * scale[i]); indices as for gather.

    Shapes: table [V, D]; scales [V]. Returns [..., D].
    """
    rows: F32 = gather(table, indices, 0).astype(np.float32)
    spread: F32 = gather(scales, indices, 0)[..., None]
    return rows * spread


def row_qparams(x: F32) -> tuple[F32, F32]:
    """Returns scale and zero point of each row, as ONNX's DynamicQuantizeLinear chooses them.

    The range is that of the values and 0; scale = fl(fl(high - low) / 255), or 1 for a row of
    zeros; zero_point = round(min(max(fl(-low / scale), 0), 255)). NaN takes no part.
    Shapes: x [..., I]. Returns two arrays [...].
    """
    # Zeros of either sign are one here, so the order in which the values come does not matter.
    low = np.fmin.reduce(x, axis=-1, initial=np.float32(0)) + np.float32(0)
    high = np.fmax.reduce(x, axis=-1, initial=np.float32(0)) + np.float32(0)
    with np.errstate(all="ignore"):
        scale = (high - low) / np.float32(255)
        scale = np.where(scale == 0, np.float32(1), scale)
        place = -low / scale
    bounded = elementary.minimum(elementary.maximum(place, np.float32(0)), np.float32(255))
    return scale, np.rint(bounded)


def dynamic_linear(x: F32, weight: I8, weight_scale: F32, bias: F32) -> F32:
    """Multiplies rows that are quantized by their own range with int8 weights.

    out = fl(fl(float(acc) * fl(s_row * s_w[c])) + bias[c]) with acc = sum (q - z_row) * weight[c].
    Shapes: x [..., I]; weight [O, I]; weight_scale and bias [O]. Returns [..., O].
    """
    scale, zero_point = row_qparams(x)
    rows = x.reshape(-1, x.shape[-1])
    scale, zero_point = scale.reshape(-1), zero_point.reshape(-1)
    dtype = exact_dtype(x.shape[-1], BYTE_PRODUCT)
    centred = np.stack(
        [
            quantize(row, float(s), int(z)).astype(dtype) - dtype.type(z)
            for row, s, z in zip(rows, scale, zero_point, strict=True)
        ]
    )
    acc: I32 = exact_product(centred, weight.astype(dtype).T).astype(np.int64).astype(np.int32)
    with np.errstate(all="ignore"):
        scaled = acc.astype(np.float32) * (scale[:, None] * weight_scale) + bias
    return scaled.reshape(*x.shape[:-1], -1)
