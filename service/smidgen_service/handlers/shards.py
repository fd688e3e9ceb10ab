"""Datasets that are made of stored ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smidgen.data.joined import check_alike, joined_digest
from smidgen.errors import InvalidDatasetError
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.records import DatasetRecord

MOST_FILES = 2000
"""Of one dataset. A worker that maps them keeps a descriptor for each."""


@dataclass(frozen=True, slots=True)
class DatasetCreation:
    """A request for a dataset of shards.

    Attributes:
        dataset_id: Of the new dataset.
        shard_ids: Those of the stored ones, in order.
        key: What makes the call idempotent.
        validate_only: Whether nothing is stored.
    """

    dataset_id: str
    shard_ids: tuple[str, ...]
    key: RequestKey | None
    validate_only: bool


def check_count(count: int) -> None:
    """Checks a number of shards, or of their files.

    Raises:
        InvalidArgumentError: there are none, or more than MOST_FILES.
    """
    if not 1 <= count <= MOST_FILES:
        raise InvalidArgumentError(
            f"shards has {count} files, expected 1 to {MOST_FILES}; join small ones before they "
            "are uploaded",
            field="shards",
            reason="INVALID_SHARD_COUNT",
        )


def joined(dataset_id: str, shards: Sequence[DatasetRecord], *, now: int) -> DatasetRecord:
    """Returns the dataset that has the files of all shards, in order.

    Args:
        dataset_id: Its id.
        shards: At least one; one that has several files stands for all of them.
        now: Its time of creation.

    Raises:
        InvalidArgumentError: these are too many files.
        InvalidDatasetError: the shards do not go together.
    """
    files = tuple(file for shard in shards for file in shard.files)
    check_count(len(files))
    formats = sorted({shard.format for shard in shards})
    if len(formats) > 1:
        raise InvalidDatasetError(
            f"the shards have the formats {', '.join(formats)}, expected one; write them alike",
            reason="DATASET_FORMATS_DIFFER",
        )
    check_alike([shard.arrays for shard in shards])
    return DatasetRecord(
        id=dataset_id,
        format=shards[0].format,
        sha256=joined_digest([file.sha256 for file in files]),
        size_bytes=sum(file.size_bytes for file in files),
        sample_count=sum(shard.sample_count for shard in shards),
        arrays=shards[0].arrays,
        create_time=now,
        shards=files if len(files) > 1 else (),
    )
