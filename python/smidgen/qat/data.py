"""The samples of a training run: split, shuffled and turned into tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from smidgen.config import QATConfig, TaskLoss
from smidgen.tensor_spec import TensorSpec


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs and labels of equal length.

    Attributes:
        inputs: One array for each input of the model, in its order.
        labels: Class numbers [N], or targets of the output's shape.
    """

    inputs: tuple[NDArray[Any], ...]
    labels: NDArray[np.generic]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, indices: NDArray[np.int64]) -> Samples:
        """Returns the samples at these places."""
        return Samples(tuple(array[indices] for array in self.inputs), self.labels[indices])

    def truncated(self, multiple: int) -> Samples:
        """Returns as many of the first samples as are a multiple of this number."""
        return self.rows(np.arange(len(self) // multiple * multiple))


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's tensors; `indices` are the places of its samples in the split."""

    inputs: tuple[torch.Tensor, ...]
    labels: torch.Tensor
    indices: torch.Tensor


def make_samples(
    arrays: Mapping[str, NDArray[Any]],
    labels: NDArray[np.generic],
    specs: Sequence[TensorSpec],
    loss: TaskLoss,
) -> Samples:
    """Orders inputs as the model does and gives labels the type that the loss needs."""
    dtype = np.int64 if loss is TaskLoss.CROSS_ENTROPY else np.float32
    return Samples(tuple(arrays[spec.name] for spec in specs), labels.astype(dtype))


def split_samples(
    samples: Samples, config: QATConfig, generator: torch.Generator
) -> tuple[Samples, Samples | None]:
    """Holds out a random share for evaluation: at least one sample, unless the share is 0."""
    order = torch.randperm(len(samples), generator=generator).numpy()
    held_out = 0
    if config.evaluation_fraction > 0.0 and len(samples) > 1:
        held_out = max(1, round(len(samples) * config.evaluation_fraction))
    if held_out == 0:
        return samples, None
    return samples.rows(order[held_out:]), samples.rows(order[:held_out])


def step_count(sample_count: int, batch_size: int) -> int:
    """Returns the steps of an epoch; samples that do not fill a batch wait for the next shuffle."""
    return max(1, sample_count // batch_size)


def shuffled_batches(
    samples: Samples, batch_size: int, generator: torch.Generator
) -> Iterator[Batch]:
    """Yields the batches of one epoch in random order."""
    order = torch.randperm(len(samples), generator=generator).numpy()
    for step in range(step_count(len(samples), batch_size)):
        yield _batch(samples, order[step * batch_size : (step + 1) * batch_size])


def ordered_batches(samples: Samples, batch_size: int) -> Iterator[Batch]:
    """Yields all samples in order; the last batch may be short."""
    for start in range(0, len(samples), batch_size):
        yield _batch(samples, np.arange(start, min(start + batch_size, len(samples))))


def _batch(samples: Samples, indices: NDArray[np.int64]) -> Batch:
    rows = samples.rows(indices)
    return Batch(
        inputs=tuple(torch.from_numpy(array) for array in rows.inputs),
        labels=torch.from_numpy(rows.labels),
        indices=torch.from_numpy(indices),
    )
