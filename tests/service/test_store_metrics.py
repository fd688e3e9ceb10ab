"""Times and errors of a real store."""

from __future__ import annotations

import errno
import hashlib
import sqlite3
from pathlib import Path

import pytest

from smidgen_service.errors import DataLossError, NotFoundError
from smidgen_service.metrics import Metrics
from smidgen_service.store import jobs
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.database import Database
from smidgen_service.store_metrics import KINDS, StoreMetrics


def errors(metrics: Metrics) -> dict[tuple[str, str], float]:
    found = {
        (op, kind): metrics.registry.get_sample_value(
            "smidgen_store_errors_total", {"op": op, "kind": kind}
        )
        for op in ("read", "write", "verify", "adopt")
        for kind in KINDS
    }
    assert None not in found.values()  # all are shown from the start on
    return {key: value for key, value in found.items() if value}


def count(metrics: Metrics, op: str) -> float | None:
    return metrics.registry.get_sample_value("smidgen_store_op_seconds_count", {"op": op})


def test_damaged_and_missing_files_are_counted(tmp_path: Path) -> None:
    metrics = Metrics()
    blobs = BlobStore(tmp_path / "blobs", StoreMetrics(metrics))
    source, sha256 = tmp_path / "source", hashlib.sha256(b"bytes").hexdigest()
    source.write_bytes(b"bytes")
    path = blobs.adopt(source, sha256)
    blobs.verify(sha256)
    assert errors(metrics) == {}
    path.chmod(0o644)
    path.write_bytes(b"other")
    with pytest.raises(DataLossError):
        blobs.verify(sha256)
    path.unlink()
    with pytest.raises(DataLossError):
        blobs.verify(sha256)
    assert errors(metrics) == {("verify", "hash_mismatch"): 1, ("verify", "missing"): 1}
    assert (count(metrics, "adopt"), count(metrics, "verify")) == (1, 3)


async def test_rows_and_what_goes_wrong_with_them_are_counted(tmp_path: Path) -> None:
    metrics = Metrics()
    database = await Database(tmp_path / "db", watch=StoreMetrics(metrics)).open()

    def fail(error: Exception) -> None:
        raise error

    def of_sqlite(code: int) -> sqlite3.Error:
        error = sqlite3.OperationalError("text that stays inside")
        error.sqlite_errorcode = code
        return error

    await database.write(lambda tx: tx.execute("DELETE FROM jobs").rowcount)
    with pytest.raises(NotFoundError):  # which is no fault of the store
        await database.read(lambda tx: jobs.get(tx, "absent"))
    assert errors(metrics) == {}
    for error in (
        OSError(errno.ENOSPC, "full"),
        of_sqlite(sqlite3.SQLITE_IOERR),
        of_sqlite(sqlite3.SQLITE_CORRUPT),
    ):
        with pytest.raises(type(error)):
            await database.write(lambda _tx, error=error: fail(error))
    assert errors(metrics) == {
        ("write", "full"): 1,
        ("write", "fault"): 1,
        ("write", "database_damaged"): 1,
    }
    assert (count(metrics, "write"), count(metrics, "read")) == (4, 1)
    await database.close()
