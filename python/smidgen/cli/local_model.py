"""Runs an artifact file on this machine, without a server and without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from smidgen.artifact import load_artifact, program_specs
from smidgen.cli.arrays import Arrays
from smidgen.data.serving import sample_images
from smidgen.engine import Engine
from smidgen.errors import InvalidTensorError
from smidgen.tensor_spec import TensorSpec


@dataclass(frozen=True, slots=True)
class LocalModel:
    """An artifact and the engine that runs it.

    Attributes:
        engine: Runs it.
        inputs: Its inputs in order.
        outputs: Its outputs in order.
    """

    engine: Engine
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @staticmethod
    def load(path: Path, threads: int = 1) -> LocalModel:
        """Reads and verifies an artifact. Raises: ArtifactError, OSError."""
        program = load_artifact(path)
        inputs, outputs = program_specs(program)
        return LocalModel(Engine(program, threads=threads), inputs, outputs)

    def run_images(self, images: Sequence[bytes]) -> Mapping[str, NDArray[Any]]:
        """Runs the model on JPEG or PNG files, as its preprocessing says.

        Raises: InvalidTensorError; MissingExtraError.
        """
        preprocessing = self.engine.preprocessing
        if preprocessing is None:
            raise InvalidTensorError(
                "The artifact does not say how images become its input; convert with a "
                "preprocessing, or give arrays",
                reason="PREPROCESSING_MISSING",
            )
        samples = sample_images(images, preprocessing, self.inputs)
        return self.engine.run(samples)

    def run(self, arrays: Arrays) -> Mapping[str, NDArray[Any]]:
        """Runs the model on arrays by name; an array without a name is for the only input.

        Raises: InvalidTensorError.
        """
        if "" in arrays:
            if len(self.inputs) != 1 or len(arrays) != 1:
                names = ", ".join(spec.name for spec in self.inputs)
                raise InvalidTensorError(
                    f"An array without a name does not tell which of the inputs {names} it is; "
                    "give a .npz file with an array for each",
                    reason="TENSOR_NAME_MISSING",
                )
            arrays = {self.inputs[0].name: arrays[""]}
        return self.engine.run(arrays)
