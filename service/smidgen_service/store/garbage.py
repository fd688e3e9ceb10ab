"""Rows of blobs that nothing refers to any more, each with the time at which that was noticed."""

from __future__ import annotations

import sqlite3


def note(tx: sqlite3.Connection, sha256: str, *, now: int) -> int:
    """Notes that nothing refers to a blob; returns since when, in microseconds since 1970 UTC.

    A time in the future, which a clock that was put back leaves, counts as now.
    """
    tx.execute(
        "INSERT INTO garbage VALUES (:sha256, :now)"
        " ON CONFLICT (sha256) DO UPDATE SET since = min(since, :now)",
        {"sha256": sha256, "now": now},
    )
    row = tx.execute("SELECT since FROM garbage WHERE sha256 = ?", (sha256,)).fetchone()
    return int(row[0])


def forget(tx: sqlite3.Connection, sha256: str) -> None:
    """Drops the note about a blob that is gone, or needed again."""
    tx.execute("DELETE FROM garbage WHERE sha256 = ?", (sha256,))


def noted(tx: sqlite3.Connection) -> set[str]:
    """Returns the digests of all blobs that are noted."""
    return {row[0] for row in tx.execute("SELECT sha256 FROM garbage")}
