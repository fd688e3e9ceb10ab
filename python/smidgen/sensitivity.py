"""Which layers cost a model its accuracy: each is quantized alone, all others stay in float."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from smidgen.config.precision import INT8, LayerPrecision
from smidgen.convert import activation_qparams
from smidgen.evaluation import Arrays
from smidgen.functional import dequantize, quantize
from smidgen.layer_quantization import quantize_layer
from smidgen.measured import Sensitivity
from smidgen.passes.fold_batch_norm import Layer, by_output, layer_like, like_layer
from smidgen.passes.operators import clamp, clamp_of, module_of, stays_float
from smidgen.placement import place_quantization
from smidgen.profile import ActivationRange
from smidgen.qparams import QParams
from smidgen.tensor_spec import TensorSpec
from smidgen.verification import sqnr_db


def measure_sensitivity(
    graph: fx.GraphModule,
    ranges: Mapping[str, ActivationRange],
    batch: Arrays,
    specs: Sequence[TensorSpec],
    precisions: Mapping[str, LayerPrecision] | None = None,
) -> dict[str, Sensitivity]:
    """Quantizes the weights and the output of one layer after the other.

    The values before a layer are those of the float model and are computed once.

    Args:
        graph: What fuse_for_inference or finish_qat returns.
        ranges: The range of each quantized activation by the names of activation_names.
        batch: One array for each input.
        specs: The model's inputs in order.
        precisions: Precision of the layers by node; int8 where there is none.

    Returns:
        The sensitivity by node name, in execution order. Inputs count as layers, what only moves
        values does not.

    Raises:
        CalibrationError: a range is missing.
        UnsupportedOperatorError: a layer's sums could leave int32.
    """
    nodes = measurable_nodes(graph, ranges)
    found = each_sensitivity(graph, ranges, batch, specs, nodes=nodes, precisions=precisions or {})
    return {node.name: sensitivity for node, sensitivity in found}


def measurable_nodes(
    graph: fx.GraphModule, ranges: Mapping[str, ActivationRange]
) -> tuple[fx.Node, ...]:
    """Returns the nodes that can be quantized alone, in execution order.

    Raises:
        CalibrationError: a range is missing.
    """
    qparams, points = activation_qparams(graph, ranges), _points(graph)
    return tuple(
        node
        for node in graph.graph.nodes
        if node.name in points or _source(graph, node, qparams) is not None
    )


def each_sensitivity(
    graph: fx.GraphModule,
    ranges: Mapping[str, ActivationRange],
    batch: Arrays,
    specs: Sequence[TensorSpec],
    *,
    nodes: Iterable[fx.Node],
    precisions: Mapping[str, LayerPrecision] = {},  # is not changed
) -> Iterator[tuple[fx.Node, Sensitivity]]:
    """Yields one node after the other with what quantizing it alone does.

    Args:
        graph: As for measure_sensitivity.
        ranges: Likewise.
        batch: Likewise.
        specs: Likewise.
        nodes: Some of measurable_nodes, in any order.
        precisions: Precision of the layers by node; int8 where there is none.

    Raises:
        CalibrationError: a range is missing.
        UnsupportedOperatorError: a layer's sums could leave int32.
    """
    qparams, points = activation_qparams(graph, ranges), _points(graph)
    inputs = [torch.from_numpy(np.array(batch[spec.name])) for spec in specs]
    recorder = _Recorder(graph)
    with torch.inference_mode():
        expected = _first(recorder.run(*inputs))
    for node in nodes:
        precision = precisions.get(node.name, INT8)
        with torch.inference_mode():  # left before the caller goes on
            runner = _Quantized(graph, node, qparams, points, precision)
            sensitivity = _loss(expected, _first(runner.run_from(recorder.values)))
        yield node, sensitivity


def _points(graph: fx.GraphModule) -> set[str]:
    return {name for name, point in place_quantization(graph).items() if name == point}


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps every node's value."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Runs one node and keeps its value."""
        value = self.values[n] = super().run_node(n)
        return value


