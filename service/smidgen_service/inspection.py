"""What an uploaded model file holds, read without torch and without running anything of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from smidgen.artifact import load_artifact, program_specs
from smidgen.errors import InvalidModelError
from smidgen.formats.model_file import QUANTIZED_REASON, ModelFormat, read_model
from smidgen.quantized_import import inspect_quantized
from smidgen.tensor_spec import TensorSpec


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the server keeps of a model file.

    Attributes:
        format: Its format: of an ONNX file it is known only now whether it is quantized.
        inputs: Its inputs in order.
        outputs: Its outputs in order.
        parameter_count: Trained parameters.
        parameter_bytes: Their size as float32.
        warnings: What deserves attention, for people.
    """

    format: ModelFormat
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameter_count: int
    parameter_bytes: int
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Returns what to_dict was called on."""
        return cls(
            format=ModelFormat(fields["format"]),
            inputs=tuple(_spec(entry) for entry in fields["inputs"]),
            outputs=tuple(_spec(entry) for entry in fields["outputs"]),
            parameter_count=int(fields["parameter_count"]),
            parameter_bytes=int(fields["parameter_bytes"]),
            warnings=tuple(map(str, fields["warnings"])),
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
        return ModelFacts(model_format, inputs, outputs, parameter_count=0, parameter_bytes=0)
    if model_format is ModelFormat.QUANTIZED_ONNX:
        return _of_quantized(path)
    from smidgen.pool_limits import pool_warnings  # noqa: PLC0415 - needed here alone: of float graphs

    try:
        exported = read_model(path, model_format)
    except InvalidModelError as error:
        if error.reason != QUANTIZED_REASON:
            raise
        return _of_quantized(path)
    return ModelFacts(
        model_format,
        tuple(exported.inputs),
        tuple(exported.outputs),
        parameter_count=exported.parameter_count,
        parameter_bytes=exported.parameter_bytes,
        warnings=(*exported.warnings, *pool_warnings(exported)),
    )


def _of_quantized(path: Path) -> ModelFacts:
    """Reads a quantized ONNX file up to its program, so that a model that is stored converts."""
    found = inspect_quantized(path)
    return ModelFacts(
        ModelFormat.QUANTIZED_ONNX,
        found.inputs,
        found.outputs,
        parameter_count=found.parameter_count,
        parameter_bytes=found.parameter_bytes,
    )


def _spec(entry: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(entry["name"], entry["dtype"], tuple(entry["shape"]))
