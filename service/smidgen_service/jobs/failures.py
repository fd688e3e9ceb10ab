"""Errors on their way between processes and into the store: by class name, and back."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from smidgen.errors import SmidgenError
from smidgen_service.errors import InternalError
from smidgen_service.logs import log
from smidgen_service.store.records import JobFailure


def failure_of(error: SmidgenError) -> JobFailure:
    """Returns what to store of an error."""
    return JobFailure(type(error).__name__, error.reason, error.message, error.metadata)


def error_of(failure: JobFailure) -> SmidgenError:
    """Returns the error that failure_of was given; an unknown class becomes its root."""
    error_type = error_types().get(failure.error_type, SmidgenError)
    error = error_type.__new__(error_type)
    SmidgenError.__init__(error, failure.message, reason=failure.reason, **failure.metadata)
    return error


def failure_of_frame(fields: Mapping[str, Any]) -> JobFailure:
    """Returns the failure that a worker reported."""
    return JobFailure(
        error_type=str(fields["error_type"]),
        reason=str(fields["reason"]),
        message=str(fields["message"]),
        metadata={str(key): str(value) for key, value in fields["metadata"].items()},
    )


def hide(error: BaseException, event: str, **fields: str) -> InternalError:
    """Logs an unexpected error and returns one that may be shown."""
    error_id = new_error_id()
    log(event, level=logging.ERROR, error=error, error_id=error_id, **fields)
    return InternalError(error_id)


def new_error_id() -> str:
    """Returns the word that ties an answer to the log."""
    return uuid.uuid4().hex[:16]


def error_types() -> dict[str, type[SmidgenError]]:
    """Returns all error classes by name."""
    return {error_type.__name__: error_type for error_type in _walk(SmidgenError)}


def _walk(root: type[SmidgenError]) -> Iterator[type[SmidgenError]]:
    yield root
    for child in root.__subclasses__():
        yield from _walk(child)
