"""Which rows refer to which blobs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from smidgen_service import names
from smidgen_service.store.tenancy import qualified

_REFERENCES = (
    "SELECT sha256 FROM models UNION SELECT sha256 FROM versions"
    " UNION SELECT sha256 FROM dataset_files"
    " UNION SELECT result_sha256 FROM jobs WHERE result_sha256 IS NOT NULL"
)


def is_referenced(tx: sqlite3.Connection, sha256: str) -> bool:
    """Tells whether any row needs a blob."""
    row = tx.execute(f"SELECT 1 FROM ({_REFERENCES}) WHERE sha256 = ?", (sha256,)).fetchone()
    return row is not None


def references(tx: sqlite3.Connection) -> set[str]:
    """Returns the digests of all blobs that any row needs."""
    return {row[0] for row in tx.execute(_REFERENCES)}


def unserved(tx: sqlite3.Connection, digests: Iterable[str]) -> set[str]:
    """Returns those of some artifacts that answer no request which names no version by number.

    Those that do are the newest of a model, or have an alias; of whatever tenant, since equal
    artifacts are one. Models that were taken out of service answer none.
    """
    served = (
        "SELECT 1 FROM versions WHERE sha256 = ? AND NOT EXISTS (SELECT 1 FROM unloaded_models"
        " WHERE tenant = versions.tenant AND model_id = versions.model_id)"
        " AND (EXISTS (SELECT 1 FROM aliases"
        " WHERE tenant = versions.tenant AND model_id = versions.model_id"
        " AND version = versions.version) OR version = (SELECT MAX(version) FROM versions AS others"
        " WHERE others.tenant = versions.tenant AND others.model_id = versions.model_id))"
    )
    return {sha256 for sha256 in digests if tx.execute(served, (sha256,)).fetchone() is None}


def referrers(tx: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Yields the name of each row of any tenant that needs a blob, and the blob's digest."""
    for row in tx.execute("SELECT tenant, id, sha256 FROM models"):
        yield qualified(row[0], names.model_name(row[1])), row[2]
    for row in tx.execute("SELECT tenant, model_id, version, sha256 FROM versions"):
        yield qualified(row[0], names.version_name(row[1], row[2])), row[3]
    for row in tx.execute("SELECT DISTINCT tenant, dataset_id, sha256 FROM dataset_files"):
        yield qualified(row[0], names.dataset_name(row[1])), row[2]
    results = "SELECT tenant, id, result_sha256 FROM jobs WHERE result_sha256 IS NOT NULL"
    for row in tx.execute(results):
        yield qualified(row[0], names.job_name(row[1])), row[2]
