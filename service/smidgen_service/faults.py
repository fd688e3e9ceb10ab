"""Faults of this program: their text goes to the log, an id to the outside."""

from __future__ import annotations

import errno
import logging
import sqlite3
import uuid

from smidgen.errors import SmidgenError
from smidgen_service.errors import (
    DataLossError,
    InternalError,
    StorageFaultError,
    StorageFullError,
)
from smidgen_service.logs import log

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FAULTS = (errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ESTALE)
_SQLITE_FAULTS = {
    sqlite3.SQLITE_IOERR: "EIO",
    sqlite3.SQLITE_CANTOPEN: "CANTOPEN",
    sqlite3.SQLITE_READONLY: "EROFS",
    sqlite3.SQLITE_BUSY: "BUSY",
    sqlite3.SQLITE_PROTOCOL: "BUSY",
}


def hide(error: BaseException, event: str, **fields: str) -> SmidgenError:
    """Logs an unexpected error and returns one that may be shown."""
    known = storage_error(error)
    if known is not None:
        name = "storage_full" if isinstance(known, StorageFullError) else "storage_fault"
        log(name, level=logging.ERROR, error=error, during=event, **fields)
        return known
    error_id = new_error_id()
    log(event, level=logging.ERROR, error=error, error_id=error_id, **fields)
    return InternalError(error_id)


def storage_error(error: BaseException) -> SmidgenError | None:
    """Returns the error to show where the disk is the cause, None where something else is."""
    if isinstance(error, StorageFullError):
        return error
    if isinstance(error, sqlite3.Error):
        return _sqlite_error(getattr(error, "sqlite_errorcode", None) or 0)
    if isinstance(error, OSError) and error.errno in _FULL:
        return StorageFullError()
    if isinstance(error, OSError) and error.errno in _FAULTS:
        return StorageFaultError(errno.errorcode[error.errno])
    return None


def _sqlite_error(code: int) -> SmidgenError | None:
    primary = code & 0xFF  # the rest of an extended code tells which call failed
    if primary == sqlite3.SQLITE_FULL:
        return StorageFullError()
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DataLossError(
            "the server's database is damaged; restore the data directory from a backup",
            reason="DATABASE_DAMAGED",
        )
    cause = _SQLITE_FAULTS.get(primary)
    return None if cause is None else StorageFaultError(cause)


def new_error_id() -> str:
    """Returns the word that ties an answer to the log."""
    return uuid.uuid4().hex[:16]
