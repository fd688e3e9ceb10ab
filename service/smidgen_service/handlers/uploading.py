"""The part that uploads of models and datasets share: ticket, file, check, blob, row."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from smidgen.errors import SmidgenError
from smidgen_service import names
from smidgen_service.clock import Clock
from smidgen_service.errors import InvalidArgumentError, TooLargeError
from smidgen_service.handlers.receiving import Chunk, UploadReceiver, UploadTicket
from smidgen_service.metrics import Metrics
from smidgen_service.quotas import Quotas
from smidgen_service.store import idempotency, uploads
from smidgen_service.store.store import Store
from smidgen_service.threads import Threads

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UploadKind(Generic[T]):
    """How a kind of file becomes a resource.

    Attributes:
        label: Format of the file in metrics.
        name: Resource name that it gets.
        most_bytes: Largest size taken.
        check_free: Raises inside a transaction where the id is taken.
        inspect: Reads the file and returns its record, or raises.
        insert: Adds the record's rows.
        fetch: Returns the stored record.
    """

    label: str
    name: str
    most_bytes: int
    check_free: Callable[[sqlite3.Connection], None]
    inspect: Callable[[Path], Awaitable[T]]
    insert: Callable[[sqlite3.Connection, T], None]
    fetch: Callable[[sqlite3.Connection], T]


class Uploader:
    """Turns streams of chunks into stored resources."""

    def __init__(
        self,
        store: Store,
        receiver: UploadReceiver,
        threads: Threads,
        metrics: Metrics,
        *,
        quotas: Quotas,
        clock: Clock,
    ) -> None:
        self._quotas = quotas
        self._store = store
        self._database = store.database
        self._blobs = store.blobs
        self._receiver = receiver
        self._threads = threads
        self._metrics = metrics
        self._clock = clock

    async def upload(
        self,
        kind: UploadKind[T],
        ticket: UploadTicket,
        chunks: AsyncIterator[Chunk],
        *,
        validate_only: bool,
    ) -> T:
        """Receives, checks and stores a file, or returns what an earlier call stored."""
        try:
            return await self._upload(kind, ticket, chunks, validate_only=validate_only)
        except SmidgenError as error:
            self._metrics.upload_rejected.labels(kind.label, error.reason).inc()
            raise

    async def _upload(
        self,
        kind: UploadKind[T],
        ticket: UploadTicket,
        chunks: AsyncIterator[Chunk],
        *,
        validate_only: bool,
    ) -> T:
        def look(tx: sqlite3.Connection) -> T | None:
            earlier = _find(tx, kind, ticket)
            if earlier is None:
                _check_ticket(kind, ticket)
                kind.check_free(tx)
                self._quotas.check_bytes(tx)
            return earlier

        upload_id = ticket.key.request_id if ticket.key is not None else str(uuid.uuid4())
        with self._quotas.receiving(upload_id, ticket.total_bytes):
            earlier = await self._database.read(look)
            if earlier is not None:
                return earlier
            return await self._receive(kind, ticket, chunks, validate_only=validate_only)

    async def _receive(
        self,
        kind: UploadKind[T],
        ticket: UploadTicket,
        chunks: AsyncIterator[Chunk],
        *,
        validate_only: bool,
    ) -> T:
        async with self._receiver.receive(ticket, chunks) as path:
            record = await kind.inspect(path)
            if validate_only:
                return record
            # Once begun, storing runs to its end even if the client goes away meanwhile.
            return await asyncio.shield(self._keep(kind, ticket, path, record))

    async def _keep(self, kind: UploadKind[T], ticket: UploadTicket, path: Path, record: T) -> T:
        def commit(tx: sqlite3.Connection) -> T:
            # The same call may have run twice at once, where the client had given up on the first.
            earlier = _find(tx, kind, ticket)
            if earlier is not None:
                return earlier
            self._quotas.check_bytes(tx)
            kind.insert(tx, record)
            idempotency.record(tx, ticket.key, kind.name, now=self._clock())
            if ticket.key is not None:
                uploads.end(tx, uploads.key_of(ticket.key.request_id))
            return kind.fetch(tx)

        try:
            with self._blobs.pinned(ticket.sha256):
                await self._threads.run(self._blobs.adopt, path, ticket.sha256)
                return await self._database.write(commit)
        except Exception:
            await self._store.tidy({ticket.sha256})
            raise


def _find(tx: sqlite3.Connection, kind: UploadKind[T], ticket: UploadTicket) -> T | None:
    """Returns what an earlier call with the same request id stored; None if there was none."""
    if idempotency.find(tx, ticket.key) is not None:
        return kind.fetch(tx)
    return None


def _check_ticket(kind: UploadKind[T], ticket: UploadTicket) -> None:
    names.check_sha256(ticket.sha256)
    if ticket.total_bytes < 1:
        raise InvalidArgumentError(
            f"total_bytes is {ticket.total_bytes}, expected the size of the file, at least 1",
            field="total_bytes",
            reason="INVALID_TOTAL_BYTES",
        )
    if ticket.total_bytes > kind.most_bytes:
        raise TooLargeError(
            f"the file has {ticket.total_bytes} bytes, this server takes at most {kind.most_bytes}",
            field="total_bytes",
            found=ticket.total_bytes,
            most=kind.most_bytes,
        )
