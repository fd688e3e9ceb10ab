"""Models, their converted versions, and the transfer of both."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from smidgen.formats.model_file import ModelFormat
from smidgen_service import names
from smidgen_service.clock import Clock
from smidgen_service.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
)
from smidgen_service.handlers.inspection import ModelInspector
from smidgen_service.handlers.receiving import Chunk, UploadTicket
from smidgen_service.handlers.swapping import Swapper
from smidgen_service.handlers.uploading import Uploader, UploadKind
from smidgen_service.handlers.versions import resolve_version
from smidgen_service.metrics import Metrics
from smidgen_service.names import VersionChoice
from smidgen_service.store import aliases, idempotency, jobs, models
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.paging import Page, PageTokens
from smidgen_service.store.records import ModelRecord, VersionRecord
from smidgen_service.store.store import Store
from smidgen_service.store.tenancy import current_tenant, metric_label
from smidgen_service.threads import Threads

_MOST_DISPLAY_NAME = 128
# What terminals obey, line ends, and what turns the direction of other text around.
_NOT_SHOWN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]")
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelUpload:
    """The header of an upload."""

    model_id: str
    display_name: str
    format: ModelFormat
    ticket: UploadTicket
    validate_only: bool


@dataclass(frozen=True, slots=True)
class ArtifactPiece:
    """A piece of an artifact file, with size and digest of the whole."""

    offset: int
    data: bytes
    total_bytes: int
    sha256: str


class ModelHandler:
    """What ModelService does."""

    def __init__(
        self,
        store: Store,
        uploader: Uploader,
        tokens: PageTokens,
        threads: Threads,
        metrics: Metrics,
        *,
        inspector: ModelInspector,
        swapper: Swapper,
        most_bytes: int,
        clock: Clock,
    ) -> None:
        self._store = store
        self._database = store.database
        self._blobs = store.blobs
        self._uploader = uploader
        self._tokens = tokens
        self._threads = threads
        self._inspector = inspector
        self._swapper = swapper
        self._metrics = metrics
        self._most_bytes = most_bytes
        self._clock = clock

    async def upload(self, header: ModelUpload, chunks: AsyncIterator[Chunk]) -> ModelRecord:
        """Receives, checks and stores a model; an artifact becomes version 1 at once."""
        model_id = names.check_id(header.model_id, field="model_id")
        _check_display_name(header.display_name)

        def check_free(tx: sqlite3.Connection) -> None:
            if models.exists(tx, model_id):
                raise AlreadyExistsError("model", names.model_name(model_id))

        kind = UploadKind(
            label=header.format.value,
            name=names.model_name(model_id),
            most_bytes=self._most_bytes,
            check_free=check_free,
            inspect=lambda path: self._inspect(header, path),
            insert=_insert,
            fetch=lambda tx: models.get(tx, model_id),
        )
        model = await self._uploader.upload(
            kind, header.ticket, chunks, validate_only=header.validate_only
        )
        if model.format is ModelFormat.ARTIFACT and not header.validate_only:
            label = metric_label(current_tenant(), model_id)
            self._metrics.artifact_bytes.labels(label, "1").set(model.size_bytes)
        return model

    async def get(self, model_id: str) -> ModelRecord:
        """Returns a model."""
        return await self._database.read(lambda tx: models.get(tx, model_id))

    async def list(self, *, page_size: int, page_token: str) -> Page[ModelRecord]:
        """Returns a page of models."""
        request = self._tokens.request("models", page_size=page_size, page_token=page_token)
        part = await self._database.read(lambda tx: models.select(tx, request))
        return self._tokens.page("models", part)

    async def delete(self, model_id: str, key: RequestKey | None, *, validate_only: bool) -> None:
        """Deletes a model, its versions and its calibrations.

        Raises:
            NotFoundError: there is none.
            FailedPreconditionError: a job is using it, or an alias points at one of its versions.
        """

        def work(tx: sqlite3.Connection) -> set[str]:
            if idempotency.find(tx, key) is not None:
                return set()
            name = models.get(tx, model_id).id
            user = jobs.active_user_of_model(tx, name)
            if user is not None:
                raise in_use("model", names.model_name(model_id), user)
            check_unnamed(tx, model_id)
            if validate_only:
                return set()
            idempotency.record(tx, key, names.model_name(model_id), now=self._clock())
            return models.delete(tx, model_id)

        digests = await self._database.write_reserved(work)
        if digests:
            await self._swapper.let_go(digests)
            await self._store.tidy(digests)
            self._metrics.forget_model(metric_label(current_tenant(), model_id))

    async def list_versions(
        self, model_id: str, *, page_size: int, page_token: str
    ) -> Page[VersionRecord]:
        """Returns a page of a model's versions."""
        collection = names.model_name(model_id) + "/versions"
        request = self._tokens.request(collection, page_size=page_size, page_token=page_token)
        await self.get(model_id)
        part = await self._database.read(lambda tx: models.select_versions(tx, model_id, request))
        return self._tokens.page(collection, part)

    async def resolve(self, model_id: str, version: VersionChoice) -> VersionRecord:
        """Returns a version, by number or alias, the newest one for None.

        Raises:
            NotFoundError: there is no such model, version or alias.
            FailedPreconditionError: the model has no version yet.
        """
        return await self._database.read(lambda tx: resolve_version(tx, model_id, version))

    async def download(
        self, model_id: str, version: VersionChoice, *, read_offset: int
    ) -> AsyncIterator[ArtifactPiece]:
        """Yields the pieces of an artifact file from an offset on.

        Raises:
            InvalidArgumentError: the offset is beyond the end.
            DataLossError: the stored bytes fail their digest.
        """
        record = await self.resolve(model_id, version)
        if not 0 <= read_offset <= record.size_bytes:
            raise InvalidArgumentError(
                f"read_offset is {read_offset}, expected 0 to {record.size_bytes}, the file's size",
                field="read_offset",
                reason="INVALID_READ_OFFSET",
            )
        with self._blobs.pinned(record.sha256):
            path = await self._threads.run(self._blobs.verify, record.sha256)
            offset = read_offset
            while True:
                data = await self._threads.run(_read_piece, path, offset)
                if data or offset == read_offset:
                    yield ArtifactPiece(offset, data, record.size_bytes, record.sha256)
                offset += len(data)
                if offset >= record.size_bytes or not data:
                    return

    async def _inspect(self, header: ModelUpload, path: Path) -> ModelRecord:
        found = await self._inspector.inspect(path, header.format)
        return ModelRecord(
            id=header.model_id,
            display_name=header.display_name,
            format=found.format,
            sha256=header.ticket.sha256,
            size_bytes=header.ticket.total_bytes,
            inputs=found.inputs,
            outputs=found.outputs,
            parameter_count=found.parameter_count,
            parameter_bytes=found.parameter_bytes,
            create_time=self._clock(),
            warnings=found.warnings,
        )


