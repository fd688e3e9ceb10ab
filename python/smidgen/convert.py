"""Turns a fused float graph and the ranges of its activations into an integer program."""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from smidgen.config.precision import ALL_INT8
from smidgen.convertible import check_convertible
from smidgen.extreme_ranges import check_scales
from smidgen.passes import keep_in_float
from smidgen.placement import check_ranges, range_sources
from smidgen.precision import Precision, float_layers, resolve_precision
from smidgen.profile import ActivationRange
from smidgen.program import Program, verify
from smidgen.program_writer.rules import write_node
from smidgen.program_writer.writer import ProgramWriter
from smidgen.qparams import QParams
from smidgen.tensor_names import activation_names
from smidgen.tensor_spec import TensorSpec


def convert_graph(
    graph: fx.GraphModule,
    ranges: Mapping[str, ActivationRange],
    *,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    lineage: Mapping[str, str] | None = None,
    precision: Precision = ALL_INT8,
) -> Program:
    """Writes the integer program of a graph that fuse_for_inference or training has left.

    Args:
        graph: One node for each operation, batch norm folded.
        ranges: The range of each quantized activation by the names of activation_names.
        inputs: The model's inputs in order.
        outputs: The model's outputs in order.
        lineage: Where the program comes from.
        precision: Bits of each layer's weights, and which layers stay in float.

    Raises:
        UnsupportedOperatorError: nodes cannot be converted; the message names all of them.
        CalibrationError: a range is missing, or has no scale.
        InvalidConfigError: the precision does not fit the graph; see resolve_precision.
    """
    precisions = resolve_precision(graph, precision)
    graph = keep_in_float(graph, float_layers(precisions))
    check_convertible(graph)
    qparams = activation_qparams(graph, ranges)
    writer = ProgramWriter(graph, qparams, inputs, outputs, precisions)
    for node in graph.graph.nodes:
        write_node(writer, node)
    program = writer.finish(lineage or {})
    verify(program)
    return program


def activation_qparams(
    graph: fx.GraphModule, ranges: Mapping[str, ActivationRange]
) -> Mapping[str, QParams]:
    """Returns the parameters of each quantized value by node name.

    Raises:
        CalibrationError: a range is missing; RANGE_NOT_REPRESENTABLE.
    """
    names = activation_names(graph)
    sources = range_sources(graph)
    check_ranges({names[source] for source in sources.values()}, ranges)
    check_scales(graph, ranges)
    return {node: ranges[names[source]].qparams for node, source in sources.items()}
