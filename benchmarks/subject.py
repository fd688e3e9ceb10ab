"""What one measurement is about: a net's files and its input, in a folder that all workers read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Subject:
    """Files of one net at one batch size.

    Attributes:
        net: Name of the net in benchmarks.nets.
        batch: Samples a call.
        folder: Where the files are.
    """

    net: str
    batch: int
    folder: Path

    @property
    def artifact(self) -> Path:
        """The program that smidgen runs; absent where smidgen cannot convert the net."""
        return self.folder / "program.smidgen"

    @property
    def qdq_onnx(self) -> Path:
        """The same program as an ONNX model, with an open batch size."""
        return self.folder / "qdq.onnx"

    @property
    def _inputs(self) -> Path:
        return self.folder / "inputs.npz"

    def save_inputs(self, inputs: Arrays) -> None:
        """Writes the input that every contestant gets."""
        np.savez(self._inputs, **inputs)  # type: ignore[arg-type]  # a key could be allow_pickle

    def inputs(self) -> Arrays:
        """Returns the input that every contestant gets, in the order of the net's arguments."""
        with np.load(self._inputs) as file:
            return {name: file[name] for name in file.files}
