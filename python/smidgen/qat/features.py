"""The layers whose outputs are held near the float model's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import fx

from smidgen.config import FeatureDistance
from smidgen.errors import InvalidConfigError
from smidgen.qat.fake_quantize import FakeQuantize

_NAMED = 20
"""So many layers are named where a pattern matches none."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One such layer.

    Attributes:
        activation: Its name.
        node: The node of the prepared graph that gives its fake-quantized output.
        source: The node of the fused float graph that gives the same output.
        weight: Weight of its distance.
    """

    activation: str
    node: str
    source: str
    weight: float


def select_features(
    prepared: fx.GraphModule, fused: fx.GraphModule, wanted: Sequence[FeatureDistance]
) -> tuple[Feature, ...]:
    """Returns the layers that patterns match, in the order of the graph.

    A layer that several patterns match gets the weight of the last one. Only layers whose output
    is quantized can match.

    Args:
        prepared: The graph of prepare_qat.
        fused: The graph of fuse_for_inference, whose nodes have the same names.
        wanted: Patterns and weights.

    Raises:
        InvalidConfigError: PATTERN_MATCHES_NOTHING.
    """
    layers = _quantized_layers(prepared, {node.name for node in fused.graph.nodes})
    weights: dict[str, float] = {}
    for distance in wanted:
        matched = [name for name, node in layers if _matches(node, name, distance.pattern)]
        if not matched:
            known = ", ".join(_display_name(node, name) for name, node in layers[:_NAMED])
            raise InvalidConfigError(
                f"the pattern {distance.pattern!r} matches no quantized layer; layers are {known}"
                f"{' and more' if len(layers) > _NAMED else ''}",
                reason="PATTERN_MATCHES_NOTHING",
                field="loss.features.pattern",
                pattern=distance.pattern,
            )
        weights |= dict.fromkeys(matched, distance.weight)
    return tuple(
        Feature(name, node.name, node.all_input_nodes[0].name, weights[name])
        for name, node in layers
        if name in weights
    )


def with_outputs(graph: fx.GraphModule, nodes: Sequence[str]) -> fx.GraphModule:
    """Returns a graph that also gives the values of nodes: (outputs, (value, ...)).

    Modules and parameters are those of `graph` itself.
    """
    written = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.graph.nodes:
        if node.op == "output":
            by_name = {original.name: copy for original, copy in copies.items()}
            given = fx.map_arg(node.args[0], lambda n: copies[n])
            written.output((given, tuple(by_name[name] for name in nodes)))
        else:
            copies[node] = written.node_copy(node, lambda n: copies[n])
    return fx.GraphModule(graph, written)


def _quantized_layers(prepared: fx.GraphModule, sources: set[str]) -> list[tuple[str, fx.Node]]:
    """Returns activations and the nodes that fake-quantize them, without the model's inputs."""
    layers = []
    for node in prepared.graph.nodes:
        is_call = node.op == "call_module"
        if is_call and isinstance(prepared.get_submodule(str(node.target)), FakeQuantize):
            layer = node.all_input_nodes[0]
            if layer.op != "placeholder" and layer.name in sources:
                layers.append((str(node.meta["activation"]), node))
    return layers


def _matches(node: fx.Node, activation: str, pattern: str) -> bool:
    names = {activation, node.all_input_nodes[0].name, _display_name(node, activation)}
    return any(fnmatchcase(name, pattern) for name in names)


def _display_name(node: fx.Node, activation: str) -> str:
    """Returns the path in the user's model of the layer that a node quantizes, if it has one."""
    return str(node.all_input_nodes[0].meta.get("module_path") or activation)
