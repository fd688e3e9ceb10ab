"""Which rows refer to which blobs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from smidgen_service import names

_REFERENCES = (
    "SELECT sha256 FROM models UNION SELECT sha256 FROM versions"
    " UNION SELECT sha256 FROM datasets"
    " UNION SELECT result_sha256 FROM jobs WHERE result_sha256 IS NOT NULL"
)


def is_referenced(tx: sqlite3.Connection, sha256: str) -> bool:
    """Tells whether any row needs a blob."""
    row = tx.execute(f"SELECT 1 FROM ({_REFERENCES}) WHERE sha256 = ?", (sha256,)).fetchone()
    return row is not None


def references(tx: sqlite3.Connection) -> set[str]:
    """Returns the digests of all blobs that any row needs."""
    return {row[0] for row in tx.execute(_REFERENCES)}


def referrers(tx: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Yields the resource name of each row that needs a blob, and the blob's digest."""
    for row in tx.execute("SELECT id, sha256 FROM models"):
        yield names.model_name(row[0]), row[1]
    for row in tx.execute("SELECT model_id, version, sha256 FROM versions"):
        yield names.version_name(row[0], row[1]), row[2]
    for row in tx.execute("SELECT id, sha256 FROM datasets"):
        yield names.dataset_name(row[0]), row[1]
    for row in tx.execute("SELECT id, result_sha256 FROM jobs WHERE result_sha256 IS NOT NULL"):
        yield names.job_name(row[0]), row[1]
