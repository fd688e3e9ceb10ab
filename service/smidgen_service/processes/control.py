"""The control process: keeps the store, runs the jobs, and sees to the fronts."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from functools import partial

from grpc_health.v1 import health

from smidgen_service.application import Answering, Application
from smidgen_service.data_dir import DataDir
from smidgen_service.exposition import Exposition
from smidgen_service.jobs.work import checkpoint_bytes
from smidgen_service.lifecycle import Lifecycle, Phase
from smidgen_service.listening import Ports, open_metrics
from smidgen_service.logs import log
from smidgen_service.metrics import Metrics
from smidgen_service.metrics_endpoint import MetricsEndpoint
from smidgen_service.processes.beginning import Beginning
from smidgen_service.processes.callers import SECRET_BYTES, ForwardedCallers
from smidgen_service.processes.fleet import Fleet
from smidgen_service.processes.keeping import FleetCounts, FleetKeeper
from smidgen_service.processes.numbers import JoinedNumbers
from smidgen_service.processes.places import private_socket, reserved_port
from smidgen_service.processes.private_line import PrivateServer
from smidgen_service.processes.scraping import FreshNumbers
from smidgen_service.processes.weight_files import WeightFiles
from smidgen_service.quotas import Quotas
from smidgen_service.security.files import SecurityFiles
from smidgen_service.security.registry import Registry
from smidgen_service.security.reloading import FileReloads
from smidgen_service.services import register, rpc_methods
from smidgen_service.settings import Settings
from smidgen_service.triton_metrics import written


class Control:
    """A server of several processes, whose control process this one is."""

    def __init__(self, settings: Settings, data_dir: DataDir) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._reloads = FileReloads()
        self.security = SecurityFiles(settings, self._reloads)
        self._lifecycle = Lifecycle()
        self._metrics = Metrics()
        self._metrics.initialise_rpcs(method.labels for method in rpc_methods())
        self._numbers = JoinedNumbers(self._metrics)
        self._secret = os.urandom(SECRET_BYTES)
        self._fleet = Fleet(self._metrics, self._numbers, WeightFiles())
        self._metrics.on_forgetting(lambda label: self._fleet.tell_all("forget", label=label))
        self._application = Application(
            settings,
            data_dir,
            self._metrics,
            Quotas(self.security.limits_of, partial(checkpoint_bytes, data_dir.jobs)),
            Answering(FleetKeeper(self._fleet), FleetCounts(self._fleet, self._numbers).counted),
        )
        self._private = self._make_private_server()
        self._places = ExitStack()
        self._endpoint: MetricsEndpoint | None = None

    async def start(self) -> Ports:
        """Reserves the port, recovers the store, and lets the fronts serve.

        Raises:
            PortTakenError: an address cannot be bound.
            FrontFailedError: a front does not start.
        """
        try:
            return await self._start()
        except BaseException:
            await self._fleet.close()
            await self._private.stop()
            self._places.close()
            raise

    def reload(self) -> None:
        """Reads the files again that may change while the server runs, in all processes."""
        self._reloads.reload_all()
        self._fleet.tell_all("reload")

    async def stop(self, *, leave_s: float) -> None:
        """Drains: health and new calls, running calls and the fronts, then jobs and the store.

        Args:
            leave_s: How long calls are served when health has said NOT_SERVING.
        """
        await self._fleet.leave()
        await self._lifecycle.leave(leave_s)
        log("server_draining")
        await self._reloads.stop()
        await self._fleet.refuse()
        self._lifecycle.drain()
        self._application.announcements.close()
        jobs_stopped = asyncio.create_task(self._application.runner.stop())
        await self._fleet.finish(self._settings.drain_seconds)
        await self._private.stop()
        await jobs_stopped
        await self._application.stop()
        if self._endpoint is not None:
            self._endpoint.close()
        self._places.close()

    async def _start(self) -> Ports:
        settings = self._settings
        port = self._places.enter_context(reserved_port(settings.host, settings.port))
        path = self._places.enter_context(private_socket(self._data_dir))
        exposition = Exposition(
            self._numbers,
            written(settings, self._numbers.families, self._numbers.statistics),
            FreshNumbers(self._fleet, asyncio.get_running_loop()),
        )
        self._endpoint = open_metrics(exposition, settings)
        await self._private.start(path)
        # They are made ready while the store is.
        await self._fleet.start(
            [
                Beginning(settings, index, f"{settings.host}:{port}", str(path), self._secret)
                for index in range(settings.processes)
            ]
        )
        await self._application.start()
        self._lifecycle.phase = Phase.SERVING
        await self._fleet.serve()
        self._reloads.start()
        return Ports(port, self._endpoint.port if self._endpoint is not None else None)

    def _make_private_server(self) -> PrivateServer:
        registry = Registry()
        register(
            registry,
            self._application.handlers,
            health.aio.HealthServicer(),
            self._lifecycle,
            reflects=False,
        )
        return PrivateServer(
            self._settings,
            ForwardedCallers(self._secret),
            self._metrics,
            self._lifecycle,
            registry.methods,
        )
