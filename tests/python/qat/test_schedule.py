"""Stages, step sizes and weights by the step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smidgen.config import (
    BudgetConfig,
    FineTune,
    LossConfig,
    OptimizerConfig,
    QATConfig,
    Schedule,
    StageConfig,
)
from smidgen.progress import Stage
from smidgen.qat.schedule import Position, Switches, TrainingSchedule

STEPS = 10


def at(step: int, *, fine_tune_from: int = 5) -> Position:
    """Returns the position before a step, in epochs of 10."""
    return Position(step // STEPS + 1, step % STEPS, step, fine_tune_from)


def test_each_stage_has_the_switches_it_claims() -> None:
    stages = StageConfig(warm_up_steps=3, freeze_observers_at=0.5, freeze_batch_norm_at=0.75)
    schedule = TrainingSchedule(QATConfig(epochs=4, stages=stages), STEPS)
    found = [(schedule.stage(at(step)), schedule.switches(at(step))) for step in range(50)]
    everything = Switches(observers=True, batch_statistics=True, fake_quantization=True)
    assert found[:3] == [(Stage.WARM_UP, everything)] * 3
    assert found[3:20] == [(Stage.QAT, everything)] * 17
    frozen_ranges = Switches(observers=False, batch_statistics=True, fake_quantization=True)
    assert found[20:30] == [(Stage.FREEZE, frozen_ranges)] * 10
    frozen = Switches(observers=False, batch_statistics=False, fake_quantization=True)
    assert found[30:40] == [(Stage.FREEZE, frozen)] * 10
    assert found[40:] == [(Stage.FINE_TUNE, frozen)] * 10


def test_fine_tuning_may_leave_fake_quantization_out() -> None:
    stages = StageConfig(fine_tune=FineTune.WITHOUT_FAKE_QUANTIZATION)
    schedule = TrainingSchedule(QATConfig(epochs=4, stages=stages), STEPS)
    assert schedule.switches(at(39)).fake_quantization
    assert schedule.switches(at(40)) == Switches(False, False, False)


def test_nothing_is_frozen_before_fine_tuning_by_default() -> None:
    schedule = TrainingSchedule(QATConfig(epochs=4), STEPS)
    assert {schedule.stage(at(step)) for step in range(40)} == {Stage.QAT}


def test_cosine_falls_to_zero_behind_the_warm_up() -> None:
    config = QATConfig(epochs=2, learning_rate=0.4, stages=StageConfig(warm_up_steps=4))
    schedule = TrainingSchedule(config, STEPS)
    rates = [schedule.learning_rate(at(step, fine_tune_from=3)) for step in range(21)]
    assert rates[:5] == pytest.approx([0.08, 0.16, 0.24, 0.32, 0.4])
    assert rates[12] == pytest.approx(0.2)
    assert rates[4:20] == sorted(rates[4:20], reverse=True)
    assert rates[19] < 0.01
    assert rates[20] == pytest.approx(0.04)


def test_constant_and_step_schedules() -> None:
    def rates(**fields: object) -> list[float]:
        optimizer = replace(OptimizerConfig(), **fields)
        config = QATConfig(epochs=4, learning_rate=1.0, optimizer=optimizer)
        schedule = TrainingSchedule(config, STEPS)
        return [schedule.learning_rate(at(epoch * STEPS)) for epoch in range(4)]

    assert rates(schedule=Schedule.CONSTANT) == [1.0] * 4
    assert rates(schedule=Schedule.STEP, decay_epochs=2, decay_factor=0.25) == [1, 1, 0.25, 0.25]


def test_weight_of_the_quantization_loss_warms_up() -> None:
    loss = LossConfig(weight_start=0.1, weight_warm_up_steps=4)
    schedule = TrainingSchedule(QATConfig(quantization_loss_weight=0.5, loss=loss), STEPS)
    weights = [schedule.loss_weight(at(step)) for step in range(6)]
    assert weights == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5])


def test_total_steps_follow_the_position_and_the_budget() -> None:
    schedule = TrainingSchedule(QATConfig(epochs=4, fine_tune_epochs=2), STEPS)
    assert schedule.total_steps(schedule.start()) == 60
    assert schedule.total_steps(at(20, fine_tune_from=3)) == 40
    assert schedule.total_steps(Position(7, 0, 60, 5)) == 60
    limited = TrainingSchedule(QATConfig(epochs=4, budget=BudgetConfig(steps=33)), STEPS)
    assert limited.total_steps(at(5)) == 33
