"""Ranges that training learns: the step between two integers is a parameter of the model.

Source: Esser et al. 2020, "Learned step size quantization". The zero point stays that of the
calibrated range, so that 0 stays representable and both ends move in proportion.
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from smidgen.errors import TrainingError
from smidgen.profile import ActivationRange
from smidgen.qat.fake_quantize import FakeQuantize
from smidgen.qat.rounding import Rounding, round_activation
from smidgen.qparams import LARGEST_SCALE, SMALLEST_SCALE, UINT8_MAX, QParams


class LearnedStep(FakeQuantize):
    """Fake-quantizes an activation with a step that has a gradient in train mode.

    The parameter is the logarithm of the step by what it was at the start: steps of different
    activations differ by orders of magnitude, and the same learning rate serves all of them. A
    state dict holds the range that results, as that of any FakeQuantize, and no parameter.

    Attributes:
        growth: Parameter [], the natural logarithm of the present step by the first one.
    """

    may_take_over: ClassVar[bool] = False  # the gradient of the step needs the operand

    def __init__(self, start: ActivationRange) -> None:
        super().__init__(start)
        self.growth = nn.Parameter(torch.zeros(()))
        self.register_state_dict_post_hook(_keep_range_only)  # type: ignore[no-untyped-call]  # torch has no type for it
        self.register_load_state_dict_pre_hook(_start_anew)  # type: ignore[no-untyped-call]  # torch has no type for it

    @property
    def range(self) -> ActivationRange:
        """The range of all values that the present step can represent."""
        start = super().range.qparams
        growth = self.growth.item()
        if not math.isfinite(growth):
            raise TrainingError(
                f"the step of an activation has grown by exp({growth}), expected a finite "
                "exponent; lower the learning rate"
            )
        # Bounded before the exponential, which would overflow.
        bound = math.log(LARGEST_SCALE / SMALLEST_SCALE)
        scale = start.scale * math.exp(min(max(growth, -bound), bound))
        scale = float(np.float32(min(max(scale, SMALLEST_SCALE), LARGEST_SCALE)))
        low = -start.zero_point * scale
        return ActivationRange(low=low, high=(UINT8_MAX - start.zero_point) * scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns x as uint8 would hold it, in float32."""
        if not (self.training and torch.is_grad_enabled()):
            return round_activation(x, Rounding.to_uint8(self.qparams))
        return learned_rounding(x, self.growth, self.qparams)


def learned_rounding(x: torch.Tensor, growth: torch.Tensor, qparams: QParams) -> torch.Tensor:
    """Rounds x, with a straight-through gradient for x and that of the step for its logarithm.

    With v = round(clamp(x / s, low, high)) the output is v * s, whose derivative by s is
    v - x / s inside the range and v outside; by log s it is s times that. As in the source, it
    is divided by sqrt(count * 255), so that steps do not learn faster than weights do.

    Args:
        x: What to round.
        growth: A scalar that takes the gradient of the logarithm; its value does not matter.
        qparams: The present step and zero point.
    """
    rounded: torch.Tensor = _LearnedRounding.apply(x, growth, qparams)  # type: ignore[no-untyped-call]  # torch has no type for it
    return rounded


class _LearnedRounding(torch.autograd.Function):
    """learned_rounding."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, growth: torch.Tensor, qparams: QParams) -> torch.Tensor:
        """Rounds, and keeps what went in and what came out."""
        out = round_activation(x, Rounding.to_uint8(qparams))
        ctx.save_for_backward(x, out)
        ctx.qparams = qparams
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Returns the gradients of x and of the logarithm of the step."""
        x, out = ctx.saved_tensors
        quotient = x / torch.tensor(ctx.qparams.scale, dtype=torch.float32, device=x.device)
        low, high = -ctx.qparams.zero_point, UINT8_MAX - ctx.qparams.zero_point
        is_inside = (quotient >= low) & (quotient <= high)
        by_log_step = torch.where(is_inside, out - x, out)
        of_step = (gradient * by_log_step).sum() / math.sqrt(x.numel() * UINT8_MAX)
        return gradient.masked_fill(~is_inside, 0.0), of_step, None


def _keep_range_only(
    module: nn.Module, state: MutableMapping[str, Any], prefix: str, _metadata: Any
) -> None:
    """Replaces the first range and its growth by the present range."""
    assert isinstance(module, LearnedStep)
    present = module.range
    state[prefix + "ends"] = torch.tensor([present.low, present.high], dtype=torch.float64)
    del state[prefix + "growth"]


def _start_anew(_module: nn.Module, state: MutableMapping[str, Any], prefix: str, *_: Any) -> None:
    """A loaded range is where the step starts."""
    state[prefix + "growth"] = torch.zeros(())
