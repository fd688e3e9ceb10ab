"""gRPC between fronts and the control process, over a socket of the server's user alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grpc import aio

from smidgen_service.admittance import Authorize, WhileServing
from smidgen_service.lifecycle import Lifecycle
from smidgen_service.metrics import Metrics
from smidgen_service.processes.callers import ForwardedCallers
from smidgen_service.routing import MOST_METADATA_BYTES, Router
from smidgen_service.security.gate import Gate
from smidgen_service.settings import Settings
from smidgen_service.shares import Shares
from smidgen_service.surroundings import Surroundings

_MOST_METADATA_BYTES = 2 * MOST_METADATA_BYTES
"""Most metadata of a call: those of a client, and those of the front."""


class PrivateServer:
    """Serves the calls that fronts hand on, which they count, log and time themselves.

    Args:
        settings: Those of the server.
        callers: Believes what fronts say about callers.
        metrics: Count calls that do not come from fronts.
        lifecycle: Whether the server serves.
        methods: Where calls go, by their paths.
    """

    def __init__(
        self,
        settings: Settings,
        callers: ForwardedCallers,
        metrics: Metrics,
        lifecycle: Lifecycle,
        methods: Mapping[str, Any],
    ) -> None:
        self._grpc = aio.server(options=_options(settings))
        gate = Gate(callers, metrics)
        silence_s = settings.stream_idle_seconds
        checks = (Authorize(gate), WhileServing(lifecycle))
        router = Router(
            gate,
            Surroundings((), checks, silence_s=silence_s),
            lifecycle,
            # Fronts keep to their own limits; calls of all of them come from one address.
            Shares(settings.max_concurrent_calls + settings.processes),
            methods,
            silence_s=silence_s,
            most_metadata_bytes=_MOST_METADATA_BYTES,
        )
        self._grpc.add_generic_rpc_handlers((router,))

    async def start(self, path: Path) -> None:
        """Serves on a Unix socket."""
        self._grpc.add_insecure_port(f"unix:{path}")
        await self._grpc.start()

    async def stop(self) -> None:
        """Ends; whoever is left is cut off."""
        await self._grpc.stop(None)


def channel_to(path: str, settings: Settings) -> aio.Channel:
    """Returns a channel to the server that listens there."""
    # What was sent is not kept for attempts that there are not.
    options = [*_options(settings), ("grpc.enable_retries", 0)]
    return aio.insecure_channel(f"unix:{path}", options=options)


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_metadata_size", _MOST_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _MOST_METADATA_BYTES),
    ]
