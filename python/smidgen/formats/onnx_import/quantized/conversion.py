"""From a model that states its own quantization to a program with exactly that quantization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from smidgen.errors import InvalidModelError, ProgramError
from smidgen.formats.onnx_import.quantized.attention import join_attention
from smidgen.formats.onnx_import.quantized.dynamic import with_dynamic_layers
from smidgen.formats.onnx_import.quantized.float_steps import has_float_step, write_plain
from smidgen.formats.onnx_import.quantized.integer_steps import write_exact, write_target
from smidgen.formats.onnx_import.quantized.model import QuantizedModel
from smidgen.formats.onnx_import.quantized.network import Network, without_unread
from smidgen.formats.onnx_import.quantized.plan import Plan, PlanTooLargeError, plan
from smidgen.formats.onnx_import.quantized.sums import join_sums
from smidgen.formats.onnx_import.quantized.weights import UnsupportedWeightsError
from smidgen.formats.onnx_import.quantized.writer import Writer
from smidgen.formats.onnx_import.quantized.written_out import join_functions
from smidgen.formats.onnx_import.reasons import OnnxReason
from smidgen.formats.refusal import refusal
from smidgen.graph import operations as ops
from smidgen.graph.exported import ExportedNode
from smidgen.program import Program, verify

_MOST_SHOWN = 8


def write_program(model: QuantizedModel) -> Program:
    """Writes the program of a quantized model.

    Raises:
        InvalidModelError: With reason ONNX_UNSUPPORTED_QUANTIZATION: parts of it have no step; the
            message names all of them.
    """
    exported = model.exported
    nodes = _rewritten(model)
    shapes = [spec.shape for spec in exported.inputs]
    try:
        made = plan(nodes, shapes, exported.output_values, model.constants, exported.weights)
    except PlanTooLargeError as error:
        raise _refusal(str(error)) from None
    _refuse([found for node in nodes for found in _problems(made, node)])
    writer = Writer(exported, made, model.constants)
    problems: list[str] = []
    for node in nodes:
        try:
            _write(writer, node)
        except UnsupportedWeightsError as error:
            problems.append(f"{_shown(node)} {error}")
            _pretend(writer, node)
    _refuse(problems)
    program = writer.finish(exported.outputs, exported.output_values)
    program = replace(program, lineage={"model_sha256": exported.sha256, "method": "imported"})
    try:
        verify(program)
    except ProgramError as error:
        raise _refusal(error.message) from None
    return program


def _rewritten(model: QuantizedModel) -> Sequence[ExportedNode]:
    outputs, weights = model.exported.output_values, model.exported.weights
    nodes = with_dynamic_layers(model.exported.nodes, model.dynamic)
    nodes = join_functions(Network(nodes, outputs), weights)
    nodes = join_sums(Network(nodes, outputs), weights)
    if model.is_own:
        nodes = without_unread(join_attention(Network(nodes, outputs), weights), outputs)
    return without_unread(_with_biases(Network(nodes, outputs), weights), outputs)


def _with_biases(network: Network, weights: Mapping[str, np.ndarray]) -> Sequence[ExportedNode]:
    """Makes a sum of a product and a vector one layer, as exporters take them apart."""
    return [_with_bias(network, weights, node) or node for node in network.nodes]


def _with_bias(
    network: Network, weights: Mapping[str, np.ndarray], node: ExportedNode
) -> ExportedNode | None:
    if not isinstance(node.operation, ops.Add):
        return None
    for index in (0, 1):
        product = network.made_by(node, index, ops.Linear)
        vector = network.maker(node.inputs[1 - index])
        if product is None or vector is None or not isinstance(vector.operation, ops.Constant):
            continue
        layer, name = product.operation, vector.operation.name
        assert isinstance(layer, ops.Linear)
        if layer.bias is None and weights[name].shape == node.shape[-1:] == product.shape[-1:]:
            joined = replace(layer, bias=name)
            return replace(node, operation=joined, inputs=product.inputs)
    return None


def _problems(made: Plan, node: ExportedNode) -> Iterator[str]:
    if node.output not in made.plain or node.output in made.exact or has_float_step(node):
        return
    unread = [value for value in node.inputs if value not in made.exact]
    found = "gives a value that is not quantized"
    if unread:
        found = "reads values that are not quantized"
    yield f"{_shown(node)} {found}, and has no step on floats"


def _write(writer: Writer, node: ExportedNode) -> None:
    if node.output in writer.plan.exact:
        write_exact(writer, node)
        return
    if node.output in writer.plan.plain:
        write_plain(writer, node)
    for target in writer.plan.targets.get(node.output, ()):
        write_target(writer, node, target)


def _pretend(writer: Writer, node: ExportedNode) -> None:
    """Declares what a refused node would have given, so that all further ones are looked at."""
    if node.output in writer.plan.plain:
        writer.name_plain(node.output, node.label)
    for target in writer.plan.targets.get(node.output, ()):
        writer.name_target(node.output, target, node.label)


def _shown(node: ExportedNode) -> str:
    return f"the {node.operation.kind} {node.label!r}"


def _refuse(problems: Sequence[str]) -> None:
    if not problems:
        return
    shown = "; ".join(problems[:_MOST_SHOWN])
    more = len(problems) - _MOST_SHOWN
    raise _refusal(f"{shown}; and {more} more" if more > 0 else shown)


def _refusal(found: str) -> InvalidModelError:
    return refusal(OnnxReason.UNSUPPORTED_QUANTIZATION, f"its quantization: {found}.")
