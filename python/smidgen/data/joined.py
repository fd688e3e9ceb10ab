"""Several data sets as one: the shards of a folder, in the order of their names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smidgen.data.pictures import Pictures
from smidgen.data.source import ArraySource, Rows
from smidgen.errors import InvalidDatasetError
from smidgen.formats.dataset import LABELS, Dataset
from smidgen.tensor_spec import TensorSpec


def check_alike(parts: Sequence[Sequence[TensorSpec]]) -> None:
    """Checks that files hold the same arrays, before a model says which of them it takes.

    Args:
        parts: The arrays of each file, at least one. First extents, which are numbers of samples,
            may differ.

    Raises:
        InvalidDatasetError: DATASET_LABELS_INCOMPLETE, or DATASET_SHAPE_MISMATCH where arrays have
            other names, types or shapes than those of the first file.
    """
    _check_labelled(sum(any(spec.name == LABELS for spec in part) for part in parts), len(parts))
    first, *others = ({spec.name: _sample(spec) for spec in part} for part in parts)
    for number, other in enumerate(others, start=1):
        for name in sorted(first.keys() | other.keys()):
            expected, found = first.get(name), other.get(name)
            if found != expected:
                raise InvalidDatasetError(
                    f"The samples of the array {name!r} are {found or 'missing'} in shard "
                    f"{number}, and {expected or 'missing'} in shard 0. Write the same arrays, of "
                    "the same types and shapes, to all.",
                    reason="DATASET_SHAPE_MISMATCH",
                    array=name,
                    shard=number,
                )


def joined_digest(digests: Sequence[str]) -> str:
    """Returns a SHA-256 of the digests of all parts, in order; that of a single part is its own."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\0".join(digests).encode()).hexdigest()


class JoinedDataset:
    """Arrays of several files.

    Attributes:
        parts: The files' arrays, at least one.
        sample_count: Samples in all.
        labels: All labels, or None where there are none.

    Args:
        parts: At least one.

    Raises:
        InvalidDatasetError: DATASET_LABELS_INCOMPLETE, or DATASET_SHAPE_MISMATCH of labels.
    """

    def __init__(self, parts: Sequence[Dataset]) -> None:
        self.parts = tuple(parts)
        self.sample_count = sum(part.sample_count for part in self.parts)
        self.labels = _joined_labels(self.parts)


class JoinedSource:
    """The samples of several files of arrays, one after the other.

    Args:
        dataset: The files' arrays.
        specs: The model's inputs.

    Raises:
        InvalidDatasetError: One of them does not fit the inputs.
    """

    def __init__(self, dataset: JoinedDataset, specs: Sequence[TensorSpec]) -> None:
        self._sources = [ArraySource(part, specs) for part in dataset.parts]
        self._places = _Places(self._sources)
        self.sample_count = dataset.sample_count
        self.labels = dataset.labels
        self.is_augmented = False

    @property
    def has_labels(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None

    def rows(self, indices: NDArray[np.int64], *, epoch: int | None = None, seed: int = 0) -> Rows:
        """Returns the samples of these numbers, reading each file once."""
        shards = self._places.shards(indices)
        inputs: dict[str, NDArray[Any]] = {}
        for shard in np.unique(shards):
            places = np.flatnonzero(shards == shard)
            start = self._places.start(int(shard))
            rows = self._sources[shard].rows(indices[places] - start, epoch=epoch, seed=seed)
            for name, array in rows.inputs.items():
                if name not in inputs:
                    inputs[name] = np.empty((len(indices), *array.shape[1:]), array.dtype)
                inputs[name][places] = array
        return Rows(inputs, None if self.labels is None else self.labels[indices])

    def digest(self) -> str:
        """Returns a SHA-256 of the digests of all files, in order."""
        return joined_digest([source.digest() for source in self._sources])


class JoinedPictures:
    """The images of several archives or arrays, one after the other.

    Args:
        parts: At least one.

    Raises:
        InvalidDatasetError: DATASET_LABELS_INCOMPLETE, or DATASET_CLASSES_DIFFER where the same
            number would be different classes.
    """

    def __init__(self, parts: Sequence[Pictures]) -> None:
        if len({part.class_names for part in parts}) > 1:
            raise InvalidDatasetError(
                "The archives have different folders, so that the same number would be different "
                "classes. Put the same folders into each.",
                reason="DATASET_CLASSES_DIFFER",
            )
        self._parts = tuple(parts)
        self._places = _Places(self._parts)
        self.class_names = self._parts[0].class_names
        self.sample_count = sum(part.sample_count for part in self._parts)
        self.labels = _joined_labels(self._parts)

    def name(self, index: int) -> str:
        """Returns what to call an image in errors."""
        shard, place = self._places.find(index)
        return f"{self._parts[shard].name(place)} of shard {shard}"

    def picture(self, index: int, channels: int) -> NDArray[np.uint8]:
        """Returns one image, [height, width, channels]."""
        shard, place = self._places.find(index)
        return self._parts[shard].picture(place, channels)

    def digest(self) -> str:
        """Returns a SHA-256 of the digests of all parts, in order."""
        return joined_digest([part.digest() for part in self._parts])


class _Counted(Protocol):
    @property
    def sample_count(self) -> int: ...


class _Labelled(Protocol):
    @property
    def labels(self) -> NDArray[np.generic] | None: ...


class _Places:
    """Tells in which part a sample is."""

    def __init__(self, parts: Sequence[_Counted]) -> None:
        self._ends = np.cumsum([part.sample_count for part in parts])

    def shards(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._ends, indices, side="right")

    def start(self, shard: int) -> int:
        return int(self._ends[shard - 1]) if shard else 0

    def find(self, index: int) -> tuple[int, int]:
        shard = int(np.searchsorted(self._ends, index, side="right"))
        return shard, index - self.start(shard)


def _sample(spec: TensorSpec) -> str:
    """Returns type and shape of one sample of an array, for people."""
    return f"{spec.dtype} {replace(spec, shape=spec.shape[1:]).describe_shape()}"


def _check_labelled(labelled: int, count: int) -> None:
    if labelled not in (0, count):
        raise InvalidDatasetError(
            f"{labelled} of {count} files have labels. Give every file labels, or none.",
            reason="DATASET_LABELS_INCOMPLETE",
        )


def _joined_labels(parts: Sequence[_Labelled]) -> NDArray[np.generic] | None:
    found = [labels for part in parts if (labels := part.labels) is not None]
    _check_labelled(len(found), len(parts))
    if len({(labels.dtype.kind, labels.shape[1:]) for labels in found}) > 1:
        raise InvalidDatasetError(
            "The labels of the files have different types or shapes. Write them alike.",
            reason="DATASET_SHAPE_MISMATCH",
        )
    return np.concatenate(found) if found else None
