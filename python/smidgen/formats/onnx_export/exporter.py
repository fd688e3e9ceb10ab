"""From a program to an ONNX model."""

from __future__ import annotations

from onnx import ModelProto, checker, helper

from smidgen.formats.onnx_export.qdq_graph import QdqGraph
from smidgen.formats.onnx_export.rules import RULES
from smidgen.program import Program, verify

OPSET = 17  # the first with LayerNormalization; runtimes have had it for years
IR_VERSION = 8  # of opset 17


def export_onnx(program: Program, *, name: str = "smidgen") -> ModelProto:
    """Returns an ONNX model that computes what a program computes.

    Activations are uint8 with one scale, weights int8 with one scale for each output channel and
    biases int32, each between QuantizeLinear and DequantizeLinear; operators are float ones, which
    runtimes replace by their quantized kernels. Convolutions, linear layers, maxima, concatenations
    and tables give the program's bytes in a runtime that follows ONNX; sums and averages, whose
    rounding ONNX leaves open, and functions come within one step of the output's scale.

    Args:
        program: An integer program.
        name: Name of the graph.

    Raises:
        ProgramError: the program breaks a rule.
    """
    verify(program)
    graph = QdqGraph(program)
    for step in program.steps:
        RULES[type(step)](graph, step)
    model = helper.make_model(
        graph.finish(name),
        producer_name="smidgen",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    checker.check_model(model, full_check=True)
    return model
