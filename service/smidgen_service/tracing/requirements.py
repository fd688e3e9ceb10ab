"""What tracing needs of the machine and its variables."""

from __future__ import annotations

import importlib.util
import os

_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_MODULES = ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.grpc")


def check_tracing() -> None:
    """Makes sure that spans can be made and sent.

    Raises:
        ValueError: OpenTelemetry is not installed, or its variables ask for another protocol.
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


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is part of
        return False
