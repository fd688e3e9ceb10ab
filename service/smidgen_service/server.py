"""The process: binds the ports, wires the services, serves, and stops without losing anything."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import shutil
import signal
import sqlite3
from functools import partial
from typing import Protocol

from smidgen.errors import EngineError
from smidgen_service.application import Application
from smidgen_service.data_dir import DataDir, DataDirIncompleteError, DataDirInUseError
from smidgen_service.exposition import Exposition
from smidgen_service.jobs.sandbox import layers
from smidgen_service.jobs.work import checkpoint_bytes
from smidgen_service.listening import Ports, PortTakenError, open_metrics
from smidgen_service.logs import configure, log
from smidgen_service.metrics import Metrics, package_version
from smidgen_service.metrics_endpoint import MetricsEndpoint
from smidgen_service.processes.control import Control
from smidgen_service.processes.fleet import FrontFailedError
from smidgen_service.quotas import Quotas
from smidgen_service.reception import Reception
from smidgen_service.security.certificates import CertificateError
from smidgen_service.security.files import SecurityFiles
from smidgen_service.security.identities import IdentityError
from smidgen_service.security.registry import Registry
from smidgen_service.security.reloading import FileReloads
from smidgen_service.services import register
from smidgen_service.settings import Settings
from smidgen_service.stopping import first_signal
from smidgen_service.store.database import DatabaseDamagedError, SchemaTooNewError
from smidgen_service.store.reserve import NEEDED_BYTES, Reserve
from smidgen_service.surroundings import GRPC_LOGGER, is_of_a_fault
from smidgen_service.threads import switch_often
from smidgen_service.triton_metrics import written

_MOST_FILES = 65_536


class SandboxMissingError(Exception):
    """The kernel lacks what the workers shall be confined by."""


class Serves(Protocol):
    """A server, of one process or several."""

    @property
    def security(self) -> SecurityFiles:
        """By what it tells callers apart."""

    async def start(self) -> Ports:
        """Returns once it serves."""

    def reload(self) -> None:
        """Reads the files again that may change while the server runs."""

    async def stop(self, *, leave_s: float) -> None:
        """Returns once all calls have ended and all is stored.

        Args:
            leave_s: How long calls are served when health has said NOT_SERVING.
        """


def serve(settings: Settings) -> int:
    """Runs the server until it is told to stop; returns the exit code of the process."""
    _raise_file_limit()
    switch_often()
    configure(settings.log_format, settings.log_level)
    logging.getLogger(GRPC_LOGGER).addFilter(is_of_a_fault)
    data_dir = DataDir(settings.data_dir.resolve())
    try:
        with data_dir.locked():
            data_dir.check_complete()
            Reserve(data_dir.reserve).make_room()
            asyncio.run(_run(settings, data_dir))
    except (
        DataDirInUseError,
        DataDirIncompleteError,
        PortTakenError,
        FrontFailedError,
        SandboxMissingError,
        SchemaTooNewError,
        DatabaseDamagedError,
        CertificateError,
        IdentityError,
        EngineError,
        sqlite3.Error,
        OSError,
    ) as error:
        log("server_refused", level=logging.ERROR, error_text=_refusal(error, data_dir))
        return 1
    return 0


def _refusal(error: Exception, data_dir: DataDir) -> str:
    """Returns what is wrong and what to do about it, for the operator."""
    if Reserve(data_dir.reserve).is_for_want_of_room(error):
        free = shutil.disk_usage(data_dir.root).free
        return (
            f"the disk of the data directory {data_dir.root} is full, or its quota reached "
            f"({error}): {free} bytes are free with what was held in reserve, expected "
            f"{NEEDED_BYTES} or more; remove files outside of the data directory or enlarge the "
            "disk, start the server, and delete there what is not needed"
        )
    if isinstance(error, sqlite3.Error):
        return f"the database {data_dir.database} cannot be used: {error}"
    return str(error)


def _raise_file_limit() -> None:
    """Lets the process have as many connections and files open as the system allows it.

    Silent connections hold one each until their handshake is given up.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Server:
    """A server of one process, with its metrics endpoint."""

    def __init__(self, settings: Settings, data_dir: DataDir) -> None:
        self._settings = settings
        self._reloads = FileReloads()
        self.security = SecurityFiles(settings, self._reloads)
        self._metrics = Metrics()
        self._reception = Reception(settings, self.security, self._metrics, shares_port=False)
        quotas = Quotas(self.security.limits_of, partial(checkpoint_bytes, data_dir.jobs))
        self._application = Application(settings, data_dir, self._metrics, quotas)
        registry = Registry()
        register(
            registry,
            self._application.handlers,
            self._reception.health,
            self._reception.lifecycle,
            reflects=settings.reflection,
        )
        self._reception.hand_on(registry.methods, self._application.admission)
        self._endpoint: MetricsEndpoint | None = None

    def _exposition(self) -> Exposition:
        metrics = self._metrics
        families = written(self._settings, lambda: metrics.families, metrics.inference_statistics)
        return Exposition(metrics.library, families)

    async def start(self) -> Ports:
        """Binds the ports, recovers the store, and then serves.

        Raises:
            PortTakenError: an address cannot be bound.
        """
        port = await self._reception.bind(f"{self._settings.host}:{self._settings.port}")
        self._endpoint = open_metrics(self._exposition(), self._settings)
        await self._reception.open()
        try:
            await self._application.start()
        except BaseException:
            await self._reception.close(None)
            raise
        self._reloads.start()
        await self._reception.serve()
        return Ports(port, self._endpoint.port if self._endpoint is not None else None)

    def reload(self) -> None:
        """Reads the files again that may change while the server runs."""
        self._reloads.reload_all()

    async def stop(self, *, leave_s: float) -> None:
        """Drains: health first, new calls, connections, running calls, then jobs and the store.

        Args:
            leave_s: How long calls are served when health has said NOT_SERVING.
        """
        await self._reception.leave(leave_s)
        log("server_draining")
        await self._reloads.stop()
        self._reception.refuse()
        self._application.announcements.close()
        jobs_stopped = asyncio.create_task(self._application.runner.stop())
        await self._reception.drain()
        await jobs_stopped
        await self._application.stop()
        if self._endpoint is not None:
            self._endpoint.close()


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
    server: Serves = (
        Server(settings, data_dir) if settings.processes == 1 else Control(settings, data_dir)
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, server.reload)
    _tell_sandbox(settings)
    ports = await server.start()
    data_dir.announce(port=ports.grpc, metrics_port=ports.metrics)
    log(
        "server_started",
        version=package_version(),
        host=settings.host,
        port=ports.grpc,
        is_encrypted=server.security.certificates is not None,
        is_authenticated=server.security.authenticator.tells_callers_apart,
        metrics_port=ports.metrics,
        pid=os.getpid(),
        data_dir=str(data_dir.root),
    )
    # What the start has made stays; searching it for garbage held the loop up for tens of
    # milliseconds.
    gc.collect()
    gc.freeze()
    gc.enable()
    # Who stops a server at its terminal has no balancer that would have to hear of it.
    is_supervised = await told_to_stop is signal.SIGTERM
    leave_s = settings.lame_duck_seconds if is_supervised else 0.0
    log("server_leaving", seconds=leave_s)
    data_dir.withdraw()
    await server.stop(leave_s=leave_s)
    log("server_stopped")
