"""Values of the losses."""

from __future__ import annotations

import math

import pytest
import torch

from smidgen.config import DistanceKind, LossConfig, TaskLoss
from smidgen.qat.losses import feature_distance, quantization_loss, task_loss


def test_cross_entropy_of_even_logits_is_log_of_classes() -> None:
    loss = task_loss(torch.zeros(3, 4), torch.tensor([0, 1, 3]), TaskLoss.CROSS_ENTROPY)
    assert float(loss) == pytest.approx(math.log(4))


def test_label_smoothing_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1]]))
    loss = task_loss(logits, torch.tensor([0]), TaskLoss.CROSS_ENTROPY, label_smoothing=0.3)
    target = [0.7 + 0.1, 0.1, 0.1]
    by_hand = -sum(t * math.log(p) for t, p in zip(target, [0.7, 0.2, 0.1], strict=True))
    assert float(loss) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(("kind", "expected"), [(TaskLoss.MSE, (1 + 4) / 2), (TaskLoss.L1, 1.5)])
def test_regression(kind: TaskLoss, expected: float) -> None:
    loss = task_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]]), kind)
    assert float(loss) == pytest.approx(expected)


def test_binary_cross_entropy_takes_logits() -> None:
    loss = task_loss(torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[1.0, 0.0]]), TaskLoss.BCE)
    assert float(loss) == pytest.approx((-math.log(0.75) - math.log(0.5)) / 2, rel=1e-5)


def test_without_a_task_there_is_nothing_to_lose() -> None:
    assert float(task_loss(torch.ones(2, 3), None, TaskLoss.NONE)) == 0.0


def test_divergence_by_hand() -> None:
    teacher = torch.log(torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
    output = torch.log(torch.tensor([[0.25, 0.75], [0.5, 0.5]]))
    expected = (0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)) / 2
    loss = quantization_loss(output, teacher, DistanceKind.KL)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_temperature_softens_the_logits_and_keeps_the_gradient() -> None:
    teacher, output = torch.tensor([[2.0, -1.0]]), torch.tensor([[0.5, 0.0]])
    plain = quantization_loss(output / 4, teacher / 4, DistanceKind.KL)
    softened = quantization_loss(output, teacher, DistanceKind.KL, 4.0)
    assert float(softened) == pytest.approx(16 * float(plain), rel=1e-6)


def test_a_sure_teacher_still_teaches_at_the_default_temperature() -> None:
    teacher = torch.tensor([[20.0, 0.0, 2.0]])
    gradients = []
    for temperature in (1.0, LossConfig().kl_temperature):
        output = torch.tensor([[20.0, 2.0, 0.0]], requires_grad=True)
        quantization_loss(output, teacher, DistanceKind.KL, temperature).backward()
        assert output.grad is not None
        gradients.append(output.grad[0, 1:].tolist())
    # d/dz = T * (softmax(output / T) - softmax(teacher / T)), by hand.
    parts = [math.exp(2 / 4), 1.0]
    share = 4 * (parts[0] - parts[1]) / (math.exp(20 / 4) + sum(parts))
    assert gradients[1] == pytest.approx([share, -share], rel=1e-4)
    assert max(map(abs, gradients[0])) < 1e-7


def test_divergence_of_maps_is_the_mean_over_their_places() -> None:
    teacher, output = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    rows = [t.permute(0, 2, 3, 1).reshape(-1, 3) for t in (output, teacher)]
    expected = quantization_loss(rows[0], rows[1], DistanceKind.KL)
    found = quantization_loss(output, teacher, DistanceKind.KL)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("kind", list(DistanceKind))
def test_distance_to_itself_is_zero(kind: DistanceKind) -> None:
    output = torch.randn(4, 5)
    assert float(quantization_loss(output, output, kind)) == pytest.approx(0.0, abs=1e-6)


def test_squared_error() -> None:
    loss = quantization_loss(torch.tensor([[1.0]]), torch.tensor([[3.0]]), DistanceKind.MSE)
    assert float(loss) == 4.0


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_feature_distance_does_not_depend_on_the_scale(scale: float) -> None:
    teacher = torch.tensor([3.0, 4.0]) * scale
    values = torch.tensor([3.0, 5.0]) * scale
    assert float(feature_distance(values, teacher)) == pytest.approx(1 / 25, rel=1e-5)


def test_features_that_are_zero_have_a_finite_distance() -> None:
    assert float(feature_distance(torch.zeros(3), torch.zeros(3))) == 0.0
