"""Uploads that have begun: a row each, and the bytes so far in a file of their own."""

from __future__ import annotations

import os
import sqlite3
import uuid
from dataclasses import replace
from pathlib import Path

from smidgen_service import names
from smidgen_service.errors import NotFoundError
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.records import UploadRecord

_PARTIAL = ".partial"
_TEMPORARY = ".tmp"


class UploadFiles:
    """The directory of files that are being received."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def partial(self, request_id: str) -> Path:
        """Returns where the bytes of a named upload wait to be continued."""
        return self._root / f"{request_id}{_PARTIAL}"

    def temporary(self) -> Path:
        """Returns a new path for an upload that cannot be continued."""
        return self._root / f"{uuid.uuid4()}{_TEMPORARY}"

    def committed_bytes(self, request_id: str) -> int:
        """Returns how many bytes of an upload are on disk, after putting them there."""
        try:
            descriptor = os.open(self.partial(request_id), os.O_RDONLY)
        except FileNotFoundError:
            return 0
        try:
            size = os.fstat(descriptor).st_size
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return size

    def sweep(self, request_ids: set[str]) -> int:
        """Removes every file that belongs to none of these uploads; returns how many."""
        keep = {self.partial(request_id) for request_id in request_ids}
        stale = [path for path in self._root.iterdir() if path not in keep]
        for path in stale:
            path.unlink()
        return len(stale)


def begin(
    tx: sqlite3.Connection, key: RequestKey, *, total_bytes: int, now: int, expire_time: int
) -> None:
    """Notes that an upload has begun, or goes on."""
    tx.execute(
        "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (request_id) DO UPDATE SET expire_time = excluded.expire_time",
        (key.request_id, key.method, key.body_sha256, total_bytes, now, expire_time),
    )


def find(tx: sqlite3.Connection, request_id: str) -> UploadRecord | None:
    """Returns an upload without its committed bytes, None if there is none."""
    row = tx.execute("SELECT * FROM uploads WHERE request_id = ?", (request_id,)).fetchone()
    return UploadRecord(**dict(row)) if row is not None else None


def get(tx: sqlite3.Connection, request_id: str, files: UploadFiles) -> UploadRecord:
    """Returns an upload.

    Raises:
        NotFoundError: there is none, or it has completed.
    """
    upload = find(tx, request_id)
    if upload is None:
        raise NotFoundError("upload", names.upload_name(request_id))
    return replace(upload, committed_bytes=files.committed_bytes(request_id))


def end(tx: sqlite3.Connection, request_id: str) -> None:
    """Forgets an upload."""
    tx.execute("DELETE FROM uploads WHERE request_id = ?", (request_id,))


def expired(tx: sqlite3.Connection, now: int) -> set[str]:
    """Returns the ids of uploads whose time is over."""
    rows = tx.execute("SELECT request_id FROM uploads WHERE expire_time < ?", (now,))
    return {row[0] for row in rows}


def beyond(tx: sqlite3.Connection, most: int) -> set[str]:
    """Returns the ids of the oldest uploads beyond the newest `most`."""
    rows = tx.execute(
        "SELECT request_id FROM uploads ORDER BY expire_time DESC, request_id LIMIT -1 OFFSET ?",
        (most,),
    )
    return {row[0] for row in rows}


def forget_expired(tx: sqlite3.Connection, now: int) -> set[str]:
    """Forgets uploads whose time is over and returns the ids of all others."""
    tx.execute("DELETE FROM uploads WHERE expire_time < ?", (now,))
    return {row[0] for row in tx.execute("SELECT request_id FROM uploads")}
