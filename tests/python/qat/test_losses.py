"""Values of the losses."""

from __future__ import annotations

import math

import pytest
import torch

from smidgen.config import TaskLoss
from smidgen.qat.losses import quantization_loss, task_loss


def test_cross_entropy_of_even_logits_is_log_of_classes() -> None:
    loss = task_loss(torch.zeros(3, 4), torch.tensor([0, 1, 3]), TaskLoss.CROSS_ENTROPY)
    assert float(loss) == pytest.approx(math.log(4))


def test_mean_squared_error() -> None:
    loss = task_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]]), TaskLoss.MSE)
    assert float(loss) == pytest.approx((1 + 4) / 2)


def test_divergence_by_hand() -> None:
    teacher = torch.log(torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
    output = torch.log(torch.tensor([[0.25, 0.75], [0.5, 0.5]]))
    expected = (0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)) / 2
    loss = quantization_loss(output, teacher, TaskLoss.CROSS_ENTROPY)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", list(TaskLoss))
def test_distance_to_itself_is_zero(kind: TaskLoss) -> None:
    output = torch.randn(4, 5)
    assert float(quantization_loss(output, output, kind)) == pytest.approx(0.0, abs=1e-6)


def test_distance_otherwise_is_the_squared_error() -> None:
    loss = quantization_loss(torch.tensor([[1.0]]), torch.tensor([[3.0]]), TaskLoss.MSE)
    assert float(loss) == 4.0
