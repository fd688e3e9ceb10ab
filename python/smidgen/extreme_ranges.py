"""Keeps in float what uint8 cannot hold: activations and weights of extreme size."""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from smidgen.activation_range import ActivationRange
from smidgen.convertible import plain_problem
from smidgen.errors import CalibrationError
from smidgen.node_place import place_of
from smidgen.passes import keep_in_float
from smidgen.passes.fold_batch_norm import Layer
from smidgen.passes.operators import SOURCE_KINDS, Kind, kind_of, module_of, stays_float
from smidgen.placement import range_sources
from smidgen.qparams import INT4_QMAX, LARGEST_SCALE, REPRESENTABLE_RANGES, SMALLEST_SCALE
from smidgen.tensor_names import activation_names
from smidgen.weight_grid import FINEST_QMAX


def keep_extremes_in_float(
    graph: fx.GraphModule, ranges: Mapping[str, ActivationRange]
) -> fx.GraphModule:
    """Returns the graph with what computes or reads extreme values as steps on floats.

    Those are the values whose range has no scale, and the weights that have none. Readers come
    first: where all of them work on floats, a linear layer gives floats and may stay in integers.

    Args:
        graph: What fuse_for_inference or fuse_for_training returns.
        ranges: The range of each activation by the names of activation_names.

    Raises:
        CalibrationError: RANGE_NOT_REPRESENTABLE where an operation in between has no step on
            floats.
    """
    heavy = {node.name for node in graph.graph.nodes if _has_extreme_weights(graph, node)}
    kept = keep_in_float(graph, heavy)
    while extremes := _extremes(kept, ranges):
        readers = {user for node in extremes for user in node.users}
        movable = _movable(kept, readers) or _movable(kept, set(extremes))
        if not movable:
            break
        kept = keep_in_float(kept, movable)
    check_scales(kept, ranges)
    return kept


def check_scales(graph: fx.GraphModule, ranges: Mapping[str, ActivationRange]) -> None:
    """Checks that each quantized value of a fused graph has a scale.

    Raises:
        CalibrationError: RANGE_NOT_REPRESENTABLE, for the first that has none.
    """
    for node, found in _extremes(graph, ranges).items():
        stuck = next((near for near in (*node.users, node) if not _can_be_float(graph, near)), None)
        why = "" if stuck is None else f"; {stuck.name} ({place_of(stuck)}) works on integers alone"
        raise CalibrationError(
            f"activation {node.name} ({place_of(node)}) has the range [{found.low:.7g}, "
            f"{found.high:.7g}], {REPRESENTABLE_RANGES}{why}; rescale the model so "
            "that its values are nearer to 1",
            reason="RANGE_NOT_REPRESENTABLE",
            node=node.name,
            low=found.low,
            high=found.high,
        )


def _extremes(
    graph: fx.GraphModule, ranges: Mapping[str, ActivationRange]
) -> dict[fx.Node, ActivationRange]:
    """Returns the quantized values that have no scale, in execution order."""
    names, sources = activation_names(graph), range_sources(graph)
    found: dict[fx.Node, ActivationRange] = {}
    for node in graph.graph.nodes:
        known = ranges.get(names[sources[node.name]]) if node.name in sources else None
        if known is not None and not known.has_scale:
            found[node] = known
    return found


def _movable(graph: fx.GraphModule, nodes: set[fx.Node]) -> set[str]:
    return {
        node.name
        for node in nodes
        if kind_of(node) not in {*SOURCE_KINDS, Kind.OUTPUT, Kind.FLOAT}
        and _can_be_float(graph, node)
    }


def _can_be_float(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Tells whether an operation has steps on floats, among them layers that may stay so."""
    return isinstance(module_of(graph, node), Layer) or plain_problem(graph, node) is None


def _has_extreme_weights(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Tells whether a layer's weights are beyond the scales that int8 or int4 weights can have."""
    layer = module_of(graph, node)
    if not isinstance(layer, Layer) or stays_float(node):
        return False
    largest = float(layer.weight.detach().abs().max())
    return largest > INT4_QMAX * LARGEST_SCALE or 0.0 < largest < FINEST_QMAX * SMALLEST_SCALE
