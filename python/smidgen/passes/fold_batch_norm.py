"""Folds batch norm into the weights before it."""

from __future__ import annotations

import torch
from torch import fx, nn

from smidgen.graph.modules import LastAxisBatchNorm
from smidgen.graph.operations import OpKind
from smidgen.passes.operators import Kind, kind_of, module_of, pair
from smidgen.passes.rewriter import Rewriter, has_one_user, only_input

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d
Layer = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


def fold_batch_norm(source: fx.GraphModule) -> fx.GraphModule:
    """Returns the graph with each batch norm folded into the convolution or linear layer before it.

    Equal to the source in eval mode, up to rounding. A batch norm of an image with nothing to fold
    into becomes a depthwise 1x1 convolution.
    """
    rewriter = Rewriter(source)
    for node in source.graph.nodes:
        if kind_of(node) is not Kind.BATCH_NORM:
            if not is_folded_later(source, node):
                rewriter.copy(node)
            continue
        producer = only_input(node)
        batch_norm = module_of(source, node)
        assert isinstance(batch_norm, BatchNorm)
        if is_folded_later(source, producer):
            layer = folded_layer(_layer(source, producer), batch_norm)
            rewriter.call(node, layer, (only_input(producer),), like=producer)
        elif isinstance(batch_norm, nn.BatchNorm2d):
            depthwise = depthwise_layer(batch_norm)
            rewriter.call(node, depthwise, (producer,), like=node, op=OpKind.CONV2D)
        else:
            rewriter.copy(node)
    return rewriter.finish()


def fold_statistics(
    weight: torch.Tensor, bias: torch.Tensor | None, batch_norm: BatchNorm
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales weights by gamma / sigma and moves the bias likewise, by the running statistics.

    The definition of folding: training and conversion both call it, and so agree bit for bit.
    Shapes: weight [O, ...], bias [O]. Returns the weight and bias of one layer that does both.
    """
    factor = statistics_factor(batch_norm)
    folded_weight = weight * factor.reshape(-1, *([1] * (weight.dim() - 1)))
    return folded_weight, statistics_bias(bias, batch_norm, factor)


def statistics_bias(
    bias: torch.Tensor | None, batch_norm: BatchNorm, factor: torch.Tensor
) -> torch.Tensor:
    """Returns the bias that fold_statistics gives, with the factor of statistics_factor."""
    assert batch_norm.running_mean is not None
    offset = -batch_norm.running_mean if bias is None else bias - batch_norm.running_mean
    folded = offset * factor
    return folded if batch_norm.bias is None else folded + batch_norm.bias


def statistics_factor(batch_norm: BatchNorm) -> torch.Tensor:
    """Returns gamma / sigma of each channel, with sigma from the running variance."""
    assert batch_norm.running_var is not None
    sigma = torch.sqrt(batch_norm.running_var + batch_norm.eps)
    return 1.0 / sigma if batch_norm.weight is None else batch_norm.weight / sigma


def folded_layer(layer: Layer, batch_norm: BatchNorm) -> Layer:
    """Returns a new layer that computes layer and batch norm in one."""
    with torch.no_grad():
        weight, bias = fold_statistics(by_output(layer), layer.bias, batch_norm)
    return layer_like(layer, like_layer(layer, weight), bias)


def by_output(layer: Layer) -> torch.Tensor:
    """Returns a layer's weights with the output channels along axis 0: [O, C / groups, ...]."""
    if not isinstance(layer, nn.ConvTranspose2d):
        return layer.weight
    channels, per_group, *kernel = layer.weight.shape
    grouped = layer.weight.reshape(layer.groups, channels // layer.groups, per_group, *kernel)
    return grouped.transpose(1, 2).flatten(0, 1)


def like_layer(layer: Layer, weight: torch.Tensor) -> torch.Tensor:
    """Reverses by_output: returns weights [O, C / groups, ...] in the order that a layer has."""
    if not isinstance(layer, nn.ConvTranspose2d):
        return weight
    outs, group_channels, *kernel = weight.shape
    grouped = weight.reshape(layer.groups, outs // layer.groups, group_channels, *kernel)
    return grouped.transpose(1, 2).flatten(0, 1)


def layer_like(layer: Layer, weight: torch.Tensor, bias: torch.Tensor | None) -> Layer:
    """Returns a new layer with the geometry of `layer` and other parameters."""
    new: Layer
    if isinstance(layer, nn.Linear):
        new = nn.Linear(layer.in_features, layer.out_features, bias=bias is not None, device="meta")
    elif isinstance(layer, nn.ConvTranspose2d):
        new = nn.ConvTranspose2d(
            layer.in_channels,
            layer.out_channels,
            pair(layer.kernel_size),
            stride=pair(layer.stride),
            padding=pair(layer.padding),
            output_padding=pair(layer.output_padding),
            groups=layer.groups,
            bias=bias is not None,
            dilation=pair(layer.dilation),
            device="meta",
        )
    else:
        new = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            pair(layer.kernel_size),
            stride=pair(layer.stride),
            padding=pair(layer.padding),
            dilation=pair(layer.dilation),
            groups=layer.groups,
            bias=bias is not None,
            padding_mode=layer.padding_mode,
            device="meta",
        )
    new.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        new.bias = nn.Parameter(bias.detach().clone())
    return new.train(layer.training)


def depthwise_layer(batch_norm: nn.BatchNorm2d) -> nn.Conv2d:
    """Returns the depthwise 1x1 convolution that a batch norm is in eval mode."""
    channels = batch_norm.num_features
    with torch.no_grad():
        weight, bias = fold_statistics(torch.ones(channels, 1, 1, 1), None, batch_norm)
    conv = nn.Conv2d(channels, channels, 1, groups=channels, device="meta")
    conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
    return conv.train(batch_norm.training)


def is_folded_later(source: fx.GraphModule, node: fx.Node) -> bool:
    """Tells whether a node's only user is a batch norm that can be folded into it."""
    layer = module_of(source, node)
    if not isinstance(layer, Layer) or not has_one_user(node):
        return False
    user = next(iter(node.users))
    if kind_of(user) is not Kind.BATCH_NORM:
        return False
    if isinstance(module_of(source, user), LastAxisBatchNorm):
        return isinstance(layer, nn.Linear)
    # Other batch norms take axis 1 for the channels, linear the last one.
    return not isinstance(layer, nn.Linear) or len(node.meta["shape"]) == 2


def _layer(source: fx.GraphModule, node: fx.Node) -> Layer:
    layer = module_of(source, node)
    assert isinstance(layer, Layer)
    return layer
