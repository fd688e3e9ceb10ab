"""From a program, or from a float model, to an ONNX model."""

from __future__ import annotations

from onnx import ModelProto

from smidgen.formats.onnx_export.float_graph import FloatGraph
from smidgen.formats.onnx_export.float_rules import FLOAT_RULES, Write
from smidgen.formats.onnx_export.lineage import make_model
from smidgen.formats.onnx_export.qdq_graph import QdqGraph, Sums
from smidgen.formats.onnx_export.rules import RULES
from smidgen.graph.exported import ExportedModel
from smidgen.program import Program, verify


def export_onnx(
    program: Program,
    *,
    name: str = "smidgen",
    artifact_sha256: str | None = None,
    sums: Sums = Sums.EXACT,
) -> ModelProto:
    """Returns an ONNX model that computes what a program computes.

    Activations are uint8 with one scale, weights int8 with one scale for each output channel and
    biases int32, each between QuantizeLinear and DequantizeLinear; operators are float ones, which
    runtimes replace by their quantized kernels. Convolutions, linear layers, sums, maxima,
    concatenations and tables give the program's bytes in a runtime that follows ONNX; products and
    averages, whose rounding runtimes choose, and functions come within one step of the output's
    scale.

    Args:
        program: An integer program.
        name: Name of the graph.
        artifact_sha256: Digest of the artifact file, for the model's metadata.
        sums: How sums of two quantized tensors are written.

    Raises:
        ProgramError: the program breaks a rule.
    """
    verify(program)
    graph = QdqGraph(program, sums)
    for step in program.steps:
        RULES[type(step)](graph, step)
    metadata = {"kind": "qdq"}
    if artifact_sha256 is not None:
        metadata["artifact_sha256"] = artifact_sha256
    lineage = {f"lineage.{key}": value for key, value in program.lineage.items()}
    return make_model(graph.finish(name), metadata | lineage)


def export_float_onnx(model: ExportedModel, *, name: str = "smidgen") -> ModelProto:
    """Returns an ONNX model of float operators that computes what a float model computes.

    Args:
        model: A model as a reader gave it.
        name: Name of the graph.
    """
    graph = FloatGraph(model)
    for node in model.nodes:
        inputs = graph.read(node)
        rule = FLOAT_RULES[type(node.operation)]
        rule(Write(graph, node.operation, inputs, graph.declare(node)))
    return make_model(graph.finish(name), {"kind": "float", "lineage.model_sha256": model.sha256})
