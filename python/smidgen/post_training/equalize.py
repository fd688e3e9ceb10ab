"""Cross-layer equalization: two layers with only a ReLU between them share a scale of channels.

Dividing an output channel of the first by s and multiplying the weights of the second that read it
by s changes nothing in float. Weights have a scale for each output channel, so dividing costs the
first layer nothing; the activation between them has one scale for all channels, and gains where
its channels get alike. What the second layer loses is that its weights of one output get uneven.
Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
Correction", section 4.1, with ranges of activations in place of the first layer's weights.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import torch
from torch import fx

from smidgen.passes.operators import UNBOUNDED, clamp_of
from smidgen.post_training.layers import Layer, own_layers, per_output, set_parameters
from smidgen.statistics import ActivationStatistics
from smidgen.tensor_names import activation_names

LARGEST_RATIO = 2.0**12
"""Most by which a channel is scaled against the mean of all."""

_HOMOGENEOUS = (UNBOUNDED, (0.0, UNBOUNDED[1]))


def equalize(
    source: fx.GraphModule, statistics: Mapping[str, ActivationStatistics]
) -> tuple[fx.GraphModule, int]:
    """Returns a copy of a fused graph with equalized pairs of layers, and their number.

    Args:
        source: What fuse_for_inference gives.
        statistics: What calibration found, with the ends of channels, by the names of
            activation_names. They do not hold for the copy: calibrate it again.
    """
    graph = copy.deepcopy(source)
    layers, names = own_layers(graph), activation_names(graph)
    count = 0
    for first, second in _pairs(graph, layers):
        found = statistics.get(names[first])
        if found is not None and found.channel_low is not None:
            count += _equalize_pair(layers[first], layers[second], found)
    return graph, count


def _pairs(graph: fx.GraphModule, layers: Mapping[str, Layer]) -> Iterator[tuple[str, str]]:
    """Yields pairs of layers of which only the second reads the first."""
    for node in graph.graph.nodes:
        users = list(node.users)
        is_pair = node.name in layers and len(users) == 1 and users[0].name in layers
        if is_pair and clamp_of(graph, node) in _HOMOGENEOUS:
            first, second = layers[node.name], layers[users[0].name]
            if type(first) is type(second):
                yield node.name, users[0].name


def _equalize_pair(first: Layer, second: Layer, found: ActivationStatistics) -> bool:
    scales = _channel_scales(second, found)
    if scales is None:
        return False
    bias = None if first.bias is None else first.bias.detach() / scales
    weight = first.weight.detach()
    set_parameters(first, weight / per_output(scales, weight), bias)
    inputs = _by_input(second.weight.detach(), second)
    scaled = inputs * scales.reshape(inputs.shape[0], 1, -1, *([1] * (inputs.ndim - 3)))
    bias = None if second.bias is None else second.bias.detach()
    set_parameters(second, scaled.reshape(second.weight.shape), bias)
    return True


def _channel_scales(second: Layer, found: ActivationStatistics) -> torch.Tensor | None:
    """Returns [C] float32, the factor s of each channel, or None where there is nothing to do."""
    assert found.channel_low is not None
    assert found.channel_high is not None
    ends = torch.tensor(found.channel_low), torch.tensor(found.channel_high)
    activation = torch.maximum(-ends[0], ends[1]).clamp(min=0).double()
    inputs = _by_input(second.weight.detach().double().abs(), second)
    if inputs.shape[2] == 1:
        # Each output reads one channel and has a scale of its own: evening out is free.
        weight = torch.ones_like(activation)
        scales = activation
    else:
        reach = inputs.amax(dim=tuple(range(2, inputs.ndim)), keepdim=True)
        share = inputs / reach.clamp(min=torch.finfo(torch.float64).tiny)
        axes = (1, *range(3, share.ndim))
        weight = share.amax(dim=axes).reshape(-1)
        scales = (activation / weight).sqrt()
    is_alive = (activation > 0) & (weight > 0)
    if not bool(is_alive.any()):
        return None
    mean = scales[is_alive].log().mean().exp()
    scales = torch.where(is_alive, scales / mean, 1.0)
    return scales.clamp(1 / LARGEST_RATIO, LARGEST_RATIO).float()


def _by_input(weight: torch.Tensor, layer: Layer) -> torch.Tensor:
    """Returns [groups, O / groups, C / groups, ...], a view of a weight."""
    groups = 1 if isinstance(layer, torch.nn.Linear) else layer.groups
    return weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
