"""Prepares a float graph for quantization-aware training, and finishes it for conversion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn

from smidgen.config import PrecisionConfig, RangeSource
from smidgen.config.precision import ALL_INT8
from smidgen.extreme_ranges import keep_extremes_in_float
from smidgen.forms import assign_forms
from smidgen.passes import fuse_for_training, keep_in_float
from smidgen.passes.operators import (
    CLAMPABLE_KINDS,
    UNBOUNDED,
    Clamped,
    ConvBatchNorm2d,
    clamp_of,
    is_interpolation,
    kind_of,
    module_of,
    operands,
    stays_float,
)
from smidgen.passes.rewriter import Rewriter
from smidgen.placement import check_ranges, place_quantization, range_sources
from smidgen.precision import Precision, float_layers, resolve_precision
from smidgen.profile import ActivationRange
from smidgen.qat.fake_quantize import FakeQuantize, Requantize
from smidgen.qat.learned_step import LearnedStep
from smidgen.qat.modules import (
    QATConv2d,
    QATConvBatchNorm2d,
    QATConvTranspose2d,
    QATLayer,
    QATLinear,
)
from smidgen.tensor_names import activation_names

_QAT_LAYERS: dict[type[nn.Module], Any] = {
    nn.Conv2d: QATConv2d,
    nn.ConvTranspose2d: QATConvTranspose2d,
    nn.Linear: QATLinear,
    ConvBatchNorm2d: QATConvBatchNorm2d,
}


_FAKE_QUANTIZERS: dict[RangeSource, type[FakeQuantize]] = {
    RangeSource.OBSERVED: FakeQuantize,
    RangeSource.LEARNED: LearnedStep,
}


def prepare_qat(
    source: fx.GraphModule,
    ranges: Mapping[str, ActivationRange],
    precision: PrecisionConfig = ALL_INT8,
    activations: RangeSource = RangeSource.OBSERVED,
) -> fx.GraphModule:
    """Returns an independent copy of an imported graph that simulates its integer program.

    Args:
        source: The imported graph.
        ranges: Where each activation's range starts, by the names of activation_names.
        precision: Bits of each layer's weights.
        activations: Where the ranges come from in train mode. State dicts have the same form for
            all of them.

    Raises:
        CalibrationError: a range is missing, or has no scale.
        InvalidConfigError: the precision does not fit the graph; see resolve_precision.
    """
    return prepare_fused(fuse_for_training(source), ranges, precision, activations)


def prepare_fused(
    fused: fx.GraphModule,
    ranges: Mapping[str, ActivationRange],
    precision: Precision = ALL_INT8,
    activations: RangeSource = RangeSource.OBSERVED,
) -> fx.GraphModule:
    """Returns a graph that simulates the integer program of a fused one.

    Weights are fake-quantized in their layers. Activations are fake-quantized where
    place_quantization says: at inputs and behind fused layers, sums, averages, functions and
    concatenations; max pooling and reshapes have nothing to round.

    Args:
        fused: What fuse_for_training or fuse_for_inference returns; its modules are shared.
        ranges: Where each activation's range starts, by the names of activation_names.
        precision: Bits of each layer's weights.
        activations: Where the ranges come from in train mode. State dicts have the same form for
            all of them.

    Raises:
        CalibrationError: a range is missing, or has no scale.
        InvalidConfigError: the precision does not fit the graph; see resolve_precision.
    """
    fused = keep_extremes_in_float(fused, ranges)
    precisions = resolve_precision(fused, precision)
    fused = keep_in_float(fused, float_layers(precisions))
    rewriter = Rewriter(fused)
    for node in fused.graph.nodes:
        module = module_of(fused, node)
        make = None if module is None else _QAT_LAYERS.get(type(module))
        if make is None:
            rewriter.copy(node)
        else:
            layer = _with_clamp(make(module, precisions[node.name]), clamp_of(fused, node))
            rewriter.call(node, layer, tuple(node.all_input_nodes), like=node)
    prepared = rewriter.finish()
    _insert_fake_quantization(prepared, fused, ranges, _FAKE_QUANTIZERS[activations])
    return prepared


def finish_qat(
    prepared: fx.GraphModule,
) -> tuple[fx.GraphModule, Mapping[str, ActivationRange]]:
    """Returns the plain graph with trained, folded weights, and the trained ranges.

    The graph has the nodes that fuse_for_inference gives for the imported graph.
    """
    rewriter = Rewriter(prepared)
    ranges: dict[str, ActivationRange] = {}
    for node in prepared.graph.nodes:
        module = module_of(prepared, node)
        if isinstance(module, FakeQuantize):
            ranges[node.meta["activation"]] = module.range
            rewriter.skip(node, node.all_input_nodes[0])
        elif isinstance(module, Requantize):
            rewriter.skip(node, node.all_input_nodes[0])
        elif isinstance(module, QATLayer):
            layer = _with_clamp(module.folded(), clamp_of(prepared, node))
            rewriter.call(node, layer, tuple(node.all_input_nodes), like=node)
        elif module is not None and _is_clamped_by_reader(prepared, node):
            layer = _with_clamp(module, clamp_of(prepared, node))
            rewriter.call(node, layer, tuple(operands(node)), like=node)
        else:
            rewriter.copy(node)
    return rewriter.finish(), ranges


class ClampedByReader(Clamped):
    """An operator whose clamp the FakeQuantize behind it does; the state has the same names."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Runs the operator."""
        output: torch.Tensor = self.operator(*inputs)
        return output


