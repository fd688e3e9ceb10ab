"""Fake quantization of a layer's weights, on the grid that conversion will choose for them."""

from __future__ import annotations

import torch

from smidgen.config.precision import INT8, LayerPrecision, WeightBits
from smidgen.qat.fake_quantize import FakeQuantize
from smidgen.qat.rounding import round_bias, round_weight_with_scales
from smidgen.weight_grid import LARGEST_BIAS, weight_grid


class FakeQuantizeWeight:
    """Rounds weights and bias of one layer as smidgen.layer_quantization will, bit for bit.

    It has no state of its own: the grid follows the weights, the bias and the scale of the input.

    Attributes:
        precision: Bits and groups.
        source: Whose scale the layer's input has; None where it is not known, and then the grid has
            no room for biases that would not fit, and biases are not rounded.
    """

    def __init__(self, precision: LayerPrecision = INT8) -> None:
        self.precision = precision
        self.source: FakeQuantize | None = None

    def __call__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, factor: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Rounds weights [O, ...] in float32; the gradient passes through.

        Args:
            weight: The weights.
            bias: [O], what the converted layer adds; None adds nothing.
            factor: [O]; what each output channel is multiplied by before it is rounded, and divided
                by after, but for 0. A part of the grid: constant to the gradient.
        """
        return self._rounded(weight, bias, factor)[0]

    def with_bias(
        self, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Rounds weights [O, ...] and the bias [O], if there is one, as the program holds both."""
        rounded, scales = self._rounded(weight, bias, None)
        if scales is None or bias is None or self.source is None:
            return rounded, bias
        return rounded, round_bias(bias, self.source.qparams.scale, scales)

    def _rounded(
        self, weight: torch.Tensor, bias: torch.Tensor | None, factor: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Returns rounded weights and their scales [O]; None where they are not rounded."""
        if self.precision.weights is WeightBits.FLOAT:
            return weight, None
        input_scale = None if self.source is None else self.source.qparams.scale
        if self.precision.weights is WeightBits.INT8:
            return round_weight_with_scales(weight, factor, _room_for_bias(bias, input_scale))
        if factor is None:
            return _on_int4_grid(weight, bias, input_scale, self.precision)
        factor = factor.detach().reshape(-1, *([1] * (weight.dim() - 1)))
        rounded, scales = _on_int4_grid(weight * factor, bias, input_scale, self.precision)
        return rounded / torch.where(factor == 0.0, 1.0, factor), scales


class _Round(torch.autograd.Function):
    """multiplier * clamp(round(t / multiplier), -limit, limit) of t in units of the scale.

    The gradient is 1 everywhere: the grid was chosen to clip some weights, and they must be able to
    come back.
    """

    @staticmethod
    def forward(
        _ctx: torch.autograd.function.FunctionCtx,
        weight: torch.Tensor,
        scale: torch.Tensor,
        multiplier: torch.Tensor,
        limit: int,
    ) -> torch.Tensor:
        """Rounds half to even."""
        rounded = (weight / (multiplier * scale)).round_().clamp_(-limit, limit)
        return rounded.mul_(multiplier).mul_(scale)

    @staticmethod
    def backward(
        _ctx: torch.autograd.function.BackwardCFunction, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, None, None, None]:
        """Passes the gradient through."""
        return gradient, None, None, None


def _on_int4_grid(
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    input_scale: float | None,
    precision: LayerPrecision,
) -> tuple[torch.Tensor, torch.Tensor]:
    grid = weight_grid(
        weight.detach().numpy(),
        None if bias is None else bias.detach().numpy(),
        input_scale,
        precision,
    )
    rows = weight.flatten(1)
    scale = torch.from_numpy(grid.scale)
    multiplier = torch.from_numpy(grid.spread_multiplier(rows.shape[1]))
    rounded: torch.Tensor = _Round.apply(rows, scale[:, None], multiplier, grid.limit)  # type: ignore[no-untyped-call]  # torch has no type for it
    return rounded.reshape(weight.shape), scale


def _room_for_bias(bias: torch.Tensor | None, input_scale: float | None) -> torch.Tensor | None:
    """Returns the least scales [O] in float64 that smidgen.weight_grid.with_room_for_bias wants."""
    if bias is None or input_scale is None:
        return None
    return bias.detach().double().abs() / (input_scale * LARGEST_BIAS)
