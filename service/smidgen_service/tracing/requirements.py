"""What tracing needs of the machine and its variables."""

from __future__ import annotations

import importlib.util
import math
import os

_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_COMPRESSION = ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION")
_QUEUE, _QUEUE_DEFAULT = "OTEL_BSP_MAX_QUEUE_SIZE", 2048
_BATCH, _BATCH_DEFAULT = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512
_COUNTS = {_QUEUE: 1, _BATCH: 1, "OTEL_BSP_SCHEDULE_DELAY": 1, "OTEL_BSP_EXPORT_TIMEOUT": 0}
"""Whole numbers, and the least that each may be."""
_TIMES = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
_LIMITS = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
)
"""Whole numbers, or nothing for no limit."""
_MODULES = ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.grpc")


def check_tracing() -> None:
    """Makes sure that spans can be made and sent.

    Raises:
        ValueError: OpenTelemetry is not installed, or its variables ask for another protocol or
            have values that are none. The SDK ends in a traceback of these, or writes one.
    """
    if not all(map(_is_installed, _MODULES)):
        raise ValueError(
            "spans need OpenTelemetry's SDK and its exporter of OTLP over gRPC, which are not "
            "installed here; install smidgen[otel], or leave --tracing out"
        )
    protocol = next(filter(None, map(os.environ.get, _PROTOCOLS)), "grpc")
    if protocol != "grpc":
        raise ValueError(
            f"the variables of OpenTelemetry ask for the protocol {protocol[:40]!r}, this server "
            "sends spans by OTLP over gRPC; set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL to grpc and "
            "the endpoint to the collector's port for it"
        )
    _check_numbers()
    for name in _COMPRESSION:
        if (found := os.environ.get(name, "gzip")).strip().lower() != "gzip":
            raise ValueError(
                f"{name} is {found[:40]!r}, expected gzip; set it to this, or unset it for none"
            )


def _check_numbers() -> None:
    found = {name: _number(name, int, least) for name, least in _COUNTS.items()}
    for name in _TIMES:
        _number(name, float, 0)
    for name in _LIMITS:
        if os.environ.get(name, "").strip():
            _number(name, int, 0)
    queue, batch = found[_QUEUE], found[_BATCH]
    if (batch or _BATCH_DEFAULT) > (queue or _QUEUE_DEFAULT):
        raise ValueError(
            f"{_BATCH} is {batch or f'{_BATCH_DEFAULT} by default'} and {_QUEUE} is "
            f"{queue or f'{_QUEUE_DEFAULT} by default'}: a batch cannot be larger than the queue; "
            f"set {_BATCH} to at most {queue or _QUEUE_DEFAULT}"
        )


def _number(name: str, kind: type[int] | type[float], least: int) -> float | None:
    """Returns a variable's number; None if it is not set."""
    text = os.environ.get(name)
    if text is None:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = least - 1
    if not least <= value < math.inf:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(
            f"{name} is {text[:40]!r}, expected {what} of at least {least}; set it to one, or "
            "unset it"
        )
    return value


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is part of
        return False
