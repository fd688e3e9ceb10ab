"""Datasets as requests are checked against them, before any job works with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from smidgen.config import Preprocessing
from smidgen.errors import InvalidDatasetError
from smidgen_service.jobs.data_fields import dataset_fields
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.records import DatasetRecord
from smidgen_service.threads import Threads


@asynccontextmanager
async def checking(
    blobs: BlobStore,
    threads: Threads,
    dataset: DatasetRecord,
    preprocessing: Preprocessing | None,
) -> AsyncIterator[dict[str, Any]]:
    """Yields the fields of a dataset for a check, and keeps its files while that lasts.

    A single file is verified first. A request has to be answered before its deadline, and reading
    a hundred files for their digests takes minutes: the job that uses them does that before it
    starts. Here they are only verified where the check fails, as damage may be the cause.

    Raises:
        DataLossError: a file is missing or damaged.
    """
    with blobs.pinned(*dataset.digests):
        if not dataset.shards:
            yield await threads.run(dataset_fields, blobs.verify, dataset, preprocessing)
            return

        def find(sha256: str) -> Path:
            path = blobs.path(sha256)
            return path if path.is_file() else blobs.verify(sha256)

        try:
            yield await threads.run(dataset_fields, find, dataset, preprocessing)
        except InvalidDatasetError:
            await threads.run(dataset_fields, blobs.verify, dataset, preprocessing)
            raise
