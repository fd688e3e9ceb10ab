"""Which layer of a float graph gets which precision."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

from torch import fx, nn

from smidgen.config.precision import (
    FLOAT,
    INT8,
    LayerPrecision,
    Override,
    PrecisionConfig,
    WeightBits,
)
from smidgen.errors import InvalidConfigError
from smidgen.passes.fold_batch_norm import Layer
from smidgen.passes.operators import ConvBatchNorm2d, module_of, stays_float

Precision = PrecisionConfig | Mapping[str, LayerPrecision]
"""A rule for layers, or what resolve_precision made of one."""


def resolve_precision(graph: fx.GraphModule, config: Precision) -> Mapping[str, LayerPrecision]:
    """Returns the precision of each convolution and linear layer of a fused graph, by node name.

    What is resolved already stays as it is.

    The last override that fits a layer counts. A layer that none names gets the default, but int8
    where four bits cost accuracy and save next to nothing: where the model's input comes in and its
    output goes out, in depthwise convolutions, and in transposed ones, which have no int4 form.
    Layers that the graph keeps in float already are float, whatever an override says.

    Raises:
        InvalidConfigError: reason PATTERN_MATCHES_NOTHING, or INT4_UNSUPPORTED where an override
            names a transposed convolution.
    """
    if not isinstance(config, PrecisionConfig):
        return config
    layers = {node: layer for node in graph.graph.nodes if (layer := _layer(graph, node))}
    resolved = {node.name: _default(node, layers, config.default) for node in layers}
    for override in config.overrides:
        fitting = [node for node in layers if _fits(override, node)]
        if not fitting:
            raise InvalidConfigError(
                f"the pattern {override.pattern} fits no convolution or linear layer; "
                f"there are {_examples(list(layers))}",
                reason="PATTERN_MATCHES_NOTHING",
                pattern=override.pattern,
            )
        for node in fitting:
            _check_supported(override, node, layers[node])
            resolved[node.name] = override.precision
    return {**resolved, **{node.name: FLOAT for node in layers if stays_float(node)}}


def overridden_layers(graph: fx.GraphModule, config: PrecisionConfig) -> frozenset[str]:
    """Returns the layers that an override names, by node name."""
    return frozenset(
        node.name
        for node in graph.graph.nodes
        if _layer(graph, node) and any(_fits(override, node) for override in config.overrides)
    )


def float_layers(precisions: Mapping[str, LayerPrecision]) -> frozenset[str]:
    """Returns the layers that stay in float, of what resolve_precision returned."""
    return frozenset(
        name for name, found in precisions.items() if found.weights is WeightBits.FLOAT
    )


def _layer(graph: fx.GraphModule, node: fx.Node) -> Layer | None:
    module = module_of(graph, node)
    if isinstance(module, ConvBatchNorm2d):
        return module.conv
    return module if isinstance(module, Layer) else None


def _default(
    node: fx.Node, layers: Mapping[fx.Node, Layer], default: LayerPrecision
) -> LayerPrecision:
    layer = layers[node]
    is_edge = not _reaches(node, layers, down=False) or not _reaches(node, layers, down=True)
    is_depthwise = isinstance(layer, nn.Conv2d) and 1 < layer.groups == layer.in_channels
    stays_int8 = is_edge or is_depthwise or isinstance(layer, nn.ConvTranspose2d)
    return INT8 if default.weights is WeightBits.INT4 and stays_int8 else default


def _reaches(node: fx.Node, layers: Mapping[fx.Node, Layer], *, down: bool) -> bool:
    """Tells whether another layer lies behind a node, or before it."""
    seen: set[fx.Node] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        for near in current.users if down else current.all_input_nodes:
            if near in layers:
                return True
            if near not in seen:
                seen.add(near)
                waiting.append(near)
    return False


def _fits(override: Override, node: fx.Node) -> bool:
    names = (node.meta.get("module_path", ""), node.name, *node.meta.get("sources", ()))
    return any(fnmatch.fnmatchcase(name, override.pattern) for name in names if name)


def _check_supported(override: Override, node: fx.Node, layer: Layer) -> None:
    if override.precision.weights is WeightBits.INT4 and isinstance(layer, nn.ConvTranspose2d):
        raise InvalidConfigError(
            f"the pattern {override.pattern} asks for int4 in {_display_name(node)}, a transposed "
            "convolution, which has int8 weights only; use a pattern that leaves it out",
            reason="INT4_UNSUPPORTED",
            pattern=override.pattern,
            node=node.name,
        )


def _display_name(node: fx.Node) -> str:
    return str(node.meta.get("module_path") or node.name)


def _examples(layers: Sequence[fx.Node]) -> str:
    if not layers:
        return "none in this model"
    named = ", ".join(_display_name(node) for node in layers[:5])
    return f"{named} and {len(layers) - 5} others" if len(layers) > 5 else named
