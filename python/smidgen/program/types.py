"""What an integer program is made of: typed tensors, constants and a flat list of steps."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from smidgen.config import Preprocessing
from smidgen.program.health_reference import HealthReference
from smidgen.program.steps import Step


class DType(enum.StrEnum):
    """Element type of a tensor or constant."""

    UINT8 = "uint8"
    INT8 = "int8"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    BOOL = "bool"

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The numpy type of the same name."""
        return np.dtype(self.value)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One value that flows through a program.

    Attributes:
        name: Unique within the program.
        dtype: UINT8 for quantized activations, FLOAT32 at the edges and where no integer step
            exists, INT64 for indices, BOOL for masks.
        shape: Logical extents, such as [N, C, H, W]; None where one may differ from run to run.
        scale: real = scale * (q - zero_point); a float32 value. None unless dtype is UINT8.
        zero_point: 0 to 255; 0 unless dtype is UINT8.
    """

    name: str
    dtype: DType
    shape: tuple[int | None, ...]
    scale: float | None = None
    zero_point: int = 0


@dataclass(frozen=True, slots=True)
class WeightPacking:
    """How a file may hold an int8 weight [O, ...] in four bits; it changes nothing that runs.

    Attributes:
        group_size: How many weights along the flattened axes behind O share a multiplier from 1 to
            18, of which all are multiples within [-7, 7]: 32, 64, 128 or 256. 0 for weights that
            are within [-7, 7] themselves.
    """

    group_size: int


@dataclass(frozen=True, slots=True)
class Program:
    """An integer program; docs/arithmetic.md defines what each step computes.

    Attributes:
        inputs: Names of the input tensors in call order.
        outputs: Names of the output tensors in order.
        tensors: Every tensor by name, inputs and outputs included.
        steps: In an order in which every tensor is written before it is read.
        constants: Weights, biases, weight scales and tables; steps refer to them by name.
        lineage: Where the program comes from: parent digests and configuration.
        packing: The int8 weights that a file holds in four bits, by name of the constant.
        preprocessing: How images become its input; None where nobody said.
        health: What it remembers of its calibration; None where nothing is known of it.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, TensorInfo]
    steps: tuple[Step, ...]
    constants: Mapping[str, NDArray[np.generic]]
    lineage: Mapping[str, str] = field(default_factory=dict)
    packing: Mapping[str, WeightPacking] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    health: HealthReference | None = None

    def tensor(self, name: str) -> TensorInfo:
        """Returns the tensor of this name."""
        return self.tensors[name]

    @property
    def constant_bytes(self) -> int:
        """Bytes of all constants together."""
        return sum(constant.nbytes for constant in self.constants.values())
