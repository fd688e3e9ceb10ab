"""Where and how the server listens."""

from __future__ import annotations

from dataclasses import dataclass

from grpc import Compression, aio

from smidgen_service.exposition import Exposition
from smidgen_service.metrics_endpoint import MetricsEndpoint
from smidgen_service.routing import MOST_METADATA_BYTES
from smidgen_service.security.certificates import ServerCertificates
from smidgen_service.settings import Settings
from smidgen_service.shares import MOST_PROBES

_LAST_RESORT = 4
_MOST_UNSEEN_S = 3


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a server listens.

    Attributes:
        grpc: The port of its services.
        metrics: The port of its metrics; None without.
    """

    grpc: int
    metrics: int | None


class PortTakenError(Exception):
    """The address cannot be bound."""


def make_grpc_server(settings: Settings, *, shares_port: bool) -> aio.Server:
    """Returns a server without methods and ports.

    Args:
        settings: With its limits.
        shares_port: Whether other processes of the same user may listen on its ports.
    """
    return aio.server(
        options=_options(settings, shares_port=shares_port),
        # Its refusals say little and meet probes too: ours are to come first.
        maximum_concurrent_rpcs=_LAST_RESORT * (settings.max_concurrent_calls + MOST_PROBES),
    )


def bind(server: aio.Server, address: str, certificates: ServerCertificates | None) -> int:
    """Binds a server to `host:port` and returns the port.

    Raises:
        PortTakenError: the address cannot be bound.
    """
    try:
        if certificates is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, certificates.credentials())
    except RuntimeError:
        raise port_taken(address) from None


def port_taken(address: str) -> PortTakenError:
    """Returns the error for an address that cannot be bound."""
    return PortTakenError(
        f"cannot listen on {address}; is another server there? choose another --port"
    )


def open_metrics(exposition: Exposition, settings: Settings) -> MetricsEndpoint | None:
    """Serves metrics if the settings say so.

    Raises:
        PortTakenError: the address cannot be bound.
    """
    host, port = settings.metrics_address, settings.metrics_port
    if port < 0:
        return None
    try:
        return MetricsEndpoint(exposition, host=host, port=port)
    except OSError as error:
        raise PortTakenError(
            f"cannot serve metrics on {host}:{port} ({error.strerror or error}); choose "
            "another --metrics-port"
        ) from None


def _options(settings: Settings, *, shares_port: bool) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_concurrent_streams", settings.max_connection_streams),
        # A flood of calls that are taken back at once waits here, and others behind it: for 30 s.
        ("grpc.server_max_unrequested_time_in_server", _MOST_UNSEEN_S),
        # With a soft limit below the hard one, what is between them is refused now and then.
        ("grpc.max_metadata_size", MOST_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", MOST_METADATA_BYTES),
        # Until a client has acknowledged these limits, grpc does not hold it to them.
        ("grpc.http2.settings_timeout", round(settings.handshake_seconds * 1000)),
        ("grpc.compression_enabled_algorithms_bitset", _compressions(settings)),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        # Two servers must not share a port without knowing it.
        ("grpc.so_reuseport", int(shares_port)),
        ("grpc.max_connection_idle_ms", 300_000),
        ("grpc.max_connection_age_ms", 1_800_000),
        ("grpc.max_connection_age_grace_ms", 30_000),
        ("grpc.keepalive_time_ms", 7_200_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 50_000),
        ("grpc.http2.max_ping_strikes", 2),
        ("grpc.server_handshake_timeout_ms", round(settings.handshake_seconds * 1000)),
    ]


def _compressions(settings: Settings) -> int:
    """Returns the bits of what messages may be compressed by; bit 0 is no compression."""
    if not settings.accept_compressed:
        return 1  # grpc inflates a message whole before it looks at its size
    algorithms = (Compression.NoCompression, Compression.Deflate, Compression.Gzip)
    return sum(1 << algorithm for algorithm in algorithms)
