"""What one measurement is about: a net's files, in a folder that all workers read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
Weights = Literal["random", "pretrained"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A net at one batch size.

    Attributes:
        net: Name of the net in benchmarks.nets.
        batch: Samples a call.
        folder: Where the net's files are; runtimes may keep models of their own there.
        weights: Which of the net's weights: `random` or `pretrained`.
    """

    net: str
    batch: int
    folder: Path
    weights: Weights = "random"

    @property
    def artifact(self) -> Path:
        """The program that the engine runs; absent where the net cannot be converted."""
        return self.folder / "program.smidgen"

    @property
    def qdq_onnx(self) -> Path:
        """The same program as an ONNX model, with an open batch size."""
        return self.folder / "qdq.onnx"

    @property
    def float_onnx(self) -> Path:
        """The float net as an ONNX model, with an open batch size."""
        return self.folder / "float.onnx"

    def inputs(self) -> Arrays:
        """Returns the input that every contestant gets, in the order of the net's arguments."""
        return _load(self._inputs)

    def calibration(self) -> Arrays:
        """Returns the samples that the program was calibrated on."""
        return _load(self._calibration)

    def save_inputs(self, inputs: Arrays) -> None:
        """Writes the input of all contestants."""
        _save(self._inputs, inputs)

    def save_calibration(self, samples: Arrays) -> None:
        """Writes the samples to calibrate on."""
        _save(self._calibration, samples)

    @property
    def _inputs(self) -> Path:
        return self.folder / f"inputs-{self.batch}.npz"

    @property
    def _calibration(self) -> Path:
        return self.folder / "calibration.npz"


def _save(path: Path, arrays: Arrays) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type]  # a key could be allow_pickle


def _load(path: Path) -> Arrays:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}
