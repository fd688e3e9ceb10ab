"""How a task names a dataset and what is done to its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from smidgen.config import Augmentation, Preprocessing
from smidgen.data.opening import AnyDataset, open_dataset
from smidgen.formats.dataset import DatasetFormat
from smidgen_service.store.records import DatasetRecord


def dataset_fields(
    path: Path,
    dataset: DatasetRecord,
    preprocessing: Preprocessing | None,
    augmentation: Augmentation | None = None,
) -> dict[str, Any]:
    """Returns a dataset as plain values."""
    return {
        "path": str(path),
        "format": dataset.format.value,
        "preprocessing": None if preprocessing is None else preprocessing.to_document(),
        "augmentation": None if augmentation is None else asdict(augmentation),
    }


def dataset_of(fields: Mapping[str, Any]) -> AnyDataset:
    """Opens the dataset that dataset_fields named.

    Raises:
        InvalidDatasetError: it needs a preprocessing.
    """
    preprocessing, augmentation = fields["preprocessing"], fields["augmentation"]
    return open_dataset(
        Path(fields["path"]),
        DatasetFormat(fields["format"]),
        preprocessing=None if preprocessing is None else Preprocessing.from_document(preprocessing),
        augmentation=None if augmentation is None else Augmentation(**augmentation),
    )
