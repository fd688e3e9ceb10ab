"""The training curve."""

from __future__ import annotations

import json

import numpy as np

from smidgen.progress import Stage
from smidgen.qat.curve import (
    EMPTY_CURVE,
    CurveRecorder,
    EvaluationPoint,
    StepFigures,
    TrainingCurve,
)


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


def test_thinned_curves_keep_means_and_both_ends() -> None:
    recorder = CurveRecorder()
    for step in range(1, 11):
        recorder.add(figures(step))
    for epoch in range(7):
        recorder.evaluations.append(EvaluationPoint(epoch, epoch, Stage.QAT, 0.5, None, 1.0, 2.0))
    curve = recorder.curve()
    thin = curve.thinned(4)
    assert thin.column("step").tolist() == [2, 5, 7, 10]
    assert thin.column("task_loss").tolist() == [3.0, 8.0, 13.0, 18.0]
    assert [point.epoch for point in thin.evaluations] == [0, 2, 4, 6]
    assert curve.thinned(10).steps is curve.steps
    assert curve.thinned(10).evaluations is curve.evaluations


def test_document_brings_a_curve_back() -> None:
    recorder = CurveRecorder()
    recorder.add(figures(1))
    recorder.evaluations.append(EvaluationPoint(1, 1, Stage.FREEZE, None, 0.25, 1.0, 2.0))
    curve = recorder.curve()
    again = TrainingCurve.from_document(json.loads(json.dumps(curve.to_document())))
    assert np.array_equal(again.steps, curve.steps)
    assert again.evaluations == curve.evaluations
    empty = TrainingCurve.from_document(EMPTY_CURVE.to_document())
    assert empty.steps.shape == EMPTY_CURVE.steps.shape
