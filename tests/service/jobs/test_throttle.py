"""Progress reports are averaged, and none is lost."""

from __future__ import annotations

import pytest

from smidgen.progress import Stage, TrainingProgress
from smidgen_service.jobs.throttle import ProgressThrottle


def report(step: int, loss: float, **fields: object) -> TrainingProgress:
    return TrainingProgress(
        **{
            "stage": Stage.QAT,
            "epoch": 1,
            "step": step,
            "total_steps": 100,
            "task_loss": loss,
            "quantization_loss": loss / 2,
            "feature_loss": loss / 4,
            "learning_rate": 0.1,
            **fields,
        }
    )


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_held_back_reports_are_averaged_by_their_steps() -> None:
    sent: list[TrainingProgress] = []
    clock = Clock()
    throttle = ProgressThrottle(sent.append, clock=clock)
    throttle(report(10, 1.0))
    throttle(report(40, 2.0))
    assert sent == []
    clock.now = 1.0
    throttle(report(50, 3.0))
    assert [entry.step for entry in sent] == [50]
    assert sent[0].task_loss == pytest.approx((10 * 1 + 30 * 2 + 10 * 3) / 50)
    assert sent[0].quantization_loss == pytest.approx(sent[0].task_loss / 2)
    throttle(report(60, 7.0))
    throttle.flush()
    assert sent[-1].task_loss == 7.0
    throttle.flush()
    assert len(sent) == 2


def test_accuracies_and_stages_pass_at_once() -> None:
    sent: list[TrainingProgress] = []
    throttle = ProgressThrottle(sent.append, clock=Clock())
    throttle(report(10, 1.0, accuracy=0.5))
    assert [entry.accuracy for entry in sent] == [0.5]
    throttle(report(20, 1.0))
    throttle(report(30, 1.0, stage=Stage.FINE_TUNE))
    assert [entry.step for entry in sent] == [10, 20]