def _is_clamped_by_reader(prepared: fx.GraphModule, node: fx.Node) -> bool:
    is_call = node.op == "call_module"
    return is_call and isinstance(prepared.get_submodule(str(node.target)), ClampedByReader)


def _with_clamp(layer: nn.Module, bounds: tuple[float, float]) -> nn.Module:
    low, high = bounds
    return layer if bounds == UNBOUNDED else Clamped(layer, low=low, high=high)


def _insert_fake_quantization(
    prepared: fx.GraphModule,
    fused: fx.GraphModule,
    ranges: Mapping[str, ActivationRange],
    make: type[FakeQuantize],
) -> None:
    """Puts a FakeQuantize behind each node whose value is quantized, for those who read it so."""
    names, forms, points = activation_names(fused), assign_forms(fused), place_quantization(fused)
    sources = range_sources(fused)
    nodes = {node.name: node for node in fused.graph.nodes}
    check_ranges({names[source] for source in sources.values()}, ranges)
    # Values that share a range without being the same are rare, and lie around float layers.
    own: dict[str, FakeQuantize] = {}
    modules: dict[str, FakeQuantize] = {}
    counts = Counter(sources[point] for point in set(points.values()))
    for node in [node for node in prepared.graph.nodes if node.name in points]:
        original, point = nodes[node.name], points[node.name]
        if node.name == point:
            source = sources[point]
            if source not in own:
                own[source] = make(ranges[names[source]])
            modules[point] = own[source]
            inserted = _insert_behind(prepared, node, f"{point}_fake_quantize", modules[point])
            inserted.meta["activation"] = names[source]
        elif is_interpolation(fused, original):
            module = Requantize(modules[point])
            inserted = _insert_behind(prepared, node, f"{node.name}_requantize", module)
        else:
            continue
        readers = {u.name for u in original.users if forms.is_quantized_for(original, u)}
        node.replace_all_uses_with(
            inserted, delete_user_cb=lambda user, readers=readers: user.name in readers
        )
        is_own = counts[sources[point]] == 1
        if node.name == point and is_own and list(node.users) == [inserted]:
            _take_over(prepared, node, modules[point])
    for node in prepared.graph.nodes:
        layer = module_of(prepared, node)
        if isinstance(layer, QATLayer) and not stays_float(node):
            (read,) = nodes[node.name].all_input_nodes
            layer.on_grid.source = modules[points[read.name]]
    prepared.recompile()


def _take_over(prepared: fx.GraphModule, node: fx.Node, reader: FakeQuantize) -> None:
    """Lets the only reader of a node clamp its value and write over it.

    That saves passes over the activation, and memory that is used for the first time in each step,
    which costs more than the passes. None of these operators needs its output to find gradients.
    """
    if kind_of(node) not in CLAMPABLE_KINDS or not reader.may_take_over:
        return
    reader.bounds = clamp_of(prepared, node)
    reader.overwrites = True
    module = module_of(prepared, node)
    if module is not None and reader.bounds != UNBOUNDED:
        low, high = reader.bounds
        prepared.set_submodule(str(node.target), ClampedByReader(module, low=low, high=high))


def _insert_behind(
    prepared: fx.GraphModule, node: fx.Node, target: str, module: nn.Module
) -> fx.Node:
    prepared.add_submodule(target, module)
    with prepared.graph.inserting_after(node):
        inserted = prepared.graph.call_module(target, (node,))
    inserted.meta = {"shape": node.meta["shape"]}
    return inserted
