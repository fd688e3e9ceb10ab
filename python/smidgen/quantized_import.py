"""From a quantized ONNX file to a program that is proved on this machine. Needs no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from smidgen.artifact import encode_artifact, program_specs
from smidgen.conversion import Conversion
from smidgen.errors import InvalidModelError
from smidgen.extras import require_onnx
from smidgen.formats.model_file import ModelFormat, format_by_content
from smidgen.program import DType, DynamicLinear, Embedding, Program, Step, step_inputs
from smidgen.report import NodeReport, QuantizationReport
from smidgen.tensor_spec import TensorSpec
from smidgen.verification import check_parity, random_samples, sample_count

_OTHERS = {
    ModelFormat.PT2: "a .pt2 program, whose weights are floats; convert it as a float model, with "
    "samples to calibrate on",
    ModelFormat.ARTIFACT: "a finished artifact; run it as it is, or give the model that it was "
    "made of",
}


@dataclass(frozen=True, slots=True)
class QuantizedFacts:
    """What a quantized file holds.

    Attributes:
        inputs: Inputs of its program in order.
        outputs: Outputs of its program in order.
        parameter_count: Numbers in its weights and biases.
        parameter_bytes: Their size as float32.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameter_count: int
    parameter_bytes: int


def inspect_quantized(path: str | Path) -> QuantizedFacts:
    """Reads a quantized ONNX model without running it.

    Raises:
        MissingExtraError: the package onnx is not installed.
        InvalidModelError: it is no quantized model, or one that has no program.
        UnsupportedOperatorError: the graph has operators that are not supported; names all.
    """
    program = _read(Path(path))
    inputs, outputs = program_specs(program)
    size = sum(_float_bytes(program, step) for step in program.steps)
    return QuantizedFacts(inputs, outputs, parameter_count=size // 4, parameter_bytes=size)


def import_quantized(path: str | Path) -> Conversion:
    """Reads a quantized ONNX model into a program and compares engine and reference on it.

    Scales, zero points and integers are those of the file; nothing is calibrated, and the report
    has one entry for each step instead of one for each node of a float model.

    Args:
        path: A model that ONNX Runtime, NNCF or another tool quantized, or an exported program.

    Raises:
        MissingExtraError: the package onnx is not installed.
        InvalidModelError: with an ONNX_ reason: the file is not acceptable.
        UnsupportedOperatorError: the graph has operators that are not supported; names all.
        EngineError: engine and reference differ.
    """
    program = _read(Path(path))
    certificate = check_parity(program, random_samples(program, sample_count(program)))
    nodes = tuple(_report(program, step) for step in program.steps)
    report = QuantizationReport(
        nodes=nodes,
        float_bytes=sum(node.float_bytes for node in nodes),
        artifact_bytes=len(encode_artifact(program)),
        parity=certificate,
    )
    return Conversion(program=program, report=report)


def _check_format(path: Path) -> None:
    """Says what a file is that is known to be of another format.

    Raises:
        InvalidModelError: MODEL_FORMAT_MISMATCH, it is a `.pt2` program or an artifact.
    """
    found = format_by_content(path)
    if found is not None and found in _OTHERS:
        raise InvalidModelError(
            f"A quantized ONNX model is expected, and the file is {_OTHERS[found]}",
            reason="MODEL_FORMAT_MISMATCH",
            found=found.value,
            expected=ModelFormat.QUANTIZED_ONNX.value,
        )


def _read(path: Path) -> Program:
    require_onnx()
    _check_format(path)
    from smidgen.formats.onnx_import import read_quantized_onnx  # noqa: PLC0415 - an extra

    program = read_quantized_onnx(path)
    has_bytes = any(tensor.dtype is DType.UINT8 for tensor in program.tensors.values())
    if not has_bytes and not any(isinstance(s, DynamicLinear | Embedding) for s in program.steps):
        raise InvalidModelError(
            "The ONNX file has no quantized values; read it as a float model, and calibrate it",
            reason="ONNX_NOT_QUANTIZED",
        )
    return program


def _report(program: Program, step: Step) -> NodeReport:
    output = program.tensor(step.output)
    dtypes = {program.tensor(name).dtype for name in (*step_inputs(step), step.output)}
    constants = _constants_of(program, step)
    is_quantized = DType.UINT8 in dtypes
    return NodeReport(
        node=step.output,
        op=type(step).__name__,
        is_quantized=is_quantized,
        reason="" if is_quantized else "FLOAT",
        output_scale=output.scale or 0.0,
        output_zero_point=output.zero_point,
        float_bytes=_float_bytes(program, step),
        quantized_bytes=sum(program.constants[name].nbytes for name in constants.values()),
    )


def _constants_of(program: Program, step: Step) -> dict[str, str]:
    """Returns the constants of a step by its fields."""
    found: dict[str, str] = {}
    for field in dataclasses.fields(step):
        if "ConstantName" in str(field.type):
            name = getattr(step, field.name)
            if name is not None:
                found[field.name] = name
    return found


def _float_bytes(program: Program, step: Step) -> int:
    """Bytes that the weights and the bias of a step would have in float32."""
    constants = _constants_of(program, step)
    return sum(
        4 * program.constants[constants[field]].size
        for field in ("weight", "bias", "table")
        if field in constants and type(step).__name__ != "Lookup"
    )
