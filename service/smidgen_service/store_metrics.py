"""What the store tells the metrics."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from smidgen_service.errors import DataLossError, StorageFaultError, StorageFullError
from smidgen_service.faults import storage_error
from smidgen_service.metrics import Metrics
from smidgen_service.store.watching import StoreOp

KINDS = ("full", "fault", "missing", "hash_mismatch", "database_damaged")
_DATA_LOSS = {
    "STORED_BYTES_MISSING": "missing",
    "DATABASE_DAMAGED": "database_damaged",
}


class StoreMetrics:
    """Times operations, and counts errors that are about the disk or what is on it."""

    def __init__(self, metrics: Metrics) -> None:
        self._seconds = {op: metrics.store_op_seconds.labels(op.value) for op in StoreOp}
        self._errors = metrics.store_errors
        for op in StoreOp:
            for kind in KINDS:
                self._errors.labels(op.value, kind)

    @contextmanager
    def watching(self, op: StoreOp) -> Iterator[None]:
        """Returns what surrounds an operation."""
        started_s = time.perf_counter()
        try:
            yield
        except BaseException as error:
            kind = _kind_of(error)
            if kind is not None:
                self._errors.labels(op.value, kind).inc()
            raise
        finally:
            self._seconds[op].observe(time.perf_counter() - started_s)


def _kind_of(error: BaseException) -> str | None:
    """Returns the kind of an error of the store; None of one that only says no."""
    known = storage_error(error) if isinstance(error, sqlite3.Error | OSError) else error
    if isinstance(known, DataLossError):
        return _DATA_LOSS.get(known.reason, "hash_mismatch")
    if isinstance(known, StorageFullError):
        return "full"
    return "fault" if isinstance(known, StorageFaultError) else None
