"""Logs: one JSON object a line on stderr, or text for people. Never tensors, samples or tokens."""

from __future__ import annotations

import contextvars
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

Field = str | int | float | bool | None

LOGGER = logging.getLogger("smidgen_service")
REQUEST_ID: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")

_ALWAYS: dict[str, Field] = {}
_MOST_TEXT = 128
_MOST_ERROR_TEXT = 1024  # of what the operator did, with paths of files


def configure(log_format: Literal["json", "text"], level: str, **always: Field) -> None:
    """Sends all logs of the process to stderr.

    Args:
        log_format: JSON, or text for people.
        level: Least severe events that are logged.
        **always: Fields of all of them.
    """
    _ALWAYS.update(always)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    LOGGER.setLevel(level.upper())


def log(
    event: str,
    *,
    level: int = logging.INFO,
    error: BaseException | None = None,
    **fields: Field,
) -> None:
    """Logs one event.

    Args:
        event: What happened, a snake_case constant.
        level: Severity.
        error: Exception whose traceback belongs to the event.
        **fields: The variable parts; text beyond 128 characters is cut, `error_text` beyond 1024.
    """
    LOGGER.log(level, event, exc_info=error, extra={"fields": fields})


class JsonFormatter(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as one line."""
        document: dict[str, Field] = {
            "ts": _timestamp(record),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        document.update(_fields(record))
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document)


class TextFormatter(logging.Formatter):
    """One readable line a record, and tracebacks below."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as text."""
        fields = " ".join(f"{name}={json.dumps(value)}" for name, value in _fields(record).items())
        line = f"{_timestamp(record)} {record.levelname:<7} {record.getMessage()} {fields}".rstrip()
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _timestamp(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, tz=UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Field]:
    fields: dict[str, Field] = {**_ALWAYS, **getattr(record, "fields", {})}
    request_id = REQUEST_ID.get()
    if request_id:
        fields.setdefault("request_id", request_id)
    return {
        name: value[: _longest(name)] if isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }


def _longest(name: str) -> int:
    return _MOST_ERROR_TEXT if name == "error_text" else _MOST_TEXT
