"""Errors on their way between processes and into the store: by class name, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from smidgen.errors import SmidgenError
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


def error_types() -> dict[str, type[SmidgenError]]:
    """Returns all error classes by name."""
    return {error_type.__name__: error_type for error_type in _walk(SmidgenError)}


def _walk(root: type[SmidgenError]) -> Iterator[type[SmidgenError]]:
    yield root
    for child in root.__subclasses__():
        yield from _walk(child)
