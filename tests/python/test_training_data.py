"""Datasets that cannot train a model are refused before training."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.config import (
    BudgetConfig,
    DistanceKind,
    LossConfig,
    QATConfig,
    StageConfig,
    TaskLoss,
)
from smidgen.errors import InvalidConfigError, InvalidDatasetError
from smidgen.formats.dataset import Dataset
from smidgen.tensor_spec import TensorSpec
from smidgen.training_data import (
    check_course,
    check_held_out,
    check_steps,
    check_training_data,
    distance_for,
)

INPUTS = (TensorSpec("x", "float32", (None, 2)),)
LOGITS = (TensorSpec("y", "float32", (None, 3)),)
IMAGE = (TensorSpec("y", "float32", (None, 3, 4, 4)),)


def _check(
    labels: NDArray[np.generic] | None,
    *,
    outputs: tuple[TensorSpec, ...] = LOGITS,
    loss: TaskLoss = TaskLoss.CROSS_ENTROPY,
    inputs: tuple[TensorSpec, ...] = INPUTS,
) -> None:
    arrays: dict[str, NDArray[np.generic]] = {"x": np.zeros((4, 2), np.float32)}
    if labels is not None:
        arrays["labels"] = labels
    check_training_data(inputs, outputs, Dataset(arrays, 4), QATConfig(task_loss=loss))


def test_fitting_data_is_accepted() -> None:
    _check(np.array([0, 1, 2, 0]))
    _check(np.zeros((4, 3), np.float32), loss=TaskLoss.MSE)
    _check(np.zeros((4, 3, 4, 4), np.float32), outputs=IMAGE, loss=TaskLoss.MSE)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (None, "LABELS_MISSING"),
        (np.array([0, 1, 2, 3]), "LABELS_OUT_OF_RANGE"),
        (np.array([0, -1, 2, 1]), "LABELS_OUT_OF_RANGE"),
        (np.array([0.0, 1.0, 2.0, 1.0], np.float32), "LABELS_NOT_INTEGERS"),
        (np.zeros((4, 1), np.int64), "LABELS_SHAPE_MISMATCH"),
    ],
    ids=["missing", "too-large", "negative", "float", "rank"],
)
def test_class_labels(labels: NDArray[np.generic] | None, reason: str) -> None:
    with pytest.raises(InvalidDatasetError) as caught:
        _check(labels)
    assert caught.value.reason == reason


def test_without_a_task_labels_are_neither_needed_nor_read() -> None:
    _check(None, loss=TaskLoss.NONE)
    _check(np.array([7, 8, 9, -1]), loss=TaskLoss.NONE)


def test_binary_targets_go_from_0_to_1() -> None:
    _check(np.array([[0, 1, 1]] * 4), loss=TaskLoss.BCE)
    for wrong in (-0.5, 1.5):
        with pytest.raises(InvalidDatasetError) as caught:
            _check(np.full((4, 3), wrong, np.float32), loss=TaskLoss.BCE)
        assert caught.value.reason == "LABELS_OUT_OF_RANGE"


def test_divergence_needs_classes() -> None:
    scalar = (TensorSpec("y", "float32", (None,)),)
    loss = LossConfig(distance=DistanceKind.KL)
    data = Dataset({"x": np.zeros((4, 2), np.float32)}, 4)
    config = QATConfig(task_loss=TaskLoss.NONE, loss=loss)
    with pytest.raises(InvalidConfigError) as caught:
        check_training_data(INPUTS, scalar, data, config)
    assert caught.value.reason == "DISTANCE_NEEDS_CLASSES"
    check_training_data(INPUTS, scalar, data, QATConfig(task_loss=TaskLoss.NONE))


@pytest.mark.parametrize(
    ("loss", "rank", "expected"),
    [
        (TaskLoss.CROSS_ENTROPY, 2, DistanceKind.KL),
        (TaskLoss.NONE, 2, DistanceKind.KL),
        (TaskLoss.NONE, 4, DistanceKind.MSE),
        (TaskLoss.BCE, 2, DistanceKind.MSE),
    ],
)
def test_distance_follows_the_task(loss: TaskLoss, rank: int, expected: DistanceKind) -> None:
    assert distance_for(QATConfig(task_loss=loss), rank) is expected
    chosen = LossConfig(distance=DistanceKind.MSE)
    assert distance_for(QATConfig(task_loss=loss, loss=chosen), rank) is DistanceKind.MSE


def test_classes_need_logits() -> None:
    with pytest.raises(InvalidDatasetError, match=r"\[N, classes\]") as caught:
        _check(np.zeros(4, np.int64), outputs=IMAGE)
    assert caught.value.reason == "LABELS_SHAPE_MISMATCH"


def test_targets_have_the_shape_of_the_output() -> None:
    with pytest.raises(InvalidDatasetError) as caught:
        _check(np.zeros((4, 2), np.float32), loss=TaskLoss.MSE)
    assert caught.value.reason == "LABELS_SHAPE_MISMATCH"


def test_inputs_have_the_shape_of_the_model() -> None:
    with pytest.raises(InvalidDatasetError) as caught:
        _check(np.zeros(4, np.int64), inputs=(TensorSpec("x", "float32", (None, 5)),))
    assert caught.value.reason == "DATASET_SHAPE_MISMATCH"


def test_fixed_batch_needs_as_many_samples() -> None:
    with pytest.raises(InvalidDatasetError) as caught:
        _check(np.zeros(4, np.int64), inputs=(TensorSpec("x", "float32", (8, 2)),))
    assert caught.value.reason == "DATASET_TOO_SMALL"


def test_a_share_is_held_out_where_there_is_no_evaluation_data() -> None:
    check_held_out(QATConfig(evaluation_fraction=0.3), has_evaluation=False)
    for agreeing in (QATConfig(), QATConfig(evaluation_fraction=0.0)):
        check_held_out(agreeing, has_evaluation=True)
    with pytest.raises(InvalidConfigError, match="leave one of the two out") as caught:
        check_held_out(QATConfig(evaluation_fraction=0.3), has_evaluation=True)
    assert caught.value.reason == "OPTION_NOT_APPLICABLE"
    assert caught.value.metadata["field"] == "evaluation_fraction"


@pytest.mark.parametrize(
    ("budget", "most"), [(None, 29), (40, 29), (30, 29), (29, 28), (2, 1), (1, 0)]
)
def test_a_warm_up_that_leaves_no_step_is_refused(budget: int | None, most: int) -> None:
    def check(steps: int) -> None:
        stages = StageConfig(warm_up_steps=steps)
        check_steps(QATConfig(epochs=3, stages=stages, budget=BudgetConfig(steps=budget)), 10)

    check(most)
    for steps in (most + 1, 1_000_000):
        with pytest.raises(InvalidConfigError, match=f"is {steps}, expected at most {most}: ") as c:
            check(steps)
        assert c.value.reason == "WARM_UP_TOO_LONG"
        assert c.value.metadata["field"] == "stages.warm_up_steps"


@pytest.mark.parametrize(("budget", "most"), [(None, 40), (7, 7)])
def test_a_weight_that_never_warms_up_is_refused(budget: int | None, most: int) -> None:
    def check(steps: int) -> None:
        loss = LossConfig(weight_warm_up_steps=steps)
        check_steps(QATConfig(epochs=3, loss=loss, budget=BudgetConfig(steps=budget)), 10)

    check(most)
    with pytest.raises(InvalidConfigError, match="warm up for fewer steps") as caught:
        check(most + 1)
    assert caught.value.reason == "WARM_UP_TOO_LONG"
    assert caught.value.metadata["field"] == "loss.weight_warm_up_steps"


@pytest.mark.parametrize(
    ("fixed", "has_evaluation", "steps"),
    [(None, False, 9), (None, True, 10), (20, False, 4), (20, True, 5), (500, True, 1)],
)
def test_steps_follow_from_samples(fixed: int | None, has_evaluation: bool, steps: int) -> None:
    inputs = (TensorSpec("x", "float32", (fixed, 2)),)

    def check(warm_up: int) -> None:
        stages = StageConfig(warm_up_steps=warm_up)
        config = QATConfig(epochs=2, batch_size=10, stages=stages)
        check_course(config, inputs, 100, has_evaluation=has_evaluation)

    check(2 * steps - 1)
    with pytest.raises(InvalidConfigError, match=f"2 epochs of {steps} steps"):
        check(2 * steps)
