"""The 256-entry tables that functions of one number become. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from smidgen.functional import U8, dequantize, quantize
from smidgen.qparams import QParams


def function_table(function: Callable[[float], float], source: QParams, target: QParams) -> U8:
    """Returns table[q] = quantize(f(dequantize(q))), with f in double precision.

    Shapes: returns [256] uint8.
    """
    every = np.arange(256, dtype=np.uint8)
    inputs = dequantize(every, source.scale, source.zero_point)
    outputs = np.array([function(float(x)) for x in inputs], np.float64)
    return quantize(outputs.astype(np.float32), target.scale, target.zero_point)


def requantizing_table(source: QParams, target: QParams) -> U8:
    """Returns the table that gives a tensor another scale and zero point.

    Shapes: returns [256] uint8.
    """
    return function_table(lambda x: x, source, target)
