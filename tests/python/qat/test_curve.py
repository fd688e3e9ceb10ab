"""The training curve."""

from __future__ import annotations

import numpy as np

from smidgen.progress import Stage
from smidgen.qat.curve import CurveRecorder, EvaluationPoint, StepFigures


def figures(step: int) -> StepFigures:
    """Returns figures that name their step."""
    return StepFigures(step, step * 2.0, step * 3.0, 0.0, 0.5, 0.1)


def test_every_step_is_kept() -> None:
    recorder = CurveRecorder()
    for step in range(1, 2001):
        recorder.add(figures(step))
    curve = recorder.curve()
    assert curve.column("step").tolist() == list(range(1, 2001))
    assert curve.column("quantization_loss").tolist() == [3.0 * step for step in range(1, 2001)]


def test_long_curves_keep_means() -> None:
    recorder = CurveRecorder(most_points=4)
    for step in range(1, 12):
        recorder.add(figures(step))
    curve = recorder.curve()
    assert recorder.steps_a_point == 4
    assert curve.column("step").tolist() == [4, 8, 11]
    assert curve.column("task_loss").tolist() == [5.0, 13.0, 20.0]
    assert len(curve.steps) <= 4


def test_recorder_goes_on_where_another_was() -> None:
    whole, first, second = (CurveRecorder(most_points=4) for _ in range(3))
    point = EvaluationPoint(3, 1, Stage.QAT, 0.5, None, 1.0, 2.0)
    for step in range(1, 7):
        whole.add(figures(step))
        first.add(figures(step))
    second.restore(first.state(), first.steps_a_point, [point])
    for step in range(7, 20):
        whole.add(figures(step))
        second.add(figures(step))
    assert np.array_equal(whole.curve().steps, second.curve().steps)
    assert second.curve().evaluations == (point,)
    assert EvaluationPoint.from_dict(point.to_dict()) == point
