"""What clients meet of a process: its port, its health, and what surrounds every call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health, health_pb2

from smidgen_service.admittance import Authorize, WhileServing
from smidgen_service.expectation import Admits, Expectation
from smidgen_service.lifecycle import Lifecycle, Phase
from smidgen_service.listening import bind, make_grpc_server
from smidgen_service.metrics import Metrics
from smidgen_service.observers import CallLog, RpcMetrics
from smidgen_service.rejections import Rejections
from smidgen_service.routing import Router
from smidgen_service.security.files import SecurityFiles
from smidgen_service.security.gate import Gate
from smidgen_service.security.permissions import check_listed
from smidgen_service.services import rpc_methods, service_names
from smidgen_service.settings import Settings
from smidgen_service.shares import Shares
from smidgen_service.surroundings import Observer, Surroundings

if TYPE_CHECKING:
    from smidgen_service.tracing.spans import Tracing

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Reception:
    """Receives the calls of clients, and hands them on as long as the server serves.

    Attributes:
        lifecycle: Whether it does.
        health: Answers probes.

    Args:
        settings: Those of the server.
        security: Tells callers apart.
        metrics: Count the calls.
        shares_port: Whether other processes listen on the same port.
    """

    def __init__(
        self, settings: Settings, security: SecurityFiles, metrics: Metrics, *, shares_port: bool
    ) -> None:
        self.lifecycle = Lifecycle()
        self.health = health.aio.HealthServicer()
        self._settings = settings
        self._security = security
        self._metrics = metrics
        self._tracing = _tracing(settings)
        self._grpc = make_grpc_server(settings, shares_port=shares_port)
        metrics.initialise_rpcs(method.labels for method in rpc_methods())

    def hand_on(self, methods: Mapping[str, Any], admission: Admits) -> None:
        """Sets where calls go, by their paths.

        Args:
            methods: The handlers.
            admission: What inferences wait in.

        Raises:
            UnlistedMethodError: nobody has said who may call one of them.
        """
        check_listed(methods)
        gate = Gate(self._security.authenticator, self._metrics)
        silence_s = self._settings.stream_idle_seconds
        surroundings = Surroundings(
            self._observers(),
            (Authorize(gate), WhileServing(self.lifecycle)),
            silence_s=silence_s,
        )
        shares = Shares(self._settings.max_concurrent_calls, self._settings.max_calls_per_address)
        router = Router(
            gate,
            surroundings,
            self.lifecycle,
            shares,
            methods,
            expectation=Expectation(gate, self.lifecycle, admission, Rejections(self._metrics)),
            silence_s=silence_s,
        )
        self._grpc.add_generic_rpc_handlers((router,))

    async def bind(self, address: str) -> int:
        """Binds `host:port` and returns the port. Nobody is answered before `open`.

        Raises:
            PortTakenError: the address cannot be bound.
        """
        await self._set_health(_NOT_SERVING)
        return bind(self._grpc, address, self._security.certificates)

    async def open(self) -> None:
        """Answers probes, and says of other calls that the server is starting."""
        await self._grpc.start()

    async def serve(self) -> None:
        """Hands calls on."""
        self.lifecycle.phase = Phase.SERVING
        await self._set_health(_SERVING)

    async def leave(self, seconds: float) -> None:
        """Says that the server will not serve, and goes on serving for so long."""
        await self.health.enter_graceful_shutdown()
        # At least one turn of the loop lets open health watches send NOT_SERVING before they end.
        await self.lifecycle.leave(seconds)

    def refuse(self) -> None:
        """Refuses calls from here on and ends watch streams."""
        self.lifecycle.drain()

    async def close(self, grace_s: float | None) -> None:
        """Closes connections, after calls in progress have had `grace_s` to end."""
        await self._grpc.stop(grace_s)
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)

    async def drain(self) -> None:
        """Waits until nobody needs to be refused any more, and closes."""
        await self.lifecycle.until_quiet()
        await self.close(self._settings.drain_seconds)

    def _observers(self) -> Sequence[Observer]:
        told: tuple[Observer, ...] = (CallLog(), RpcMetrics(self._metrics))
        return told if self._tracing is None else (*told, self._tracing)

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *service_names()):
            await self.health.set(name, status)


def _tracing(settings: Settings) -> Tracing | None:
    if settings.tracing == "none":
        return None
    # OpenTelemetry is an optional part.
    from smidgen_service.tracing.spans import Tracing  # noqa: PLC0415 - see above

    return Tracing()
