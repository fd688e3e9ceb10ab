"""How a task names a dataset and what is done to its images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from smidgen.config import Augmentation, Preprocessing
from smidgen.data.opening import AnyDataset, open_shards
from smidgen.data.split import HeldOut, Split
from smidgen.formats.dataset import DatasetFormat
from smidgen_service.store.records import DatasetRecord


def dataset_fields(
    find: Callable[[str], Path],
    dataset: DatasetRecord,
    preprocessing: Preprocessing | None,
    augmentation: Augmentation | None = None,
    held_out: Split | None = None,
) -> dict[str, Any]:
    """Returns a dataset as plain values.

    Args:
        find: Returns where the file with a digest is: BlobStore.verify, or where its bytes are not
            relied on, BlobStore.path.
        dataset: The dataset.
        preprocessing: What to do to its images.
        augmentation: What is drawn anew for each epoch.
        held_out: The split of which only the smaller part counts.

    Raises:
        DataLossError: a file is missing or damaged, where find says so.
    """
    return {
        "paths": [str(find(sha256)) for sha256 in dataset.digests],
        "format": dataset.format.value,
        "preprocessing": None if preprocessing is None else preprocessing.to_document(),
        "augmentation": None if augmentation is None else asdict(augmentation),
        "held_out": None if held_out is None else asdict(held_out),
    }


def dataset_of(fields: Mapping[str, Any]) -> AnyDataset:
    """Opens the dataset that dataset_fields named.

    Raises:
        InvalidDatasetError: it needs a preprocessing, or its files do not go together.
    """
    preprocessing, augmentation = fields["preprocessing"], fields["augmentation"]
    return open_shards(
        [Path(path) for path in fields["paths"]],
        DatasetFormat(fields["format"]),
        preprocessing=None if preprocessing is None else Preprocessing.from_document(preprocessing),
        augmentation=None if augmentation is None else Augmentation(**augmentation),
    )


def evaluation_of(fields: Mapping[str, Any]) -> AnyDataset | HeldOut:
    """Opens the evaluation data that dataset_fields named, of which only a part may count.

    Raises:
        InvalidDatasetError: it needs a preprocessing.
    """
    dataset, held_out = dataset_of(fields), fields["held_out"]
    return dataset if held_out is None else HeldOut(dataset, Split(**held_out))
