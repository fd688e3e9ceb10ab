"""Checks that a dataset can train a model, before any training. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smidgen.classification import check_class_labels
from smidgen.config import DistanceKind, QATConfig, TaskLoss
from smidgen.data.opening import AnyDataset, source_of
from smidgen.data.split import Split, step_count
from smidgen.errors import InvalidConfigError, InvalidDatasetError
from smidgen.formats.dataset import Dataset
from smidgen.tensor_spec import TensorSpec


def check_training_data(
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    dataset: AnyDataset,
    config: QATConfig,
) -> None:
    """Checks inputs and labels against the model and the loss.

    Args:
        inputs: The model's inputs.
        outputs: The model's outputs; the first one is trained.
        dataset: What to train or evaluate on.
        config: How to train; its task loss says what labels are.

    Raises:
        InvalidDatasetError: the dataset does not fit.
        InvalidConfigError: the distance does not fit the output.
    """
    _check_inputs(dataset, inputs)
    fixed = inputs[0].shape[0]
    if fixed is not None and dataset.sample_count < fixed:
        raise InvalidDatasetError(
            f"the dataset has {dataset.sample_count} samples and the model takes {fixed} at a time",
            reason="DATASET_TOO_SMALL",
        )
    if config.task_loss is not TaskLoss.NONE:
        _check_labels(dataset.labels, outputs[0], config.task_loss)
    check_distance(outputs[0], config)


def check_held_out(config: QATConfig, *, has_evaluation: bool) -> None:
    """Checks that no share of the data is to be held out where other data is evaluated on.

    Raises:
        InvalidConfigError: it is, and would not be.
    """
    # The default is what those send who ask for nothing, and 0 is what becomes of it.
    agreeing = (0.0, QATConfig().evaluation_fraction)
    if has_evaluation and config.evaluation_fraction not in agreeing:
        raise InvalidConfigError(
            f"evaluation_fraction is {config.evaluation_fraction} and an evaluation dataset is "
            "given, besides which nothing is held out; leave one of the two out",
            reason="OPTION_NOT_APPLICABLE",
            field="evaluation_fraction",
        )


def check_course(
    config: QATConfig, inputs: Sequence[TensorSpec], sample_count: int, *, has_evaluation: bool
) -> None:
    """Checks what check_steps does, for a training on a dataset of so many samples.

    Raises:
        InvalidConfigError: a warm-up takes all steps.
    """
    held_out = 0 if has_evaluation else Split.of(config).count(sample_count)
    batch_size = inputs[0].shape[0] or config.batch_size
    check_steps(config, step_count(sample_count - held_out, batch_size))


def check_steps(config: QATConfig, steps_per_epoch: int) -> None:
    """Checks that warming up leaves steps, so that what it leads to is reached.

    The step size is to be whole for one step before fine-tuning, and the weight of the quantization
    loss at the end.

    Raises:
        InvalidConfigError: one is not; the error names the option.
    """
    before, after = (
        epochs * steps_per_epoch for epochs in (config.epochs, config.fine_tune_epochs)
    )
    course = (
        f"{config.epochs} epochs of {steps_per_epoch} steps and {config.fine_tune_epochs} of "
        "fine-tuning"
    )
    if config.budget.steps is not None:
        course += f", of which budget.steps allows {config.budget.steps}"
    for field, found, most in (
        ("stages.warm_up_steps", config.stages.warm_up_steps, _within(before, config) - 1),
        (
            "loss.weight_warm_up_steps",
            config.loss.weight_warm_up_steps,
            _within(before + after, config),
        ),
    ):
        if found > most:
            raise InvalidConfigError(
                f"{field} is {found}, expected at most {most}: there are {course}; warm up for "
                "fewer steps, or train for more",
                reason="WARM_UP_TOO_LONG",
                field=field,
                found=found,
                most=most,
            )


def _within(steps: int, config: QATConfig) -> int:
    return steps if config.budget.steps is None else min(steps, config.budget.steps)


def check_distance(output: TensorSpec, config: QATConfig) -> None:
    """Checks that the output has the classes that a divergence needs.

    Raises:
        InvalidConfigError: it has not.
    """
    if distance_for(config, len(output.shape)) is DistanceKind.KL and len(output.shape) < 2:
        raise InvalidConfigError(
            f"output {output.name} has shape {output.describe_shape()}, expected classes on axis 1 "
            "for KL; choose MSE",
            reason="DISTANCE_NEEDS_CLASSES",
            field="loss.distance",
        )


def distance_for(config: QATConfig, rank: int) -> DistanceKind:
    """Returns the distance to the float model's output of so many axes."""
    if config.loss.distance is not None:
        return config.loss.distance
    is_classes = config.task_loss is TaskLoss.NONE and rank == 2  # [N, classes]
    if config.task_loss is TaskLoss.CROSS_ENTROPY or is_classes:
        return DistanceKind.KL
    return DistanceKind.MSE


def _check_labels(
    labels: NDArray[np.generic] | None, output: TensorSpec, task_loss: TaskLoss
) -> None:
    if labels is None:
        raise InvalidDatasetError(
            "the dataset has no labels; add an array named labels, or train without a task "
            "to do what the float model does",
            reason="LABELS_MISSING",
        )
    if task_loss is TaskLoss.CROSS_ENTROPY:
        check_class_labels(labels, output)
        return
    _check_targets(labels, output)
    low, high = float(labels.min()), float(labels.max())
    if task_loss is TaskLoss.BCE and not (low >= 0.0 and high <= 1.0):
        raise InvalidDatasetError(
            f"labels go from {low:g} to {high:g}, expected 0 to 1 for binary cross-entropy",
            reason="LABELS_OUT_OF_RANGE",
            low=low,
            high=high,
        )


def check_data(
    dataset: AnyDataset,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    config: QATConfig | None,
) -> None:
    """Checks a dataset for training, or without a config for evaluation alone.

    Raises:
        InvalidDatasetError: the dataset does not fit.
    """
    labels = dataset.labels
    if config is not None:
        check_training_data(inputs, outputs, dataset, config)
    elif labels is not None and labels.dtype.kind == "i":
        check_training_data(inputs, outputs, dataset, QATConfig())
    else:
        _check_inputs(dataset, inputs)


def check_samples(dataset: AnyDataset, inputs: Sequence[TensorSpec]) -> None:
    """Checks that a dataset has samples for a model; what its labels are is no matter.

    Raises:
        InvalidDatasetError: it has none.
    """
    source_of(dataset, inputs).rows(np.arange(1))


def _check_inputs(dataset: AnyDataset, inputs: Sequence[TensorSpec]) -> None:
    if isinstance(dataset, Dataset):
        dataset.inputs_for(inputs)  # looks at the values too
    else:
        source_of(dataset, inputs)


def _check_targets(labels: NDArray[np.generic], output: TensorSpec) -> None:
    if not np.issubdtype(labels.dtype, np.number) or np.iscomplexobj(labels):
        raise InvalidDatasetError(
            f"labels are {labels.dtype}, expected numbers", reason="LABELS_NOT_NUMBERS"
        )
    expected = output.shape[1:]
    if len(expected) != labels.ndim - 1 or any(
        wanted is not None and wanted != found
        for wanted, found in zip(expected, labels.shape[1:], strict=True)
    ):
        raise InvalidDatasetError(
            f"labels have shape {list(labels.shape)}, expected {output.describe_shape()}",
            reason="LABELS_SHAPE_MISMATCH",
        )
