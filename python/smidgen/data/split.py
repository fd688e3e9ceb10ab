"""The part of a data set that a training holds out, and its order of samples."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smidgen.config import QATConfig
from smidgen.data.opening import AnyDataset, source_of
from smidgen.data.source import Rows, SampleSource
from smidgen.tensor_spec import TensorSpec


def permutation(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Returns the order of samples in an epoch; epoch 0 is the split."""
    entropy = np.random.SeedSequence([seed % 2**64, epoch])
    return np.random.Generator(np.random.PCG64(entropy)).permutation(count)


def step_count(sample_count: int, batch_size: int) -> int:
    """Returns the steps of an epoch; samples that do not fill a batch wait for the next shuffle."""
    return max(1, sample_count // batch_size)


@dataclass(frozen=True, slots=True)
class Split:
    """How a training holds samples out.

    Attributes:
        fraction: Share of the samples, 0 to 0.5; above 0 it is one sample at least.
        seed: Of what is random.
    """

    fraction: float
    seed: int

    @classmethod
    def of(cls, config: QATConfig) -> Split:
        """Returns the split of a training."""
        return cls(config.evaluation_fraction, config.seed)

    def count(self, sample_count: int) -> int:
        """Returns how many of so many samples are held out."""
        if self.fraction <= 0.0 or sample_count <= 1:
            return 0
        return max(1, round(sample_count * self.fraction))

    def places(self, sample_count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the numbers of the samples that are trained on, and of those held out."""
        order = permutation(sample_count, self.seed, 0)
        held_out = self.count(sample_count)
        return order[held_out:], order[:held_out]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The samples that a training held out, at least one.

    Attributes:
        dataset: What it trained on, and held these out of.
        split: How.
    """

    dataset: AnyDataset
    split: Split


def held_out_of(dataset: AnyDataset, config: QATConfig) -> HeldOut | None:
    """Returns what a training with this configuration holds out of its data; None for nothing."""
    split = Split.of(config)
    return HeldOut(dataset, split) if split.count(dataset.sample_count) > 0 else None


def evaluation_source(
    evaluation: AnyDataset | HeldOut, inputs: Sequence[TensorSpec]
) -> SampleSource:
    """Returns evaluation samples as a model with these inputs takes them.

    Raises:
        InvalidDatasetError: they do not fit the inputs.
    """
    if isinstance(evaluation, HeldOut):
        whole = source_of(evaluation.dataset, inputs)
        _, held_out = evaluation.split.places(whole.sample_count)
        return PartSource(whole, held_out)
    return source_of(evaluation, inputs)


class PartSource:
    """Some samples of a source, not augmented.

    Args:
        whole: All samples.
        places: The numbers of those that count, [M] int64, at least one.
    """

    def __init__(self, whole: SampleSource, places: NDArray[np.int64]) -> None:
        self._whole = whole
        self._places = places
        self.sample_count = len(places)
        self.is_augmented = False

    @property
    def has_labels(self) -> bool:
        """Whether there are labels."""
        return self._whole.has_labels

    @property
    def labels(self) -> NDArray[np.generic] | None:
        """Their labels, or None where there are none."""
        labels = self._whole.labels
        return None if labels is None else labels[self._places]

    def rows(self, indices: NDArray[np.int64], *, epoch: int | None = None, seed: int = 0) -> Rows:
        """Returns the samples of these numbers, which count from 0 within the part."""
        del epoch, seed
        return self._whole.rows(self._places[indices])

    def digest(self) -> str:
        """Returns a SHA-256 of the whole, and of which samples of it count."""
        whole = self._whole.digest().encode() + self._places.astype("<i8").tobytes()
        return hashlib.sha256(whole).hexdigest()
