"""The process: binds the ports, wires the services, serves, and stops without losing anything."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sqlite3
from collections.abc import Iterable
from typing import cast

from google.protobuf.descriptor import FileDescriptor
from grpc import Compression, aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from smidgen.v1 import (
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    inference_service_pb2,
    inference_service_pb2_grpc,
    job_service_pb2,
    job_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    optimization_service_pb2,
    optimization_service_pb2_grpc,
    report_service_pb2,
    report_service_pb2_grpc,
)
from smidgen_service.admittance import Authorize, WhileServing
from smidgen_service.application import Application, Handlers
from smidgen_service.data_dir import DataDir, DataDirIncompleteError, DataDirInUseError
from smidgen_service.jobs.sandbox import layers
from smidgen_service.lifecycle import Lifecycle, Phase
from smidgen_service.logs import configure, log
from smidgen_service.metrics import Metrics, MetricsEndpoint, package_version
from smidgen_service.observers import CallLog, RpcMetrics
from smidgen_service.open_inference import inference_service_pb2 as open_inference_pb2
from smidgen_service.quotas import Quotas, TenantLimits
from smidgen_service.routing import MOST_METADATA_BYTES, Router
from smidgen_service.security.authentication import Authenticator
from smidgen_service.security.certificates import CertificateError, ServerCertificates
from smidgen_service.security.gate import Gate
from smidgen_service.security.identities import IdentityError
from smidgen_service.security.permissions import check_listed
from smidgen_service.security.registry import Registry
from smidgen_service.security.reloading import FileReloads, Reloadable
from smidgen_service.servicers.datasets import DatasetServicer
from smidgen_service.servicers.inference import InferenceServicer
from smidgen_service.servicers.jobs import JobServicer
from smidgen_service.servicers.models import ModelServicer
from smidgen_service.servicers.open_inference import OpenInferenceServicer
from smidgen_service.servicers.optimization import OptimizationServicer
from smidgen_service.servicers.registration import add_service
from smidgen_service.servicers.reports import ReportServicer
from smidgen_service.settings import Settings
from smidgen_service.shares import MOST_PROBES, Shares
from smidgen_service.stopping import first_signal
from smidgen_service.store.database import DatabaseDamagedError, SchemaTooNewError
from smidgen_service.surroundings import GRPC_LOGGER, Surroundings, is_of_a_fault, rpc_type

_PROTOS: tuple[FileDescriptor, ...] = (
    model_service_pb2.DESCRIPTOR,
    dataset_service_pb2.DESCRIPTOR,
    optimization_service_pb2.DESCRIPTOR,
    job_service_pb2.DESCRIPTOR,
    report_service_pb2.DESCRIPTOR,
    inference_service_pb2.DESCRIPTOR,
    open_inference_pb2.DESCRIPTOR,
)
_MOST_FILES = 65_536
_LAST_RESORT = 4
_MOST_UNSEEN_S = 3
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class SandboxMissingError(Exception):
    """The kernel lacks what the workers shall be confined by."""


class PortTakenError(Exception):
    """The address cannot be bound."""


def serve(settings: Settings) -> int:
    """Runs the server until it is told to stop; returns the exit code of the process."""
    _raise_file_limit()
    configure(settings.log_format, settings.log_level)
    logging.getLogger(GRPC_LOGGER).addFilter(is_of_a_fault)
    data_dir = DataDir(settings.data_dir.resolve())
    try:
        with data_dir.locked():
            data_dir.check_complete()
            asyncio.run(_run(settings, data_dir))
    except (
        DataDirInUseError,
        DataDirIncompleteError,
        PortTakenError,
        SandboxMissingError,
        SchemaTooNewError,
        DatabaseDamagedError,
        CertificateError,
        IdentityError,
        sqlite3.Error,
        OSError,
    ) as error:
        log("server_refused", level=logging.ERROR, error_text=str(error))
        return 1
    return 0


def _raise_file_limit() -> None:
    """Lets the process have as many connections and files open as the system allows it.

    Silent connections hold one each until their handshake is given up.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Server:
    """One gRPC server with its metrics endpoint."""

    def __init__(self, settings: Settings, data_dir: DataDir) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._reloads = FileReloads()
        self._certificates = self._read_certificates()
        self._lifecycle = Lifecycle()
        self._metrics = Metrics()
        self._metrics.initialise_rpcs(_methods())
        self._authenticator = self._read_identities()
        self._tenant_limits = settings.tenant_limits
        quotas = Quotas(self._limits_of)
        self._application = Application(settings, data_dir, self._metrics, quotas)
        self._health = health.aio.HealthServicer()
        self._grpc = aio.server(
            options=_options(settings),
            # Its refusals say little and meet probes too: ours are to come first.
            maximum_concurrent_rpcs=_LAST_RESORT * (settings.max_concurrent_calls + MOST_PROBES),
        )
        registry = Registry()
        register(registry, self._application.handlers, self._health, self._lifecycle, settings)
        check_listed(registry.methods)
        self._grpc.add_generic_rpc_handlers((self._router(registry),))
        self._endpoint: MetricsEndpoint | None = None

    async def start(self) -> None:
        """Binds the ports, recovers the store, and then serves.

        Raises:
            PortTakenError: an address cannot be bound.
            SandboxMissingError: workers shall be confined and cannot be.
        """
        _tell_sandbox(self._settings)
        await self._set_health(_NOT_SERVING)
        port = self._bind()
        if self._settings.metrics_port >= 0:
            self._endpoint = self._open_metrics(
                self._settings.metrics_address, self._settings.metrics_port
            )
        await self._grpc.start()
        try:
            await self._application.start()
        except BaseException:
            await self._grpc.stop(None)
            raise
        self._reloads.start()
        self._lifecycle.phase = Phase.SERVING
        await self._set_health(_SERVING)
        metrics_port = self._endpoint.port if self._endpoint is not None else None
        self._data_dir.announce(port=port, metrics_port=metrics_port)
        log(
            "server_started",
            version=package_version(),
            host=self._settings.host,
            port=port,
            is_encrypted=self._certificates is not None,
            is_authenticated=self._authenticator.tells_callers_apart,
            metrics_port=metrics_port,
            pid=os.getpid(),
            data_dir=str(self._data_dir.root),
        )

    def reload(self) -> None:
        """Reads the files again that may change while the server runs."""
        self._reloads.reload_all()

    async def stop(self, *, leave_s: float = 0.0) -> None:
        """Drains: health first, new calls, connections, running calls, then jobs and the store.

        Args:
            leave_s: How long calls are served when health has said NOT_SERVING.
        """
        log("server_leaving", seconds=leave_s)
        self._data_dir.withdraw()
        await self._health.enter_graceful_shutdown()
        # At least one turn of the loop lets open health watches send NOT_SERVING before they end.
        await self._lifecycle.leave(leave_s)
        log("server_draining")
        await self._reloads.stop()
        self._lifecycle.drain()
        self._application.announcements.close()
        jobs_stopped = asyncio.create_task(self._application.runner.stop())
        await self._lifecycle.until_quiet()
        await self._grpc.stop(self._settings.drain_seconds)
        await jobs_stopped
        await self._application.stop()
        if self._endpoint is not None:
            self._endpoint.close()
        log("server_stopped")

    def _bind(self) -> int:
        address = f"{self._settings.host}:{self._settings.port}"
        try:
            if self._certificates is None:
                return self._grpc.add_insecure_port(address)
            return self._grpc.add_secure_port(address, self._certificates.credentials())
        except RuntimeError:
            raise PortTakenError(
                f"cannot listen on {address}; is another server there? choose another --port"
            ) from None

    def _router(self, registry: Registry) -> Router:
        gate = Gate(self._authenticator, self._metrics)
        surroundings = Surroundings(
            (CallLog(), RpcMetrics(self._metrics)),
            (Authorize(gate), WhileServing(self._lifecycle)),
            silence_s=self._settings.stream_idle_seconds,
        )
        return Router(
            gate,
            surroundings,
            self._lifecycle,
            Shares(self._settings.max_concurrent_calls, self._settings.max_calls_per_address),
            registry.methods,
            silence_s=self._settings.stream_idle_seconds,
        )

    def _limits_of(self, tenant: str) -> TenantLimits:
        own = self._authenticator.limits_of(tenant)
        return self._tenant_limits if own is None else own.or_else(self._tenant_limits)

    def _read_identities(self) -> Authenticator:
        path = self._settings.auth_file
        authenticator = Authenticator(
            path, asks_for_certificates=self._settings.tls_client_ca is not None
        )
        if path is not None:
            self._reloads.watch(Reloadable("identities", (path,), authenticator.reload))
        return authenticator

    def _read_certificates(self) -> ServerCertificates | None:
        files = self._settings.certificate_files
        if files is None:
            return None
        certificates = ServerCertificates(files)
        self._reloads.watch(Reloadable("certificates", files.paths, certificates.reload))
        return certificates

    def _open_metrics(self, host: str, port: int) -> MetricsEndpoint:
        try:
            return MetricsEndpoint(self._metrics, host=host, port=port)
        except OSError as error:
            raise PortTakenError(
                f"cannot serve metrics on {host}:{port} ({error.strerror or error}); choose "
                "another --metrics-port"
            ) from None

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *_service_names()):
            await self._health.set(name, status)


