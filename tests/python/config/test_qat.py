"""Options of training that exclude each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smidgen.config import (
    BudgetConfig,
    DistanceKind,
    FeatureDistance,
    LossConfig,
    OptimizerConfig,
    QATConfig,
    StageConfig,
    TaskLoss,
)
from smidgen.errors import InvalidConfigError


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda: QATConfig(task_loss=TaskLoss.NONE, quantization_loss_weight=0.0),
            "NOTHING_TO_TRAIN",
        ),
        (
            lambda: QATConfig(task_loss=TaskLoss.MSE, loss=LossConfig(label_smoothing=0.1)),
            "SMOOTHING_WITHOUT_CLASSES",
        ),
        (
            lambda: LossConfig(distance=DistanceKind.MSE, temperature=2.0),
            "TEMPERATURE_WITHOUT_KL",
        ),
        (
            lambda: QATConfig(task_loss=TaskLoss.BCE, loss=LossConfig(temperature=2.0)),
            "OPTION_NOT_APPLICABLE",
        ),
        (lambda: FeatureDistance(""), "INVALID_CONFIG"),
        (lambda: FeatureDistance("*" * 257), "INVALID_CONFIG"),
        (lambda: FeatureDistance("x", 0.0), "INVALID_CONFIG"),
        (lambda: LossConfig(features=(FeatureDistance("x"),) * 65), "INVALID_CONFIG"),
        (lambda: LossConfig(label_smoothing=1.0), "INVALID_CONFIG"),
        (lambda: StageConfig(freeze_observers_at=1.5), "INVALID_CONFIG"),
        (lambda: OptimizerConfig(ema_decay=1.0), "INVALID_CONFIG"),
        (lambda: OptimizerConfig(gradient_clip=0.0), "INVALID_CONFIG"),
        (lambda: BudgetConfig(steps=0), "INVALID_CONFIG"),
        (lambda: BudgetConfig(seconds=float("inf")), "INVALID_CONFIG"),
        (lambda: BudgetConfig(patience=0), "INVALID_CONFIG"),
    ],
)
def test_refusals(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        make()
    assert caught.value.reason == reason


def test_features_alone_are_something_to_train_for() -> None:
    loss = LossConfig(features=(FeatureDistance("conv"),))
    config = QATConfig(task_loss=TaskLoss.NONE, quantization_loss_weight=0.0, loss=loss)
    assert config.loss.features == (FeatureDistance("conv", 1.0),)


def test_temperature_by_default() -> None:
    assert LossConfig().kl_temperature == 4.0
    assert LossConfig(temperature=1.0).kl_temperature == 1.0
    # MSE has none, whether none is given or 1, which changes nothing.
    for temperature in (None, 1.0):
        LossConfig(distance=DistanceKind.MSE, temperature=temperature)
