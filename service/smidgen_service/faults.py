"""Faults of this program: their text goes to the log, an id to the outside."""

from __future__ import annotations

import errno
import logging
import sqlite3
import uuid

from smidgen.errors import SmidgenError
from smidgen_service.errors import InternalError, StorageFullError
from smidgen_service.logs import log


def hide(error: BaseException, event: str, **fields: str) -> SmidgenError:
    """Logs an unexpected error and returns one that may be shown."""
    full = storage_error(error)
    if full is not None:
        log("storage_full", level=logging.ERROR, error=error, during=event, **fields)
        return full
    error_id = new_error_id()
    log(event, level=logging.ERROR, error=error, error_id=error_id, **fields)
    return InternalError(error_id)


def storage_error(error: BaseException) -> StorageFullError | None:
    """Returns the error to show where a full disk is the cause, None where something else is."""
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        is_full = code == sqlite3.SQLITE_FULL
    return StorageFullError() if is_full else None


def new_error_id() -> str:
    """Returns the word that ties an answer to the log."""
    return uuid.uuid4().hex[:16]
