"""Samples by their numbers, whatever file they are in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smidgen.formats.dataset import Dataset, as_input
from smidgen.formats.dataset_digest import dataset_sha256
from smidgen.tensor_spec import TensorSpec


@dataclass(frozen=True, slots=True)
class Rows:
    """Some samples.

    Attributes:
        inputs: One array for each input of the model by its name, of its type.
        labels: Their labels, or None where there are none.
    """

    inputs: Mapping[str, NDArray[Any]]
    labels: NDArray[np.generic] | None


class SampleSource(Protocol):
    """All samples of a data set as a model takes them."""

    @property
    def sample_count(self) -> int:
        """The number of samples, at least 1."""

    @property
    def has_labels(self) -> bool:
        """Whether there are labels."""

    @property
    def labels(self) -> NDArray[np.generic] | None:
        """All labels, one row a sample, int64 or float32; None where there are none."""

    @property
    def is_augmented(self) -> bool:
        """Whether a sample differs from epoch to epoch."""

    def rows(self, indices: NDArray[np.int64], *, epoch: int | None = None, seed: int = 0) -> Rows:
        """Returns the samples of these numbers, in this order.

        Equal arguments give equal bytes, in any process and order of calls.

        Args:
            indices: Numbers from 0 to sample_count - 1.
            epoch: Pass over the samples, for what augmentation draws; None for no augmentation.
            seed: Seed of what augmentation draws.

        Raises:
            InvalidDatasetError: A sample cannot be read.
        """

    def digest(self) -> str:
        """Returns a SHA-256 of all that the samples depend on, 64 hexadecimal digits."""


class ArraySource:
    """The samples of named arrays, in a model's element types.

    Args:
        dataset: The arrays.
        specs: The model's inputs.

    Raises:
        InvalidDatasetError: They do not fit the inputs.
    """

    def __init__(self, dataset: Dataset, specs: Sequence[TensorSpec]) -> None:
        self._dataset = dataset
        # As they are in the file: of a mapped file, only the rows that are asked for are read.
        self._arrays = {spec: dataset.array_for(spec, specs) for spec in specs}
        self.sample_count = dataset.sample_count
        self.labels = dataset.labels
        self.is_augmented = False

    @property
    def has_labels(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None

    def rows(
        self,
        indices: NDArray[np.int64],
        *,
        epoch: int | None = None,
        seed: int = 0,
    ) -> Rows:
        """Returns the samples of these numbers."""
        inputs = {spec.name: as_input(array[indices], spec) for spec, array in self._arrays.items()}
        return Rows(inputs, None if self.labels is None else self.labels[indices])

    def digest(self) -> str:
        """Returns a SHA-256 of all arrays, with their names, types and shapes."""
        return dataset_sha256(self._dataset)


def source_batches(
    source: SampleSource, batch_size: int, *, only_whole: bool = False
) -> Iterator[Rows]:
    """Yields all samples in order; the last batch may be short, or is left out.

    Raises:
        InvalidDatasetError: A sample cannot be read.
    """
    count = source.sample_count
    for start in range(0, count, batch_size):
        stop = min(start + batch_size, count)
        if not only_whole or stop - start == batch_size:
            yield source.rows(np.arange(start, stop))
