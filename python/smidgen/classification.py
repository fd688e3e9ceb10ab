"""Class labels: whether they fit an output, and how many of them a model gets right. No torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import InvalidDatasetError
from smidgen.tensor_spec import TensorSpec


def correct_count(logits: NDArray[np.float32], labels: NDArray[np.generic]) -> int:
    """Counts the samples whose first largest logit is the label's. Shapes: [N, classes], [N]."""
    return int((logits.argmax(axis=1) == labels).sum())


def check_class_labels(labels: NDArray[np.generic], output: TensorSpec) -> None:
    """Checks that labels are class numbers of an output [N, classes].

    Raises:
        InvalidDatasetError: they are not, or the output has another shape.
    """
    if len(output.shape) != 2 or output.shape[1] is None:
        raise InvalidDatasetError(
            f"output {output.name} has shape {output.describe_shape()}, expected logits "
            "[N, classes] for class labels",
            reason="LABELS_SHAPE_MISMATCH",
        )
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidDatasetError(
            f"labels are {labels.dtype} {list(labels.shape)}, expected integers [N]; "
            "write one class number a sample, not one-hot rows",
            reason="LABELS_SHAPE_MISMATCH" if labels.ndim != 1 else "LABELS_NOT_INTEGERS",
        )
    low, high, classes = int(labels.min()), int(labels.max()), output.shape[1]
    if low < 0 or high >= classes:
        raise InvalidDatasetError(
            f"labels go from {low} to {high}, expected 0 to {classes - 1}; number the classes "
            "as the model's outputs",
            reason="LABELS_OUT_OF_RANGE",
            low=low,
            high=high,
            class_count=classes,
        )