def _check_display_name(name: str) -> None:
    if len(name) > _MOST_DISPLAY_NAME:
        problem = f"has {len(name)} characters, expected at most {_MOST_DISPLAY_NAME}"
    elif (found := _NOT_SHOWN.search(name)) is not None:
        problem = f"has a control character at {found.start()} ({found[0]!a}); leave it out"
    else:
        return
    raise InvalidArgumentError(
        f"display_name {problem}", field="display_name", reason="INVALID_DISPLAY_NAME"
    )


def check_unnamed(tx: sqlite3.Connection, model_id: str) -> None:
    """Refuses to delete versions that aliases point at.

    Raises:
        FailedPreconditionError: there are aliases.
    """
    found = aliases.names_of(tx, model_id)
    if found:
        name = names.alias_name(model_id, found[0])
        others = f" and {len(found) - 1} more aliases" if len(found) > 1 else ""
        raise FailedPreconditionError(
            f"{name}{others} still point at versions of {names.model_name(model_id)}; delete "
            "the aliases first",
            reason="MODEL_HAS_ALIASES",
            resource_name=names.model_name(model_id),
            alias=name,
            alias_count=len(found),
        )


def in_use(resource: str, name: str, job_id: str) -> FailedPreconditionError:
    """Returns the error for deleting what a job is using."""
    return FailedPreconditionError(
        f"{name} is in use by {names.job_name(job_id)}; cancel that job or wait for its end",
        reason=f"{resource.upper()}_IN_USE",
        resource_name=name,
        job=names.job_name(job_id),
    )


def _insert(tx: sqlite3.Connection, model: ModelRecord) -> None:
    models.insert(tx, model)
    if model.format is ModelFormat.ARTIFACT:
        version = VersionRecord(
            model_id=model.id,
            version=1,
            sha256=model.sha256,
            size_bytes=model.size_bytes,
            inputs=model.inputs,
            outputs=model.outputs,
            create_time=model.create_time,
        )
        models.insert_version(tx, version)


def _read_piece(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(_PIECE_BYTES)
