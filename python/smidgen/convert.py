"""Turns a fused float graph and the ranges of its activations into an integer program."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import fx, nn

from smidgen import program as steps
from smidgen.convertible import check_convertible, max_pool_padding
from smidgen.functional import quantize
from smidgen.graph.operations import OpKind
from smidgen.layer_quantization import quantize_layer
from smidgen.lookup_tables import function_table, requantizing_table
from smidgen.passes.operators import Kind, clamp_of, kind_of, module_of, operands, pair
from smidgen.passes.scalar_functions import scalar_function
from smidgen.placement import check_ranges, place_quantization
from smidgen.profile import ActivationRange
from smidgen.program import Program, verify
from smidgen.program_builder import ProgramBuilder
from smidgen.qparams import QParams
from smidgen.tensor_names import activation_names, free_name
from smidgen.tensor_spec import TensorSpec

IntPair = tuple[int, int]


def convert_graph(
    graph: fx.GraphModule,
    ranges: Mapping[str, ActivationRange],
    *,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    lineage: Mapping[str, str] | None = None,
) -> Program:
    """Writes the integer program of a graph that fuse_for_inference or training has left.

    Args:
        graph: One node for each integer step, batch norm folded.
        ranges: The range of each quantized activation by the names of activation_names.
        inputs: The model's inputs in order.
        outputs: The model's outputs in order.
        lineage: Where the program comes from.

    Raises:
        UnsupportedOperatorError: nodes cannot be converted; the message names all of them.
        CalibrationError: a range is missing.
    """
    check_convertible(graph)
    writer = _ProgramWriter(graph, ranges, inputs, outputs)
    program = writer.write(lineage or {})
    verify(program)
    return program


def activation_qparams(
    graph: fx.GraphModule, ranges: Mapping[str, ActivationRange]
) -> Mapping[str, QParams]:
    """Returns the parameters of each node's output by node name.

    Raises:
        CalibrationError: a range is missing.
    """
    names = activation_names(graph)
    placement = place_quantization(graph)
    check_ranges({names[point] for point in placement.values()}, ranges)
    return {node: ranges[names[point]].qparams for node, point in placement.items()}


class _ProgramWriter:
    """Writes one step after the other; what a node's value is called never changes."""

    def __init__(
        self,
        graph: fx.GraphModule,
        ranges: Mapping[str, ActivationRange],
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
    ) -> None:
        self._graph = graph
        self._qparams = activation_qparams(graph, ranges)
        self._inputs = inputs
        self._outputs = outputs
        self._builder = ProgramBuilder()
        self._taken = {spec.name for spec in inputs}
        self._output_names = tuple(self._take(spec.name) for spec in outputs)
        self._names: dict[str, str] = {}

    def write(self, lineage: Mapping[str, str]) -> Program:
        """Returns the program of the whole graph."""
        rules: dict[Kind, Callable[[fx.Node], None]] = {
            Kind.INPUT: self._input,
            Kind.OUTPUT: self._output,
            Kind.CONV: self._conv2d,
            Kind.LINEAR: self._linear,
            Kind.CLAMP: self._lookup,
            Kind.UNARY: self._lookup,
            Kind.ADD: self._add,
            Kind.MULTIPLY: self._multiply,
            Kind.CONCAT: self._concat,
            Kind.MAX_POOL: self._max_pool,
            Kind.AVERAGE_POOL: self._average_pool,
            Kind.RESHAPE: self._reshape,
        }
        for node in self._graph.graph.nodes:
            rules[kind_of(node)](node)
        names = tuple(spec.name for spec in self._inputs)
        return self._builder.finish(names, self._output_names, lineage)

    def _take(self, name: str) -> str:
        name = free_name(name, self._taken)
        self._taken.add(name)
        return name

    def _define(self, node: fx.Node) -> str:
        """Declares the quantized tensor that a node computes."""
        name = self._take(node.name)
        self._names[node.name] = name
        return self._builder.quantized_tensor(
            name, tuple(node.meta["shape"]), self._qparams[node.name]
        )

    def _source(self, node: fx.Node, index: int = 0) -> str:
        """Returns the tensor of a node's input."""
        return self._names[operands(node)[index].name]

    def _clamp(self, node: fx.Node) -> IntPair:
        """Returns qmin and qmax of a node's fused activation."""
        qparams = self._qparams[node.name]
        low, high = quantize(
            torch.tensor(clamp_of(self._graph, node), dtype=torch.float32).numpy(),
            qparams.scale,
            qparams.zero_point,
        )
        return int(low), int(high)

    def _input(self, node: fx.Node) -> None:
        name = str(node.meta["input_name"])
        self._builder.float_tensor(name, tuple(node.meta["shape"]))
        self._builder.step(steps.Quantize(input=name, output=self._define(node)))

    def _output(self, node: fx.Node) -> None:
        for name, value in zip(self._output_names, output_nodes(node), strict=True):
            self._builder.float_tensor(name, tuple(value.meta["shape"]))
            source = self._names[value.name]
            self._builder.step(steps.Dequantize(input=source, output=name))

    def _layer_constants(self, node: fx.Node, layer: nn.Conv2d | nn.Linear) -> tuple[str, str, str]:
        """Adds weight, weight scales and bias of a layer and returns their names."""
        source = self._qparams[operands(node)[0].name]
        bias = None if layer.bias is None else layer.bias.detach().numpy()
        quantized = quantize_layer(layer.weight.detach().numpy(), bias, source, node=node.name)
        constant = self._builder.constant
        return (
            constant(f"{node.name}.weight", quantized.weight),
            constant(f"{node.name}.weight_scale", quantized.weight_scale),
            constant(f"{node.name}.bias", quantized.bias),
        )

    def _conv2d(self, node: fx.Node) -> None:
        conv = module_of(self._graph, node)
        assert isinstance(conv, nn.Conv2d)
        vertical, horizontal = pair(conv.padding)
        weight, weight_scale, bias = self._layer_constants(node, conv)
        qmin, qmax = self._clamp(node)
        self._builder.step(
            steps.Conv2d(
                input=self._source(node),
                output=self._define(node),
                weight=weight,
                weight_scale=weight_scale,
                bias=bias,
                stride=pair(conv.stride),
                padding=(vertical, horizontal, vertical, horizontal),
                dilation=pair(conv.dilation),
                groups=conv.groups,
                qmin=qmin,
                qmax=qmax,
            )
        )

    def _linear(self, node: fx.Node) -> None:
        linear = module_of(self._graph, node)
        assert isinstance(linear, nn.Linear)
        weight, weight_scale, bias = self._layer_constants(node, linear)
        qmin, qmax = self._clamp(node)
        self._builder.step(
            steps.Linear(
                input=self._source(node),
                output=self._define(node),
                weight=weight,
                weight_scale=weight_scale,
                bias=bias,
                qmin=qmin,
                qmax=qmax,
            )
        )

    def _lookup(self, node: fx.Node) -> None:
        source = self._qparams[operands(node)[0].name]
        function = scalar_function(self._graph, node)
        table = function_table(function, source, self._qparams[node.name])
        name = self._builder.constant(f"{node.name}.table", table)
        source_name = self._source(node)
        self._builder.step(steps.Lookup(input=source_name, output=self._define(node), table=name))

    def _add(self, node: fx.Node) -> None:
        lhs, rhs = self._source(node, 0), self._source(node, 1)
        qmin, qmax = self._clamp(node)
        self._builder.step(
            steps.Add(lhs=lhs, rhs=rhs, output=self._define(node), qmin=qmin, qmax=qmax)
        )

    def _multiply(self, node: fx.Node) -> None:
        lhs, rhs = self._source(node, 0), self._source(node, 1)
        qmin, qmax = self._clamp(node)
        self._builder.step(
            steps.Multiply(lhs=lhs, rhs=rhs, output=self._define(node), qmin=qmin, qmax=qmax)
        )

    def _concat(self, node: fx.Node) -> None:
        parts = tuple(self._requantized(part, node) for part in operands(node))
        self._builder.step(steps.Concat(inputs=parts, output=self._define(node)))

    def _requantized(self, part: fx.Node, concat: fx.Node) -> str:
        """Returns a concatenation's operand in its scale, which a table gives where it differs."""
        source, target = self._qparams[part.name], self._qparams[concat.name]
        if source == target:
            return self._names[part.name]
        output = self._builder.quantized_tensor(
            self._take(f"{part.name}_for_{concat.name}"), tuple(part.meta["shape"]), target
        )
        table = self._builder.constant(f"{output}.table", requantizing_table(source, target))
        self._builder.step(steps.Lookup(input=self._names[part.name], output=output, table=table))
        return output

    def _max_pool(self, node: fx.Node) -> None:
        pool = module_of(self._graph, node)
        assert isinstance(pool, nn.MaxPool2d)
        self._builder.step(
            steps.MaxPool2d(
                input=self._source(node),
                output=self._define(node),
                kernel=pair(pool.kernel_size),
                stride=pair(pool.stride),
                padding=max_pool_padding(pool, operands(node)[0], node),
                dilation=pair(pool.dilation),
            )
        )

    def _average_pool(self, node: fx.Node) -> None:
        source, output = self._source(node), self._define(node)
        qmin, qmax = self._clamp(node)
        if node.meta["op"] == OpKind.GLOBAL_AVERAGE_POOL:
            self._builder.step(
                steps.GlobalAveragePool(input=source, output=output, qmin=qmin, qmax=qmax)
            )
            return
        pool = module_of(self._graph, node)
        assert isinstance(pool, nn.AvgPool2d)
        vertical, horizontal = pair(pool.padding)
        self._builder.step(
            steps.AveragePool2d(
                input=source,
                output=output,
                kernel=pair(pool.kernel_size),
                stride=pair(pool.stride),
                padding=(vertical, horizontal, vertical, horizontal),
                count_include_pad=pool.count_include_pad,
                qmin=qmin,
                qmax=qmax,
            )
        )

    def _reshape(self, node: fx.Node) -> None:
        # Only the batch may be unknown, and it stays in front.
        shape = tuple(0 if extent is None else extent for extent in node.meta["shape"])
        self._builder.step(
            steps.Reshape(input=self._source(node), output=self._define(node), shape=shape)
        )


def output_nodes(node: fx.Node) -> tuple[fx.Node, ...]:
    """Returns the nodes that an output node returns, in order."""
    values = node.args[0]
    return (values,) if isinstance(values, fx.Node) else tuple(values)  # type: ignore[arg-type]
