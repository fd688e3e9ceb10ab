"""Receiving a file in chunks: checked against its header, kept if the stream breaks."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from smidgen_service.clock import Clock
from smidgen_service.errors import (
    ConflictError,
    DeadlineError,
    RequestIdReusedError,
    UploadError,
)
from smidgen_service.handlers.streams import StreamReader
from smidgen_service.store import uploads
from smidgen_service.store.database import Database
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.records import UploadKey, UploadRecord
from smidgen_service.store.uploads import UploadFiles
from smidgen_service.threads import Threads

MOST_CHUNK_BYTES = 1 << 20
_MICRO = 1_000_000
_READ_BYTES = 1 << 20
_TAKE_OVER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a file, from byte `offset` on."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class UploadTicket:
    """What the header promised.

    Attributes:
        total_bytes: Size of the file.
        sha256: Its digest.
        key: Request id of the call; None for an upload that cannot be continued.
    """

    total_bytes: int
    sha256: str
    key: RequestKey | None


class UploadReceiver:
    """Receives files into the directory of uploads."""

    def __init__(
        self,
        database: Database,
        files: UploadFiles,
        threads: Threads,
        stream: StreamReader,
        *,
        ttl_s: int,
        most_broken: int,
        clock: Clock,
    ) -> None:
        self._database = database
        self._files = files
        self._threads = threads
        self._stream = stream
        self._ttl_us = ttl_s * _MICRO
        self._most_broken = most_broken
        self._clock = clock
        self._active: set[UploadKey] = set()

    async def status(self, request_id: str) -> UploadRecord:
        """Returns how far an upload has come.

        Raises:
            NotFoundError: there is none, or it has completed.
        """
        return await self._database.read(lambda tx: uploads.get(tx, request_id, self._files))

    async def recover(self) -> None:
        """Removes expired uploads, and files that belong to none."""
        now = self._clock()
        known = await self._database.write_reserved(lambda tx: uploads.forget_expired(tx, now))
        await self._threads.run(self._files.sweep, known)

    async def drop_stale(self) -> int:
        """Drops uploads that nobody continued in time, and the oldest of tenants with too many.

        Returns:
            How many.
        """
        return await self._drop_stale(self._clock(), self._most_broken + len(self._active))

    @asynccontextmanager
    async def receive(
        self, ticket: UploadTicket, chunks: AsyncIterator[Chunk]
    ) -> AsyncIterator[Path]:
        """Yields the complete file, with the promised size and digest.

        Whoever takes the file moves it away; otherwise it is removed with the block. Where the
        stream breaks or the call is cancelled, an upload with a key stays to be continued.

        Raises:
            UploadError: the bytes are not what the ticket says.
            ConflictError: the same upload is being received in another call.
            RequestIdReusedError: the key belongs to another upload.
        """
        key = ticket.key
        upload = uploads.key_of(key.request_id) if key is not None else None
        path = self._files.temporary()
        if upload is not None:
            path = self._files.partial(upload)
            await self._take(upload)
        is_kept = False
        try:
            if key is not None:
                await self._begin(key, ticket.total_bytes)
            await self._fill(path, ticket, chunks)
            yield path
        except (asyncio.CancelledError, DeadlineError, _WrongOffset, RequestIdReusedError):
            is_kept = key is not None
            raise
        finally:
            if not is_kept and path.exists():
                await self._discard(path, upload)
            if upload is not None:
                self._active.discard(upload)

    async def _take(self, upload: UploadKey) -> None:
        """Makes this call the only one that receives an upload.

        A client may be back before the end of its broken stream has been noticed here.
        """
        deadline_s = time.monotonic() + _TAKE_OVER_SECONDS
        while upload in self._active:
            if time.monotonic() > deadline_s:
                raise ConflictError(
                    f"upload {upload.request_id} is being received in another call; "
                    "wait for that to end, then ask GetUpload and continue",
                    reason="UPLOAD_IN_PROGRESS",
                    request_id=upload.request_id,
                )
            await asyncio.sleep(_TAKE_OVER_SECONDS / 20)
        self._active.add(upload)

    async def _begin(self, key: RequestKey, total_bytes: int) -> None:
        now = self._clock()
        expire_time = now + self._ttl_us
        # Of those that are active this one alone is not stored yet.
        await self._drop_stale(now, self._most_broken + len(self._active) - 1)
        earlier = await self._database.read(lambda tx: uploads.find(tx, key.request_id))
        if earlier is not None and (earlier.method, earlier.body_sha256) != (
            key.method,
            key.body_sha256,
        ):
            raise RequestIdReusedError(key.request_id)
        await self._database.write(
            lambda tx: uploads.begin(
                tx, key, total_bytes=total_bytes, now=now, expire_time=expire_time
            )
        )

    async def _drop_stale(self, now: int, most: int) -> int:
        stale = await self._database.read(
            lambda tx: uploads.expired(tx, now) | uploads.beyond(tx, most)
        )
        idle = stale - self._active
        for upload in idle:
            await self._discard(self._files.partial(upload), upload)
        return len(idle)

    async def _fill(self, path: Path, ticket: UploadTicket, chunks: AsyncIterator[Chunk]) -> None:
        sink = await self._threads.run(_Sink, path, self._database.check_room)
        try:
            async for chunk in self._stream.read(chunks):
                _check_chunk(chunk, sink.size, ticket.total_bytes)
                await self._threads.run(sink.append, chunk.data)
            if sink.size < ticket.total_bytes:
                raise UploadError(
                    f"the stream ended after {sink.size} of {ticket.total_bytes} bytes; "
                    "send the whole file",
                    reason="UPLOAD_TRUNCATED",
                    received_bytes=sink.size,
                    total_bytes=ticket.total_bytes,
                )
            if sink.sha256 != ticket.sha256:
                raise UploadError(
                    f"the file received has digest {sink.sha256}, its header said {ticket.sha256}; "
                    "send it again",
                    reason="UPLOAD_DIGEST_MISMATCH",
                    found=sink.sha256,
                    expected=ticket.sha256,
                )
        finally:
            # Flushing a large file takes seconds. Shielded, as the call may be cancelled again.
            await asyncio.shield(self._threads.run(sink.close))

    async def _discard(self, path: Path, upload: UploadKey | None) -> None:
        path.unlink(missing_ok=True)
        if upload is not None:
            await self._database.write_reserved(lambda tx: uploads.end(tx, upload))


class _WrongOffset(UploadError):
    """A chunk does not follow the bytes received; what is there stays."""


class _Sink:
    """An open file that continues where an earlier stream broke off.

    Args:
        path: The file.
        check_room: Raises where no room may be taken.
    """

    def __init__(self, path: Path, check_room: Callable[[], None]) -> None:
        self._check_room = check_room
        self._digest = hashlib.sha256()
        self.size = 0
        self._file = path.open("ab+")
        self._file.seek(0)
        while data := self._file.read(_READ_BYTES):
            self._digest.update(data)
            self.size += len(data)

    def append(self, data: bytes) -> None:
        self._check_room()
        self._file.write(data)
        self._file.flush()
        self._digest.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def close(self) -> None:
        with self._file:
            os.fsync(self._file.fileno())


def _check_chunk(chunk: Chunk, received: int, total_bytes: int) -> None:
    if chunk.offset != received:
        raise _WrongOffset(
            f"chunk has offset {chunk.offset}, expected {received}, the number of bytes received",
            reason="UPLOAD_OFFSET_MISMATCH",
            field="chunk.offset",
            found=chunk.offset,
            expected=received,
        )
    if not 1 <= len(chunk.data) <= MOST_CHUNK_BYTES:
        raise UploadError(
            f"chunk has {len(chunk.data)} bytes, expected 1 to {MOST_CHUNK_BYTES}",
            reason="UPLOAD_CHUNK_SIZE",
            field="chunk.data",
            found=len(chunk.data),
        )
    if received + len(chunk.data) > total_bytes:
        raise UploadError(
            f"chunk ends at byte {received + len(chunk.data)} of a file whose header said "
            f"{total_bytes} bytes",
            reason="UPLOAD_LENGTH_MISMATCH",
            field="chunk.data",
            total_bytes=total_bytes,
        )
