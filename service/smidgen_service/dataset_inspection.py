"""What there is to know of a dataset's file. Decodes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smidgen.data.opening import read_images
from smidgen.formats.dataset import LABELS, Dataset, DatasetFormat
from smidgen.tensor_spec import TensorSpec

IMAGES = "images"
"""What encoded images are called where arrays have names."""


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """Samples and arrays of a dataset; the first extent of every array is None."""

    sample_count: int
    arrays: tuple[TensorSpec, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for a frame."""
        arrays = [(spec.name, spec.dtype, spec.shape) for spec in self.arrays]
        return {"sample_count": self.sample_count, "arrays": arrays}

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> DatasetFacts:
        """Reads what to_dict returned."""
        arrays = tuple(
            TensorSpec(name, dtype, tuple(shape)) for name, dtype, shape in fields["arrays"]
        )
        return DatasetFacts(int(fields["sample_count"]), arrays)


def facts_of_arrays(dataset: Dataset) -> DatasetFacts:
    """Returns the facts of arrays."""
    return DatasetFacts(dataset.sample_count, dataset.specs)


def inspect_images(path: Path, dataset_format: DatasetFormat) -> DatasetFacts:
    """Reads an archive of images, and the header of each of them.

    Raises:
        InvalidDatasetError: it is malformed, or one of the images is of no accepted kind or size.
    """
    images = read_images(path, dataset_format)
    images.check_headers()
    arrays = [TensorSpec(IMAGES, "uint8", (None, None, None, None))]
    if images.labels is not None:
        arrays.append(TensorSpec(LABELS, "int64", (None,)))
    return DatasetFacts(images.sample_count, tuple(arrays))