def _tell_sandbox(settings: Settings) -> None:
    """Logs what confines the workers.

    Raises:
        SandboxMissingError: a layer is missing that the settings require.
    """
    found = layers.available()
    is_on = settings.worker_sandbox != "off"
    is_missing = is_on and not found.is_whole
    log(
        "worker_sandbox",
        level=logging.WARNING if is_missing else logging.INFO,
        mode=settings.worker_sandbox,
        landlock=found.landlock if is_on else 0,
        seccomp=found.seccomp and is_on,
        memory_bytes=settings.worker_memory_bytes,
    )
    if is_missing and settings.worker_sandbox == "require":
        raise SandboxMissingError(
            f"workers cannot be confined: Landlock has version {found.landlock} (expected 1 or "
            f"later) and seccomp is {'there' if found.seccomp else 'missing'}; use a kernel with "
            "both, or --worker-sandbox auto"
        )


async def _run(settings: Settings, data_dir: DataDir) -> None:
    told_to_stop = first_signal()
    server = Server(settings, data_dir)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, server.reload)
    await server.start()
    # What the start has made stays; searching it for garbage held the loop up for tens of
    # milliseconds.
    gc.collect()
    gc.freeze()
    # Who stops a server at its terminal has no balancer that would have to hear of it.
    is_supervised = await told_to_stop is signal.SIGTERM
    await server.stop(leave_s=settings.lame_duck_seconds if is_supervised else 0.0)


