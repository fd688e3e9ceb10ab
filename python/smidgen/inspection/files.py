"""Reads a file of any format and says what is in it."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from smidgen.artifact import load_artifact, program_specs
from smidgen.errors import InvalidModelError
from smidgen.formats.model_file import (
    QUANTIZED_REASON,
    ModelFormat,
    guess_format,
    read_model,
)
from smidgen.graph.exported import ExportedModel, ExportedNode
from smidgen.graph.multiplications import node_multiplications
from smidgen.graph.operations import weight_names
from smidgen.inspection.facts import FileFacts, LayerFacts, Placement
from smidgen.program import DType, Program, Step, step_constants, step_inputs
from smidgen.program.multiplications import multiplications
from smidgen.regular_file import open_regular


def inspect_file(path: Path) -> FileFacts:
    """Says what is in a `.pt2`, `.onnx` or `.smidgen` file.

    Raises:
        InvalidModelError: it is no model.
        UnsupportedOperatorError: it has operators that are not supported; the message names all.
        ArtifactError: it is no artifact.
        MissingExtraError: it is ONNX, and the package onnx is not installed.
        OSError: it cannot be read.
    """
    model_format = guess_format(path)
    size = path.stat().st_size
    if model_format is ModelFormat.ARTIFACT:
        with open_regular(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return _of_program(load_artifact(path), ModelFormat.ARTIFACT, digest, size)
    try:
        model = read_model(path, model_format)
    except InvalidModelError as error:
        if error.reason != QUANTIZED_REASON:
            raise
        from smidgen.formats.onnx_import import read_quantized_onnx  # noqa: PLC0415  (an extra)

        program = read_quantized_onnx(path)
        digest = program.lineage["model_sha256"]
        return _of_program(program, ModelFormat.QUANTIZED_ONNX, digest, size)
    return _of_model(model, model_format, size)


def _of_program(program: Program, model_format: ModelFormat, digest: str, size: int) -> FileFacts:
    inputs, outputs = program_specs(program)
    return FileFacts(
        format=model_format.value,
        sha256=digest,
        size_bytes=size,
        inputs=inputs,
        outputs=outputs,
        parameter_count=sum(value.size for value in program.constants.values()),
        parameter_bytes=sum(value.nbytes for value in program.constants.values()),
        layers=tuple(_step_layer(program, step) for step in program.steps),
        lineage=dict(program.lineage),
        preprocessing=None
        if program.preprocessing is None
        else program.preprocessing.to_document(),
    )


def _step_layer(program: Program, step: Step) -> LayerFacts:
    output = program.tensor(step.output)
    constants = [program.constants[name] for name in dict.fromkeys(step_constants(step))]
    held = {program.tensor(name).dtype for name in (step.output, *step_inputs(step))}
    # A dynamic linear layer quantizes its input by itself.
    is_quantized = DType.UINT8 in held or type(step).__name__ == "DynamicLinear"
    return LayerFacts(
        name=step.output,
        op=type(step).__name__,
        module_path="",
        dtype=output.dtype.value,
        shape=output.shape,
        parameter_count=sum(value.size for value in constants),
        parameter_bytes=sum(value.nbytes for value in constants),
        multiplications=multiplications(program, step, batch=1),
        placement=Placement(is_quantized, "" if is_quantized else "FLOAT"),
    )


def _of_model(model: ExportedModel, model_format: ModelFormat, size: int) -> FileFacts:
    placements: tuple[Placement | None, ...] = (None,) * len(model.nodes)
    if importlib.util.find_spec("torch") is not None:
        from smidgen.inspection.placement import expected_placements  # noqa: PLC0415  (torch)

        placements = expected_placements(model)
    layers = zip(model.nodes, node_multiplications(model, 1), placements, strict=True)
    return FileFacts(
        format=model_format.value,
        sha256=model.sha256,
        size_bytes=size,
        inputs=model.inputs,
        outputs=model.outputs,
        parameter_count=model.parameter_count,
        parameter_bytes=model.parameter_bytes,
        layers=tuple(
            _node_layer(model, f"v{index}", node, count, placement)
            for index, (node, count, placement) in enumerate(layers)
        ),
        lineage={},
        warnings=model.warnings,
    )


def _node_layer(
    model: ExportedModel, name: str, node: ExportedNode, count: int, placement: Placement | None
) -> LayerFacts:
    weights = [model.weights[weight] for weight in dict.fromkeys(weight_names(node.operation))]
    return LayerFacts(
        name=name,
        op=node.operation.kind.value,
        module_path=node.module_path,
        dtype=node.dtype,
        shape=node.shape,
        parameter_count=sum(weight.size for weight in weights),
        parameter_bytes=sum(weight.nbytes for weight in weights),
        multiplications=count,
        placement=placement,
        source=node.source,
    )
