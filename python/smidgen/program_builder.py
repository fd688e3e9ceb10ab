"""Collects the tensors, constants and steps of a program while it is written. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from smidgen.program import DType, Program, Step, TensorInfo, WeightPacking
from smidgen.qparams import QParams

Shape = tuple[int | None, ...]


class ProgramBuilder:
    """A program under construction; see Program for what its parts mean."""

    def __init__(self) -> None:
        self._tensors: dict[str, TensorInfo] = {}
        self._constants: dict[str, NDArray[np.generic]] = {}
        self._steps: list[Step] = []
        self._packing: dict[str, WeightPacking] = {}

    def plain_tensor(self, name: str, shape: Shape, dtype: str) -> str:
        """Declares a tensor without a scale and returns its name."""
        self._tensors[name] = TensorInfo(name=name, dtype=DType(dtype), shape=shape)
        return name

    def quantized_tensor(self, name: str, shape: Shape, qparams: QParams) -> str:
        """Declares a uint8 tensor and returns its name."""
        self._tensors[name] = TensorInfo(
            name=name,
            dtype=DType.UINT8,
            shape=shape,
            scale=qparams.scale,
            zero_point=qparams.zero_point,
        )
        return name

    def shape_of(self, name: str) -> Shape:
        """Returns the shape of a tensor."""
        return self._tensors[name].shape

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Adds a constant and returns its name."""
        self._constants[name] = np.ascontiguousarray(value)
        return name

    def pack(self, name: str, packing: WeightPacking) -> None:
        """Says that a file may hold this constant in four bits."""
        self._packing[name] = packing

    def step(self, step: Step) -> None:
        """Appends a step."""
        self._steps.append(step)

    def finish(
        self, inputs: tuple[str, ...], outputs: tuple[str, ...], lineage: Mapping[str, str]
    ) -> Program:
        """Returns the program."""
        return Program(
            inputs=inputs,
            outputs=outputs,
            tensors=self._tensors,
            steps=tuple(self._steps),
            constants=self._constants,
            lineage=dict(lineage),
            packing=self._packing,
        )
