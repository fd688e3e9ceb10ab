"""Batches of samples for calibration and for what comes after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.data.opening import AnyDataset, source_of
from smidgen.data.source import source_batches
from smidgen.formats.dataset import Dataset
from smidgen.tensor_spec import TensorSpec

CALIBRATION_BATCH_SIZE = 64

Samples = AnyDataset | NDArray[np.float32] | Mapping[str, NDArray[Any]]
"""A data set, one array for a model with one input, or arrays by input name."""


def calibration_batches(
    dataset: AnyDataset, inputs: Sequence[TensorSpec]
) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Yields all samples in order; a model with a fixed batch size gets whole batches only.

    Raises:
        InvalidDatasetError: the dataset does not fit the model, or a sample cannot be read.
    """
    fixed = inputs[0].shape[0]
    size = fixed or CALIBRATION_BATCH_SIZE
    if isinstance(dataset, Dataset):  # views of the mapped file, where rows would be copies
        for batch in dataset.batches(inputs, size):
            if fixed is None or len(batch[inputs[0].name]) == fixed:
                yield batch
        return
    for rows in source_batches(source_of(dataset, inputs), size, only_whole=fixed is not None):
        yield rows.inputs


def sample_batches(
    samples: Samples, specs: Sequence[TensorSpec]
) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Yields samples of any form as calibration_batches does those of a dataset.

    Raises:
        InvalidDatasetError: a dataset does not fit the model, or a sample cannot be read.
    """
    if isinstance(samples, AnyDataset):
        yield from calibration_batches(samples, specs)
        return
    fixed = specs[0].shape[0]
    size = fixed or CALIBRATION_BATCH_SIZE
    inputs = samples if isinstance(samples, Mapping) else {specs[0].name: samples}
    count = min((len(array) for array in inputs.values()), default=0)
    for start in range(0, count, size):
        # The last batch of a model with a fixed batch size may be short, and calibrate refuses it.
        if fixed is None or start + size <= count:
            yield {name: array[start : start + size] for name, array in inputs.items()}
