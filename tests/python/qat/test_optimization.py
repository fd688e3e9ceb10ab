"""Optimizer steps by arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from smidgen.config import OptimizerConfig, OptimizerKind
from smidgen.qat.optimization import clip_gradients, make_optimizer, set_learning_rate


def moved(config: OptimizerConfig, *, steps: int = 1) -> tuple[float, float]:
    """Returns weight and bias, both 1 before, after steps of size 0.1 with gradient 2."""
    model = nn.Linear(1, 1)
    nn.init.ones_(model.weight)
    nn.init.ones_(model.bias)
    optimizer = make_optimizer(model, config)
    set_learning_rate(optimizer, 0.1)
    for _ in range(steps):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 2.0)
        optimizer.step()
    return model.weight.item(), model.bias.item()


def test_sgd_with_momentum() -> None:
    config = OptimizerConfig(OptimizerKind.SGD, momentum=0.5)
    assert moved(config) == pytest.approx((0.8, 0.8))
    assert moved(config, steps=2) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("kind", [OptimizerKind.ADAM, OptimizerKind.ADAMW])
def test_first_step_of_adam_has_the_step_size(kind: OptimizerKind) -> None:
    assert moved(OptimizerConfig(kind)) == pytest.approx((0.9, 0.9))


def test_weight_decay_leaves_biases() -> None:
    decayed = moved(OptimizerConfig(OptimizerKind.ADAMW, weight_decay=0.5))
    assert decayed == pytest.approx((0.95 - 0.1, 0.9))


def test_long_gradients_are_shortened() -> None:
    parameters = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    for parameter, gradient in zip(parameters, (3.0, 4.0), strict=True):
        parameter.grad = torch.tensor([gradient])
    assert clip_gradients(parameters, None) == 5.0
    assert [float(p.grad) for p in parameters if p.grad is not None] == [3.0, 4.0]
    assert clip_gradients(parameters, 1.0) == 5.0
    shortened = [float(p.grad) for p in parameters if p.grad is not None]
    assert shortened == pytest.approx([0.6, 0.8], rel=1e-5)
