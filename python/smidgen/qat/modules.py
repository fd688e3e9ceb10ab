"""Layers whose weights are fake-quantized as the integer program will hold them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from smidgen.config.precision import INT8, LayerPrecision
from smidgen.passes.fold_batch_norm import (
    Layer,
    by_output,
    fold_statistics,
    layer_like,
    like_layer,
    statistics_bias,
    statistics_factor,
)
from smidgen.passes.operators import ConvBatchNorm2d, pair
from smidgen.qat.weight_grid import FakeQuantizeWeight


class QATConv2d(nn.Module):
    """A convolution with fake-quantized weights and bias."""

    def __init__(self, conv: nn.Conv2d, precision: LayerPrecision = INT8) -> None:
        super().__init__()
        self.layer = conv
        self.on_grid = FakeQuantizeWeight(precision)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps [N, C, H, W] to [N, O, OH, OW]."""
        return convolve(self.layer, x, *self.on_grid.with_bias(self.layer.weight, self.layer.bias))

    def folded(self) -> Layer:
        """Returns the plain layer that conversion quantizes."""
        return layer_like(self.layer, self.layer.weight, self.layer.bias)


class QATConvTranspose2d(nn.Module):
    """A transposed convolution with fake-quantized weights and bias."""

    def __init__(self, conv: nn.ConvTranspose2d, precision: LayerPrecision = INT8) -> None:
        super().__init__()
        self.layer = conv
        self.on_grid = FakeQuantizeWeight(precision)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps [N, C, H, W] to [N, O, OH, OW]."""
        layer = self.layer
        rounded, bias = self.on_grid.with_bias(by_output(layer), layer.bias)
        weight = like_layer(layer, rounded)
        stride, padding, extra = layer.stride, pair(layer.padding), layer.output_padding
        return functional.conv_transpose2d(
            x, weight, bias, stride, padding, extra, layer.groups, layer.dilation
        )

    def folded(self) -> Layer:
        """Returns the plain layer that conversion quantizes."""
        return layer_like(self.layer, self.layer.weight, self.layer.bias)


class QATLinear(nn.Module):
    """A linear layer with fake-quantized weights and bias."""

    def __init__(self, linear: nn.Linear, precision: LayerPrecision = INT8) -> None:
        super().__init__()
        self.layer = linear
        self.on_grid = FakeQuantizeWeight(precision)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps [N, I] to [N, O]."""
        return functional.linear(x, *self.on_grid.with_bias(self.layer.weight, self.layer.bias))

    def folded(self) -> Layer:
        """Returns the plain layer that conversion quantizes."""
        return layer_like(self.layer, self.layer.weight, self.layer.bias)


class QATConvBatchNorm2d(nn.Module):
    """A convolution and batch norm whose folded weights are fake-quantized.

    The weights are scaled by gamma / sigma of the running statistics before they are quantized, as
    in the converted program. In train mode the rounded weights are divided by the same factor, and
    the convolution's output is normalized by the statistics of the batch; in eval mode the layer
    computes exactly the folded convolution, and can be trained like that too. Its bias is rounded
    then; that of a train-mode output is not, as it follows from the statistics of each batch.
    Source: Krishnamoorthi 2018, "Quantizing deep convolutional networks", section 3.2.2. There the
    output is divided, which is the same but for rounding and costs two passes over it.
    """

    def __init__(self, fused: ConvBatchNorm2d, precision: LayerPrecision = INT8) -> None:
        super().__init__()
        self.layer = fused.conv
        self.batch_norm = fused.batch_norm
        self.on_grid = FakeQuantizeWeight(precision)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps [N, C, H, W] to [N, O, OH, OW]."""
        layer = self.layer
        if not self.training:
            weight, bias = fold_statistics(layer.weight, layer.bias, self.batch_norm)
            return convolve(layer, x, *self.on_grid.with_bias(weight, bias))
        factor = statistics_factor(self.batch_norm)
        bias = statistics_bias(layer.bias, self.batch_norm, factor)
        # A channel with gamma 0 is constant: its weights are 0, whatever they are divided by.
        weight = self.on_grid(layer.weight, bias, factor)
        y = convolve(layer, x, weight, layer.bias)
        normalized: torch.Tensor = self.batch_norm(y)
        return normalized

    def folded(self) -> Layer:
        """Returns the plain layer that conversion quantizes."""
        weight, bias = fold_statistics(self.layer.weight, self.layer.bias, self.batch_norm)
        return layer_like(self.layer, weight, bias)


QATLayer = QATConv2d | QATConvTranspose2d | QATConvBatchNorm2d | QATLinear


def convolve(
    layer: nn.Conv2d, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Runs a convolution with the geometry of `layer` and other parameters."""
    return functional.conv2d(
        x, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups
    )
