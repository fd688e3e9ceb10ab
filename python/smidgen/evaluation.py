"""Measures accuracy, of a float graph or of an integer program alike. Needs no torch.

Accuracy is the share of samples whose largest logit is the label's; of equal logits the first
counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.classification import correct_count
from smidgen.data.source import SampleSource
from smidgen.tensor_spec import TensorSpec

Arrays = Mapping[str, NDArray[Any]]
Predict = Callable[[Arrays], NDArray[np.float32]]

BATCH_SIZE = 256


def accuracy(predict: Predict, source: SampleSource, specs: Sequence[TensorSpec]) -> float:
    """Returns the accuracy of a function that maps a batch to logits [N, classes], 0 to 1.

    Args:
        predict: The model.
        source: All samples, with labels [N] that are integers.
        specs: The model's inputs; a fixed first extent fixes the batch size.
    """
    labels = source.labels
    assert labels is not None
    correct = 0
    for start, stop, batch in batches(source, specs):
        logits = predict(batch)[: stop - start]
        correct += correct_count(logits, labels[start:stop])
    return correct / len(labels)


def batches(
    source: SampleSource,
    specs: Sequence[TensorSpec],
    batch_size: int = BATCH_SIZE,
    *,
    most: int | None = None,
) -> Iterator[tuple[int, int, Arrays]]:
    """Yields start, stop and arrays of one batch after the other, of the first `most` samples.

    Where the model fixes the batch size, a last batch that is too short is filled up with copies
    of its last sample.
    """
    count = source.sample_count if most is None else min(most, source.sample_count)
    fixed = specs[0].shape[0]
    size = fixed or batch_size
    for start in range(0, count, size):
        stop = min(start + size, count)
        rows = np.arange(start, stop if fixed is None else start + size).clip(max=count - 1)
        yield start, stop, source.rows(rows).inputs
