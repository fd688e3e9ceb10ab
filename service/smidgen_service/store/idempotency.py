"""Request ids: the same call sent twice by a tenant has its effect once."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from smidgen_service.errors import RequestIdReusedError
from smidgen_service.store.tenancy import current_tenant


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What makes two calls the same one.

    Attributes:
        method: The RPC; ids of different methods do not meet.
        request_id: The client's UUID.
        body_sha256: Digest of the request.
    """

    method: str
    request_id: str
    body_sha256: str


def find(tx: sqlite3.Connection, key: RequestKey | None) -> str | None:
    """Returns the result of an earlier call with the same id, None if there was none.

    Raises:
        RequestIdReusedError: the earlier call had another body.
    """
    if key is None:
        return None
    row = tx.execute(
        "SELECT body_sha256, result FROM requests"
        " WHERE tenant = ? AND method = ? AND request_id = ?",
        (current_tenant(), key.method, key.request_id),
    ).fetchone()
    if row is None:
        return None
    if row["body_sha256"] != key.body_sha256:
        raise RequestIdReusedError(key.request_id)
    return str(row["result"])


def record(tx: sqlite3.Connection, key: RequestKey | None, result: str, *, now: int) -> None:
    """Notes the result in the transaction of its effect."""
    if key is not None:
        tx.execute(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?)",
            (current_tenant(), key.method, key.request_id, key.body_sha256, result, now),
        )


def is_known(tx: sqlite3.Connection, method: str, request_id: str) -> bool:
    """Tells whether a call with this id has had its effect."""
    row = tx.execute(
        "SELECT 1 FROM requests WHERE tenant = ? AND method = ? AND request_id = ?",
        (current_tenant(), method, request_id),
    ).fetchone()
    return row is not None


def forget_before(tx: sqlite3.Connection, time: int) -> None:
    """Drops ids of all tenants that are older than a time."""
    tx.execute("DELETE FROM requests WHERE create_time < ?", (time,))
