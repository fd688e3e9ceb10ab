"""What stands between QuantizeLinear and DequantizeLinear: values and constants in integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.formats.onnx_import.call import Foreign
from smidgen.graph.arguments import Activation
from smidgen.qparams import QParams

INT8_OFFSET = 128
"""What is added to int8 values and zero points to make uint8 ones of them."""


@dataclass(frozen=True, slots=True)
class QuantizedValue(Foreign):
    """A computed value in bytes.

    Attributes:
        real: What DequantizeLinear makes of it.
        qparams: The parameters of its bytes as uint8.
        offset: What was added to the file's bytes: 0 of uint8, INT8_OFFSET of int8.
    """

    real: Activation
    qparams: QParams
    offset: int


@dataclass(frozen=True, slots=True, eq=False)
class Integers(Foreign):
    """A constant in integers that the file has quantized or moved, and not yet dequantized."""

    array: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedConstant(Foreign):
    """A constant that the file dequantizes: scales * (values - zero_points).

    Attributes:
        values: int8, uint8 or int32.
        scales: float32 of as many axes, each of its extents that of the values or 1.
        zero_points: Integers of the shape of the scales.
    """

    values: NDArray[Any]
    scales: NDArray[np.float32]
    zero_points: NDArray[Any]

    @property
    def is_per_tensor(self) -> bool:
        """Whether all values have one scale."""
        return self.scales.size == 1

    def centred(self) -> NDArray[Any]:
        """Returns the values without their zero points, in as many bits as that takes."""
        wide = np.int16 if self.values.dtype.itemsize == 1 else np.int64
        return np.asarray(self.values.astype(wide) - self.zero_points.astype(wide))

    def reals(self) -> NDArray[np.float32]:
        """Returns the real values."""
        with np.errstate(over="ignore"):  # infinities are refused where they are weights
            return np.asarray(self.centred().astype(np.float32) * self.scales)


@dataclass(frozen=True, slots=True)
class Index(Foreign):
    """The bytes of a value as the integers with which Gather reads a table."""

    value: QuantizedValue


@dataclass(frozen=True, slots=True, eq=False)
class Rows(Foreign):
    """Rows of a table of bytes, selected by indices and not yet scaled."""

    table: NDArray[Any]
    indices: Activation
