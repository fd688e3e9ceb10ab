"""Checks that a dataset can train a model, before any training. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smidgen.classification import check_class_labels
from smidgen.config import QATConfig, TaskLoss
from smidgen.data.opening import AnyDataset, source_of
from smidgen.errors import InvalidDatasetError
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
    """
    _check_inputs(dataset, inputs)
    labels = dataset.labels
    if labels is None:
        raise InvalidDatasetError(
            "the dataset has no labels; add an array named labels", reason="LABELS_MISSING"
        )
    fixed = inputs[0].shape[0]
    if fixed is not None and dataset.sample_count < fixed:
        raise InvalidDatasetError(
            f"the dataset has {dataset.sample_count} samples and the model takes {fixed} at a time",
            reason="DATASET_TOO_SMALL",
        )
    if config.task_loss is TaskLoss.CROSS_ENTROPY:
        check_class_labels(labels, outputs[0])
    else:
        _check_targets(labels, outputs[0])


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
