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
from smidgen_service.store.records import UploadKey, UploadRecord
from smidgen_service.store.tenancy import current_tenant

_PARTIAL = ".partial"
_TEMPORARY = ".tmp"


class UploadFiles:
    """The directory of files that are being received."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def partial(self, key: UploadKey) -> Path:
        """Returns where the bytes of a named upload wait to be continued."""
        return self._root / f"{key.tenant}.{key.request_id}{_PARTIAL}"

    def temporary(self) -> Path:
        """Returns a new path for an upload that cannot be continued."""
        return self._root / f"{uuid.uuid4()}{_TEMPORARY}"

    def committed_bytes(self, key: UploadKey) -> int:
        """Returns how many bytes of an upload are on disk, after putting them there."""
        try:
            descriptor = os.open(self.partial(key), os.O_RDONLY)
        except FileNotFoundError:
            return 0
        try:
            size = os.fstat(descriptor).st_size
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return size

    def sweep(self, keys: set[UploadKey]) -> int:
        """Removes every file that belongs to none of these uploads; returns how many."""
        keep = {self.partial(key) for key in keys}
        stale = [path for path in self._root.iterdir() if path not in keep]
        for path in stale:
            path.unlink()
        return len(stale)


def begin(
    tx: sqlite3.Connection, key: RequestKey, *, total_bytes: int, now: int, expire_time: int
) -> None:
    """Notes that an upload has begun, or goes on."""
    tx.execute(
        "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (tenant, request_id) DO UPDATE SET expire_time = excluded.expire_time",
        (
            current_tenant(),
            key.request_id,
            key.method,
            key.body_sha256,
            total_bytes,
            now,
            expire_time,
        ),
    )


def key_of(request_id: str) -> UploadKey:
    """Returns what names an upload of the caller among those of all tenants."""
    return UploadKey(current_tenant(), request_id)


def find(tx: sqlite3.Connection, request_id: str) -> UploadRecord | None:
    """Returns an upload without its committed bytes, None if there is none."""
    row = tx.execute(
        "SELECT * FROM uploads WHERE tenant = ? AND request_id = ?",
        (current_tenant(), request_id),
    ).fetchone()
    return UploadRecord(**dict(row)) if row is not None else None


def get(tx: sqlite3.Connection, request_id: str, files: UploadFiles) -> UploadRecord:
    """Returns an upload.

    Raises:
        NotFoundError: there is none, or it has completed.
    """
    upload = find(tx, request_id)
    if upload is None:
        raise NotFoundError("upload", names.upload_name(request_id))
    return replace(upload, committed_bytes=files.committed_bytes(key_of(request_id)))


def end(tx: sqlite3.Connection, key: UploadKey) -> None:
    """Forgets an upload of any tenant."""
    tx.execute(
        "DELETE FROM uploads WHERE tenant = ? AND request_id = ?", (key.tenant, key.request_id)
    )


def expired(tx: sqlite3.Connection, now: int) -> set[UploadKey]:
    """Returns the uploads of all tenants whose time is over."""
    rows = tx.execute("SELECT tenant, request_id FROM uploads WHERE expire_time < ?", (now,))
    return {UploadKey(*row) for row in rows}


def beyond(tx: sqlite3.Connection, most: int) -> set[UploadKey]:
    """Returns the oldest uploads of each tenant beyond its newest `most`."""
    rows = tx.execute(
        "SELECT tenant, request_id FROM (SELECT tenant, request_id, ROW_NUMBER() OVER"
        " (PARTITION BY tenant ORDER BY expire_time DESC, request_id) AS place FROM uploads)"
        " WHERE place > ?",
        (most,),
    )
    return {UploadKey(*row) for row in rows}


def forget_expired(tx: sqlite3.Connection, now: int) -> set[UploadKey]:
    """Forgets uploads of all tenants whose time is over and returns all others."""
    tx.execute("DELETE FROM uploads WHERE expire_time < ?", (now,))
    return {UploadKey(*row) for row in tx.execute("SELECT tenant, request_id FROM uploads")}
