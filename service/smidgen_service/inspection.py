"""What an uploaded model file holds, read without torch and without running anything of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from smidgen.artifact import load_artifact, program_specs
from smidgen.formats.model_file import ModelFormat, read_model
from smidgen.tensor_spec import TensorSpec


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the server keeps of a model file."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameter_count: int
    parameter_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Returns what to_dict was called on."""
        return cls(
            inputs=tuple(_spec(entry) for entry in fields["inputs"]),
            outputs=tuple(_spec(entry) for entry in fields["outputs"]),
            parameter_count=int(fields["parameter_count"]),
            parameter_bytes=int(fields["parameter_bytes"]),
        )


def inspect_model(path: Path, model_format: ModelFormat) -> ModelFacts:
    """Reads a model file as a whole.

    Raises:
        InvalidModelError: it is no model.
        UnsupportedOperatorError: it has operators that are not supported.
        ArtifactError: it is no artifact.
        MissingExtraError: it is ONNX, and the package onnx is not installed.
    """
    if model_format is ModelFormat.ARTIFACT:
        inputs, outputs = program_specs(load_artifact(path))
        return ModelFacts(inputs, outputs, parameter_count=0, parameter_bytes=0)
    exported = read_model(path, model_format)
    return ModelFacts(
        tuple(exported.inputs),
        tuple(exported.outputs),
        parameter_count=exported.parameter_count,
        parameter_bytes=exported.parameter_bytes,
    )


def _spec(entry: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(entry["name"], entry["dtype"], tuple(entry["shape"]))