def register(
    registry: Registry,
    handlers: Handlers,
    health_servicer: object,
    lifecycle: Lifecycle,
    settings: Settings,
) -> None:
    """Adds all services to a server."""
    # The generated functions want a server, of which they call what a Registry has.
    server = cast(aio.Server, registry)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        ModelServicer(handlers.models, handlers.aliases, handlers.receiver), server
    )
    dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(
        DatasetServicer(handlers.datasets), server
    )
    optimization_service_pb2_grpc.add_OptimizationServiceServicer_to_server(
        OptimizationServicer(handlers.calibration, handlers.optimization), server
    )
    job_service_pb2_grpc.add_JobServiceServicer_to_server(JobServicer(handlers.jobs), server)
    report_service_pb2_grpc.add_ReportServiceServicer_to_server(
        ReportServicer(handlers.reports), server
    )
    inference_service_pb2_grpc.add_InferenceServiceServicer_to_server(
        InferenceServicer(handlers.inference), server
    )
    add_service(
        open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"],
        OpenInferenceServicer(handlers.inference, handlers.repository, handlers.threads, lifecycle),
        server,
        encoded={"ModelInfer", "ModelStreamInfer"},
    )
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    if settings.reflection:
        names = (*_service_names(), health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(names), server
        )


def _options(settings: Settings) -> list[tuple[str, int]]:
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
        ("grpc.so_reuseport", 0),
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


def _service_names() -> tuple[str, ...]:
    return tuple(
        service.full_name for proto in _PROTOS for service in proto.services_by_name.values()
    )


def _methods() -> Iterable[tuple[str, str, str]]:
    for proto in _PROTOS:
        for service in proto.services_by_name.values():
            for method in service.methods:
                kind = rpc_type(method.client_streaming, method.server_streaming)
                yield kind, service.full_name, method.name
