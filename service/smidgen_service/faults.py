"""Faults of this program: their text goes to the log, an id to the outside."""

from __future__ import annotations

import logging
import uuid

from smidgen_service.errors import InternalError
from smidgen_service.logs import log


def hide(error: BaseException, event: str, **fields: str) -> InternalError:
    """Logs an unexpected error and returns one that may be shown."""
    error_id = new_error_id()
    log(event, level=logging.ERROR, error=error, error_id=error_id, **fields)
    return InternalError(error_id)


def new_error_id() -> str:
    """Returns the word that ties an answer to the log."""
    return uuid.uuid4().hex[:16]
