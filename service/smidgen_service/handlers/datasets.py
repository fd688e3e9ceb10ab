"""Datasets."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from smidgen.formats.dataset import DatasetFormat
from smidgen_service import names
from smidgen_service.clock import Clock
from smidgen_service.errors import AlreadyExistsError, FailedPreconditionError
from smidgen_service.handlers.inspection import DatasetInspector
from smidgen_service.handlers.models import in_use
from smidgen_service.handlers.receiving import Chunk, UploadTicket
from smidgen_service.handlers.shards import DatasetCreation, check_count, joined
from smidgen_service.handlers.uploading import Uploader, UploadKind
from smidgen_service.store import datasets, idempotency, jobs
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.paging import Page, PageTokens
from smidgen_service.store.records import DatasetRecord
from smidgen_service.store.store import Store


@dataclass(frozen=True, slots=True)
class DatasetUpload:
    """The header of an upload."""

    dataset_id: str
    format: DatasetFormat
    ticket: UploadTicket
    validate_only: bool


class DatasetHandler:
    """What DatasetService does."""

    def __init__(
        self,
        store: Store,
        uploader: Uploader,
        tokens: PageTokens,
        *,
        inspector: DatasetInspector,
        most_bytes: int,
        clock: Clock,
    ) -> None:
        self._store = store
        self._database = store.database
        self._uploader = uploader
        self._tokens = tokens
        self._inspector = inspector
        self._most_bytes = most_bytes
        self._clock = clock

    async def upload(self, header: DatasetUpload, chunks: AsyncIterator[Chunk]) -> DatasetRecord:
        """Receives, checks and stores a dataset."""
        dataset_id = names.check_id(header.dataset_id, field="dataset_id")

        kind = UploadKind(
            label=header.format.value,
            name=names.dataset_name(dataset_id),
            most_bytes=self._most_bytes,
            check_free=lambda tx: _check_free(tx, dataset_id),
            inspect=lambda path: self._inspect(header, path),
            insert=datasets.insert,
            fetch=lambda tx: datasets.get(tx, dataset_id),
        )
        return await self._uploader.upload(
            kind, header.ticket, chunks, validate_only=header.validate_only
        )

    async def create(self, request: DatasetCreation) -> DatasetRecord:
        """Makes a dataset of stored ones; nothing is copied.

        Raises:
            NotFoundError: a shard does not exist.
            AlreadyExistsError: the id is taken.
            InvalidDatasetError: the shards do not go together.
            FailedPreconditionError: a shard was replaced by another of its name meanwhile.
        """
        dataset_id = names.check_id(request.dataset_id, field="dataset_id")
        check_count(len(request.shard_ids))

        def look(tx: sqlite3.Connection) -> DatasetRecord | list[DatasetRecord]:
            if idempotency.find(tx, request.key) is not None:
                return datasets.get(tx, dataset_id)
            _check_free(tx, dataset_id)
            return [datasets.get(tx, shard_id) for shard_id in request.shard_ids]

        found = await self._database.read(look)
        if isinstance(found, DatasetRecord):
            return found
        dataset = joined(dataset_id, found, now=self._clock())
        await self._inspector.check_joined(self._store.blobs, dataset)

        def commit(tx: sqlite3.Connection) -> DatasetRecord:
            # Read again: a repeated call may have been quicker, and the shards may be gone.
            now = look(tx)
            if isinstance(now, DatasetRecord):
                return now
            if now != found:
                raise FailedPreconditionError(
                    "a shard was replaced while the request was checked; send it again",
                    reason="INPUTS_REPLACED",
                    resource_name=names.dataset_name(dataset_id),
                )
            if not request.validate_only:
                datasets.insert(tx, dataset)
                name = names.dataset_name(dataset_id)
                idempotency.record(tx, request.key, name, now=dataset.create_time)
            return dataset

        return await self._database.write(commit)

    async def get(self, dataset_id: str) -> DatasetRecord:
        """Returns a dataset."""
        return await self._database.read(lambda tx: datasets.get(tx, dataset_id))

    async def list(self, *, page_size: int, page_token: str) -> Page[DatasetRecord]:
        """Returns a page of datasets."""
        request = self._tokens.request("datasets", page_size=page_size, page_token=page_token)
        part = await self._database.read(lambda tx: datasets.select(tx, request))
        return self._tokens.page("datasets", part)

    async def delete(self, dataset_id: str, key: RequestKey | None, *, validate_only: bool) -> None:
        """Deletes a dataset.

        Raises:
            NotFoundError: there is none.
            FailedPreconditionError: a job is using it.
        """

        def work(tx: sqlite3.Connection) -> set[str]:
            if idempotency.find(tx, key) is not None:
                return set()
            dataset = datasets.get(tx, dataset_id)
            user = jobs.active_user_of_dataset(tx, dataset_id)
            if user is not None:
                raise in_use("dataset", names.dataset_name(dataset_id), user)
            if validate_only:
                return set()
            idempotency.record(tx, key, names.dataset_name(dataset_id), now=self._clock())
            datasets.delete(tx, dataset_id)
            return set(dataset.digests)

        digests = await self._database.write_reserved(work)
        if digests:
            await self._store.tidy(digests)

    async def _inspect(self, header: DatasetUpload, path: Path) -> DatasetRecord:
        facts = await self._inspector.inspect(path, header.format)
        return DatasetRecord(
            id=header.dataset_id,
            format=header.format,
            sha256=header.ticket.sha256,
            size_bytes=header.ticket.total_bytes,
            sample_count=facts.sample_count,
            arrays=facts.arrays,
            create_time=self._clock(),
        )


def _check_free(tx: sqlite3.Connection, dataset_id: str) -> None:
    if datasets.exists(tx, dataset_id):
        raise AlreadyExistsError("dataset", names.dataset_name(dataset_id))
