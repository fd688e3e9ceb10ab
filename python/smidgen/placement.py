"""Where a float graph is quantized, and which activations share one scale."""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from smidgen.errors import CalibrationError
from smidgen.forms import Form, Forms, assign_forms
from smidgen.passes.keep_in_float import quantize_everywhere
from smidgen.passes.operators import SHARING_KINDS, Kind, is_interpolation, kind_of
from smidgen.profile import ActivationRange


def place_quantization(graph: fx.GraphModule) -> Mapping[str, str]:
    """Says for each quantized value of a fused graph at which node its range is observed.

    What moves values keeps the scale of what it reads. What only a concatenation reads takes the
    concatenation's scale: quantizing commutes with them, so one place quantizes for all. All other
    nodes quantize their own output. Values that only plain steps read are not quantized.

    Returns:
        Node name to node name.
    """
    forms = assign_forms(graph)
    nodes = [node for node in graph.graph.nodes if node.op != "output" and forms.is_quantized(node)]
    groups: dict[fx.Node, set[fx.Node]] = {}
    root: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        is_plain = forms.writes[node.name] is Form.PLAIN
        shares = kind_of(node) in SHARING_KINDS and not is_plain
        root[node] = root[node.all_input_nodes[0]] if shares else node
        groups.setdefault(root[node], set()).add(node)
    # Quantizing does not commute with interpolation, whose group keeps a scale of its own.
    movable = {
        point
        for point, group in groups.items()
        if not any(is_interpolation(graph, node) for node in group)
    }
    parent: dict[fx.Node, fx.Node] = {}
    for concat in nodes:
        if kind_of(concat) is Kind.CONCAT and forms.writes[concat.name] is Form.QUANTIZED:
            for joined in concat.all_input_nodes:
                point = root[joined]
                if point in movable and _is_read_only_by(groups[point], concat, forms):
                    parent[point] = concat
    return {node.name: _follow(parent, root[node]).name for node in nodes}


def range_sources(graph: fx.GraphModule) -> Mapping[str, str]:
    """Says for each quantized value of a fused graph at which node calibration observed its range.

    That is place_quantization of the graph with all layers quantized. Around layers that stay in
    float, values may be quantized at other places, and those keep the ranges that they had.

    Returns:
        Node name to node name.
    """
    placement = place_quantization(graph)
    observed = place_quantization(quantize_everywhere(graph))
    return {node: observed[point] for node, point in placement.items()}


def check_ranges(needed: set[str], ranges: Mapping[str, ActivationRange]) -> None:
    """Checks that a profile has a range for each of these activations.

    Raises:
        CalibrationError: it lacks some.
    """
    missing = sorted(needed - ranges.keys())
    if missing:
        raise CalibrationError(
            f"the profile has no range for {', '.join(missing)}; calibrate the model again",
            reason="PROFILE_INCOMPLETE",
        )


def _is_read_only_by(group: set[fx.Node], concat: fx.Node, forms: Forms) -> bool:
    """Tells whether nothing but the concatenation and the group reads quantized values of it."""
    return all(
        user is concat or user in group
        for node in group
        for user in node.users
        if forms.is_quantized_for(node, user)
    )


def _follow(parent: Mapping[fx.Node, fx.Node], node: fx.Node) -> fx.Node:
    while node in parent:
        node = parent[node]
    return node
