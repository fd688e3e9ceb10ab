"""Rounding of weights that lowers the error of a layer's outputs, not that of each weight.

Rounding every weight to the nearest integer is best only where inputs do not go together. With H
the second moment of the inputs that an output reads, the error e of its weights costs e H e. Going
from one weight to the next, each is rounded the other way where that lowers the cost; passes are
repeated until nothing changes, so that the result is never worse than the nearest integers are on
the samples.
Source: the cost is that of Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training
Quantization", section 3; solved by descent over single weights in place of a relaxation.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.nn import functional as nn_functional

from smidgen.activation_range import ActivationRange
from smidgen.convert import activation_qparams
from smidgen.layer_quantization import quantize_layer
from smidgen.passes.operators import pair
from smidgen.post_training.layers import (
    Layer,
    fake_quantized,
    own_layers,
    per_output,
    set_parameters,
    show_inputs,
    source_of,
)
from smidgen.qparams import WEIGHT_QMAX, QParams
from smidgen.tensor_spec import TensorSpec

MOST_INPUTS = 2304
"""Most weights of one output; layers with more are rounded to the nearest."""

PASSES = 8
_POSITIONS = 256  # of one sample, evenly spread; neighbours say little more


def round_weights(
    source: fx.GraphModule,
    ranges: Mapping[str, ActivationRange],
    batches: Iterable[Mapping[str, NDArray[Any]]],
    inputs: tuple[TensorSpec, ...],
) -> tuple[fx.GraphModule, int]:
    """Returns a copy of a fused graph whose weights are integers times scales, and their layers.

    Converting it quantizes these weights to the same integers.

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
    moments = {
        name: _Moments(layer, qparams[source_of(graph, name)])
        for name, layer in own_layers(graph).items()
        if source_of(graph, name) in qparams and name in qparams and _is_small(layer)
    }
    observers = {name: one.observe for name, one in moments.items()}
    show_inputs(graph, observers, batches, inputs)
    for name, one in moments.items():
        one.round(node=name)
    return graph, len(moments)


def best_rounding(exact: NDArray[np.float64], moment: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounds rows of weights up or down.

    Shapes: exact [rows, n], weights in units of their scale, at most 127 in magnitude; moment
    [n, n], symmetric. Returns [rows, n] integers. The largest weights stay: they make the scale.
    """
    rounded = np.rint(exact)
    error = rounded - exact
    gradient = error @ moment
    curvature = np.diag(moment)
    for _ in range(PASSES):
        changed = False
        for column in range(exact.shape[1]):
            # The other neighbour: down where the weight was rounded up.
            step = np.where(error[:, column] > 0, -1.0, 1.0)
            gain = 2 * step * gradient[:, column] + curvature[column]
            free = (np.abs(exact[:, column]) < WEIGHT_QMAX - 0.5) & (error[:, column] != 0)
            flips = np.flatnonzero((gain < 0) & free)
            if flips.size:
                moved = step[flips]
                rounded[flips, column] += moved
                error[flips, column] += moved
                gradient[flips] += moved[:, None] * moment[column]
                changed = True
        if not changed:
            break
    return rounded


def _is_small(layer: Layer) -> bool:
    if isinstance(layer, nn.Conv2d) and layer.padding_mode != "zeros":
        return False
    return layer.weight[0].numel() <= MOST_INPUTS


class _Moments:
    """A layer and the second moments of what its outputs read, by group."""

    def __init__(self, layer: Layer, source: QParams) -> None:
        self._layer = layer
        self._source = source
        self._groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        size = layer.weight[0].numel()
        self._sum = torch.zeros(self._groups, size, size, dtype=torch.float64)

    def observe(self, x: torch.Tensor) -> None:
        """Adds a batch of inputs."""
        for sample in fake_quantized(x, self._source):
            windows = self._windows(sample)
            self._sum += (windows @ windows.mT).double()

    def round(self, *, node: str) -> None:
        """Replaces the weights by rounded ones."""
        layer = self._layer
        weight, bias = layer.weight.detach(), layer.bias
        quantized = quantize_layer(
            weight.numpy(), None if bias is None else bias.detach().numpy(), self._source, node=node
        )
        scales = per_output(torch.from_numpy(quantized.weight_scale), weight).double()
        rows = (weight.double() / scales).reshape(self._groups, -1, self._sum.shape[1])
        rounded = np.stack(
            [
                best_rounding(group, moment)
                for group, moment in zip(rows.numpy(), self._sum.numpy(), strict=True)
            ]
        )
        found = torch.from_numpy(rounded).reshape(weight.shape) * scales
        set_parameters(layer, found.float(), None if bias is None else bias.detach())

    def _windows(self, sample: torch.Tensor) -> torch.Tensor:
        """Returns [groups, n, positions]: what each output position reads of a sample."""
        layer = self._layer
        if isinstance(layer, nn.Linear):
            windows = sample.reshape(-1, sample.shape[-1]).T
        else:
            windows = _unfolded(layer, sample)
        positions = windows.shape[1]
        kept = windows[:, :: -(-positions // _POSITIONS)]
        return kept.reshape(self._groups, -1, kept.shape[1])


def _unfolded(layer: nn.Conv2d, sample: torch.Tensor) -> torch.Tensor:
    """Returns [C * KH * KW, positions] of a sample [C, H, W]."""
    return nn_functional.unfold(
        sample[None],
        layer.weight.shape[2:],
        dilation=layer.dilation,
        padding=pair(layer.padding),
        stride=layer.stride,
    )[0]
