"""Options that would change nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smidgen.config import (
    CalibrationConfig,
    FineTune,
    LayerPrecision,
    LossConfig,
    ObserverMethod,
    OptimizerConfig,
    OptimizerKind,
    QATConfig,
    Schedule,
    StageConfig,
    WeightBits,
)
from smidgen.errors import InvalidConfigError


@pytest.mark.parametrize(
    ("field", "without", "with_it"),
    [
        (
            "optimizer.momentum",
            lambda: OptimizerConfig(momentum=0.5),
            lambda: OptimizerConfig(OptimizerKind.SGD, momentum=0.5),
        ),
        (
            "optimizer.decay_epochs",
            lambda: OptimizerConfig(decay_epochs=3),
            lambda: OptimizerConfig(schedule=Schedule.STEP, decay_epochs=3),
        ),
        (
            "optimizer.decay_factor",
            lambda: OptimizerConfig(schedule=Schedule.CONSTANT, decay_factor=0.5),
            lambda: OptimizerConfig(schedule=Schedule.STEP, decay_factor=0.5),
        ),
        (
            "loss.weight_start",
            lambda: LossConfig(weight_start=0.25),
            lambda: LossConfig(weight_start=0.25, weight_warm_up_steps=1),
        ),
        (
            "loss.weight_warm_up_steps",
            lambda: QATConfig(
                quantization_loss_weight=0.0, loss=LossConfig(weight_warm_up_steps=4)
            ),
            lambda: QATConfig(
                quantization_loss_weight=0.0,
                loss=LossConfig(weight_warm_up_steps=4, weight_start=0.5),
            ),
        ),
        (
            "fine_tune_learning_rate",
            lambda: QATConfig(fine_tune_epochs=0, fine_tune_learning_rate=1e-4),
            lambda: QATConfig(fine_tune_epochs=1, fine_tune_learning_rate=1e-4),
        ),
        (
            "stages.fine_tune",
            lambda: QATConfig(
                fine_tune_epochs=0, stages=StageConfig(fine_tune=FineTune.WITHOUT_FAKE_QUANTIZATION)
            ),
            lambda: QATConfig(stages=StageConfig(fine_tune=FineTune.WITHOUT_FAKE_QUANTIZATION)),
        ),
        (
            "averaging_constant",
            lambda: CalibrationConfig(averaging_constant=0.5),
            lambda: CalibrationConfig(ObserverMethod.MOVING_AVERAGE, averaging_constant=0.5),
        ),
        (
            "percentile",
            lambda: CalibrationConfig(ObserverMethod.ENTROPY, percentile=99.0),
            lambda: CalibrationConfig(ObserverMethod.PERCENTILE, percentile=99.0),
        ),
        (
            "group_size",
            lambda: LayerPrecision(WeightBits.FLOAT, 32),
            lambda: LayerPrecision(WeightBits.INT4, 32),
        ),
    ],
)
def test_options_are_refused_where_they_would_be_ignored(
    field: str, without: Callable[[], object], with_it: Callable[[], object]
) -> None:
    with pytest.raises(InvalidConfigError, match="which counts only with") as caught:
        without()
    assert caught.value.reason == "OPTION_NOT_APPLICABLE"
    assert caught.value.metadata["field"] == field
    with_it()