class _Quantized(fx.Interpreter):
    """Runs a graph with one quantized layer."""

    def __init__(
        self,
        graph: fx.GraphModule,
        layer: fx.Node,
        qparams: Mapping[str, QParams],
        points: set[str],
        precision: LayerPrecision,
    ) -> None:
        super().__init__(graph)
        self._layer = layer
        self._replacement = _quantized_layer(graph, layer, qparams, precision)
        self._bounds = clamp_of(graph, layer)
        self._rounding = qparams[layer.name] if layer.name in points else None

    def run_from(self, values: Mapping[fx.Node, Any]) -> Any:
        """Runs the layer and what depends on it; all other values are given."""
        depending = {self._layer}
        for node in self._layer.graph.nodes:
            if not depending.isdisjoint(node.all_input_nodes):
                depending.add(node)
        known = {node: value for node, value in values.items() if node not in depending}
        if self._layer.op == "placeholder":
            known[self._layer] = self._rounded(values[self._layer])
        return self.run(initial_env=known)

    def run_node(self, n: fx.Node) -> Any:
        """Runs one node; the quantized layer with its replacement."""
        if n is not self._layer:
            return super().run_node(n)
        if self._replacement is None:
            return self._rounded(super().run_node(n))
        inputs, _ = self.fetch_args_kwargs_from_env(n)
        return self._rounded(clamp(self._replacement(*inputs), *self._bounds))

    def _rounded(self, value: torch.Tensor) -> torch.Tensor:
        if self._rounding is None:
            return value
        scale, zero_point = self._rounding.scale, self._rounding.zero_point
        return torch.from_numpy(
            dequantize(quantize(value.numpy(), scale, zero_point), scale, zero_point)
        )


def _source(graph: fx.GraphModule, node: fx.Node, qparams: Mapping[str, QParams]) -> QParams | None:
    """Returns the parameters of what a layer reads as integers; None for all other nodes."""
    if not isinstance(module_of(graph, node), Layer) or stays_float(node):
        return None
    return qparams.get(node.all_input_nodes[0].name)


def _quantized_layer(
    graph: fx.GraphModule,
    node: fx.Node,
    qparams: Mapping[str, QParams],
    precision: LayerPrecision,
) -> nn.Module | None:
    """Returns a layer with the weights and the bias of its integer step; None for other nodes."""
    layer, source = module_of(graph, node), _source(graph, node, qparams)
    if not isinstance(layer, Layer) or source is None:
        return None
    bias = None if layer.bias is None else layer.bias.detach().numpy()
    weight = by_output(layer).detach().numpy()
    step = quantize_layer(weight, bias, source, precision, node=node.name)
    spread = step.weight_scale.reshape(-1, *([1] * (step.weight.ndim - 1)))
    rounded = torch.from_numpy(step.weight.astype(np.float32) * spread)
    scales = np.float64(source.scale) * step.weight_scale
    real_bias = torch.from_numpy((step.bias * scales).astype(np.float32))
    return layer_like(layer, like_layer(layer, rounded), real_bias)


def _first(output: Any) -> NDArray[np.float32]:
    first: torch.Tensor = output if isinstance(output, torch.Tensor) else output[0]
    return first.numpy()


def _loss(expected: NDArray[np.float32], found: NDArray[np.float32]) -> Sensitivity:
    has_classes = expected.ndim == 2 and expected.shape[1] > 1
    return Sensitivity(
        output_sqnr_db=sqnr_db(expected, found),
        output_kl=_divergence(expected, found) if has_classes else None,
    )


def _divergence(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float | None:
    """Returns the mean KL divergence of softmax(found) from softmax(expected), at least 0."""
    wanted, given = (_log_softmax(logits.astype(np.float64)) for logits in (expected, found))
    mean = float((np.exp(wanted) * (wanted - given)).sum(axis=1).mean())
    return max(mean, 0.0) if math.isfinite(mean) else None


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    logarithms: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logarithms
