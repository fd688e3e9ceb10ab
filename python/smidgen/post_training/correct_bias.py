"""Bias correction: rounding and clipping move the mean of a layer's outputs, and the bias back.

Each layer is run on the float model's inputs with these and its weights quantized, so that it
corrects what its own quantization does; samples show it. Few weights a channel, as depthwise
convolutions have, do not average their errors out, and gain most.
Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
Correction", section 4.2, with samples in place of batch norm statistics.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import fx, nn

from smidgen.activation_range import ActivationRange
from smidgen.convert import activation_qparams
from smidgen.layer_quantization import quantize_layer
from smidgen.post_training.layers import (
    Layer,
    fake_quantized,
    own_layers,
    per_output,
    set_parameters,
    show_inputs,
    source_of,
)
from smidgen.qparams import QParams
from smidgen.tensor_spec import TensorSpec


def correct_bias(
    source: fx.GraphModule,
    ranges: Mapping[str, ActivationRange],
    batches: Iterable[Mapping[str, NDArray[Any]]],
    inputs: tuple[TensorSpec, ...],
) -> tuple[fx.GraphModule, int]:
    """Returns a copy of a fused graph with corrected biases, and their number.

    Args:
        source: What fuse_for_inference gives, or equalize.
        ranges: The range of each quantized activation, by the names of activation_names.
        batches: Samples by input name.
        inputs: The model's inputs in order.

    Raises:
        CalibrationError: a range is missing.
        UnsupportedOperatorError: a layer's accumulators could overflow.
    """
    graph = copy.deepcopy(source)
    qparams = activation_qparams(graph, ranges)
    twins = {
        name: _Twin(layer, qparams[source_of(graph, name)], node=name)
        for name, layer in own_layers(graph).items()
        if source_of(graph, name) in qparams and name in qparams
    }
    observers = {name: twin.compare for name, twin in twins.items()}
    show_inputs(graph, observers, batches, inputs)
    for twin in twins.values():
        twin.correct()
    return graph, len(twins)


class _Twin:
    """A layer, the same layer quantized, and the sum of what they differ in."""

    def __init__(self, layer: Layer, source: QParams, *, node: str) -> None:
        self._layer = layer
        self._source = source
        weight, bias = layer.weight.detach(), layer.bias
        quantized = quantize_layer(
            weight.numpy(), None if bias is None else bias.detach().numpy(), source, node=node
        )
        scales = torch.from_numpy(quantized.weight_scale)
        integers = torch.from_numpy(quantized.weight).float()
        self._quantized = copy.deepcopy(layer)
        set_parameters(
            self._quantized,
            integers * per_output(scales, weight),
            torch.from_numpy(quantized.bias) * scales * source.scale,
        )
        self._channel_axis = -1 if isinstance(layer, nn.Linear) else 1
        self._sum = torch.zeros(weight.shape[0], dtype=torch.float64)
        self._count = 0

    def compare(self, x: torch.Tensor) -> None:
        """Adds what the outputs for a batch of inputs differ in."""
        seen = fake_quantized(x, self._source)
        error = self._layer(x).double() - self._quantized(seen).double()
        axis = self._channel_axis % error.ndim
        self._sum += error.sum(dim=[other for other in range(error.ndim) if other != axis])
        self._count += error.numel() // error.shape[axis]

    def correct(self) -> None:
        """Adds the mean to the bias."""
        if self._count:
            layer = self._layer
            bias = 0.0 if layer.bias is None else layer.bias.detach()
            corrected = bias + (self._sum / self._count).float()
            set_parameters(layer, layer.weight.detach(), corrected)
