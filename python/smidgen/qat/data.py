"""The samples of a training run: split, shuffled and turned into tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from smidgen.config import QATConfig, TaskLoss
from smidgen.data.source import SampleSource
from smidgen.data.split import Split, permutation, step_count
from smidgen.tensor_spec import TensorSpec


@dataclass(frozen=True, slots=True)
class Samples:
    """Some samples of a source, which are read when a batch of them is made.

    Attributes:
        source: Where they are.
        places: Their numbers there, [M] int64.
        names: The model's inputs, in its order.
        labels: Of all samples of the source: class numbers [N], or targets of the output's shape;
            None without a task.
        seed: Seed of what augmentation draws.
    """

    source: SampleSource
    places: NDArray[np.int64]
    names: tuple[str, ...]
    labels: NDArray[np.generic] | None
    seed: int

    def __len__(self) -> int:
        return len(self.places)

    def only(self, indices: NDArray[np.int64]) -> Samples:
        """Returns the samples at these indices of `places`."""
        return replace(self, places=self.places[indices])

    def truncated(self, multiple: int) -> Samples:
        """Returns as many of the first samples as are a multiple of this number."""
        return self.only(np.arange(len(self) // multiple * multiple))


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's tensors; `indices` are those of its samples in the split."""

    inputs: tuple[torch.Tensor, ...]
    labels: torch.Tensor | None
    indices: torch.Tensor


def make_samples(source: SampleSource, specs: Sequence[TensorSpec], config: QATConfig) -> Samples:
    """Orders inputs as the model does and gives labels the type that the loss needs."""
    labels = source.labels
    if config.task_loss is TaskLoss.NONE:
        labels = None
    if labels is not None:
        is_class = config.task_loss is TaskLoss.CROSS_ENTROPY
        labels = labels.astype(np.int64 if is_class else np.float32, copy=False)
    return Samples(
        source=source,
        places=np.arange(source.sample_count),
        names=tuple(spec.name for spec in specs),
        labels=labels,
        seed=config.seed,
    )


def split_samples(samples: Samples, config: QATConfig) -> tuple[Samples, Samples | None]:
    """Holds out a random share for evaluation: at least one sample, unless the share is 0."""
    split = Split.of(config)
    if split.count(len(samples)) == 0:
        return samples, None
    training, held_out = split.places(len(samples))
    return samples.only(training), samples.only(held_out)


def shuffled_batches(
    samples: Samples, batch_size: int, *, seed: int, epoch: int, first: int = 0
) -> Iterator[Batch]:
    """Yields the batches of one epoch in random order, from the batch with number `first` on.

    They are augmented where the source is. Order and augmentation follow from seed and epoch alone,
    so that a training can go on anywhere.
    """
    order = permutation(len(samples), seed, epoch)
    for step in range(first, step_count(len(samples), batch_size)):
        yield _batch(samples, order[step * batch_size : (step + 1) * batch_size], epoch)


def ordered_batches(samples: Samples, batch_size: int) -> Iterator[Batch]:
    """Yields all samples in order, not augmented; the last batch may be short."""
    for start in range(0, len(samples), batch_size):
        yield _batch(samples, np.arange(start, min(start + batch_size, len(samples))), None)


def _batch(samples: Samples, indices: NDArray[np.int64], epoch: int | None) -> Batch:
    places, labels = samples.places[indices], samples.labels
    rows = samples.source.rows(places, epoch=epoch, seed=samples.seed)
    return Batch(
        inputs=tuple(torch.from_numpy(rows.inputs[name]) for name in samples.names),
        labels=torch.from_numpy(labels[places]) if labels is not None else None,
        indices=torch.from_numpy(indices),
    )
