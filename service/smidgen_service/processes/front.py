"""A front: answers inferences on the port that all of them share, and hands on all other calls.

Run as `python -m smidgen_service.processes.front <process id of the control process> <descriptor of
the line to it> <descriptor of the line for packed weights>`; the control process does.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Mapping
from typing import Any

from smidgen_service.data_dir import DataDir
from smidgen_service.handlers.shared_weights import OWN_WEIGHTS
from smidgen_service.jobs.frames import Frame
from smidgen_service.jobs.sandbox.limits import tie_to_server
from smidgen_service.logs import configure
from smidgen_service.loop_lag import LoopLag
from smidgen_service.methods import OPEN_INFERENCE
from smidgen_service.metrics import Metrics
from smidgen_service.processes.beginning import Beginning
from smidgen_service.processes.callers import ForwardedCallers
from smidgen_service.processes.division import share_of, share_of_limits
from smidgen_service.processes.forwarding import Forwarder
from smidgen_service.processes.front_weights import FrontWeights
from smidgen_service.processes.holds import Found, Holds
from smidgen_service.processes.link import Link
from smidgen_service.processes.numbers import numbers_of
from smidgen_service.processes.orders import Orders
from smidgen_service.processes.private_line import channel_to
from smidgen_service.processes.weight_line import WeightLine
from smidgen_service.quotas import Quotas, TenantLimits
from smidgen_service.reception import Reception
from smidgen_service.security.files import SecurityFiles
from smidgen_service.security.registry import Registry
from smidgen_service.security.reloading import FileReloads
from smidgen_service.services import register_inference, register_probes, rpc_methods
from smidgen_service.serving import Serving
from smidgen_service.settings import Settings
from smidgen_service.store import models
from smidgen_service.store.following import FollowingBlobs, FollowingDatabase
from smidgen_service.store.tenancy import acting_for
from smidgen_service.store_metrics import StoreMetrics
from smidgen_service.surroundings import GRPC_LOGGER, is_of_a_fault
from smidgen_service.threads import Threads, switch_often

ANSWERED_HERE = frozenset(
    (
        "/smidgen.v1.InferenceService/Infer",
        *(
            OPEN_INFERENCE + name
            for name in (
                "ServerLive",
                "ServerReady",
                "ServerMetadata",
                "ModelReady",
                "ModelMetadata",
                "ModelConfig",
                "ModelInfer",
                "ModelStreamInfer",
            )
        ),
    )
)
"""Methods that a front answers itself, beside health and reflection."""
_IO_THREADS = 4


class Front:
    """The objects of a front, made and joined.

    Args:
        beginning: What it was told.
        link: To the control process.
        weight_line: To those of its files that packed weights are in.
    """

    def __init__(self, beginning: Beginning, link: Link, weight_line: WeightLine) -> None:
        whole = beginning.settings
        self._address = beginning.address
        self._count = whole.processes
        self._link = link
        settings = share_of(whole, beginning.index)
        data_dir = DataDir(whole.data_dir.resolve())
        self._reloads = FileReloads()
        self._security = SecurityFiles(settings, self._reloads)
        self._metrics = Metrics()
        self._reception = Reception(settings, self._security, self._metrics, shares_port=True)
        store_metrics = StoreMetrics(self._metrics)
        self._database = FollowingDatabase(data_dir.database, store_metrics)
        self._threads = Threads(_IO_THREADS, "io")
        self._weights = FrontWeights(weight_line, self._threads)
        self._serving = Serving(
            settings,
            self._database,
            FollowingBlobs(data_dir.blobs, store_metrics),
            self._threads,
            self._metrics,
            quotas=Quotas(self._limits_of),
            decoders=data_dir.decoders,
            owner=f"front-{beginning.index}-",
            weights=self._weights if settings.share_weights else OWN_WEIGHTS,
        )
        self._lag = LoopLag(self._metrics.loop_lag.labels())
        self._holds = Holds(self._serving.keeper)
        self._channel = channel_to(beginning.socket, settings)
        forwarder = Forwarder(self._channel, ForwardedCallers(beginning.secret))
        self._reception.hand_on(self._methods(whole, forwarder), self._serving.admission)

    async def run(self) -> None:
        """Carries out orders until the line ends."""
        self._lag.start()
        self._threads.run_what_has_no_pool()
        orders = Orders(
            self._link,
            in_turn={
                "serve": self._serve,
                "settle": self._settle,
                "retire": self._retire,
                "forget": self._forget,
                "reload": self._reload,
                "leave": self._leave,
                "refuse": self._refuse,
            },
            at_once={
                "hold": self._hold,
                "load": self._load,
                "count": self._tell_numbers,
                "finish": self._finish,
            },
            last="finish",
        )
        await orders.follow()

    def _methods(self, whole: Settings, forwarder: Forwarder) -> Mapping[str, Any]:
        registry = Registry()
        repository = self._serving.repository(
            self._serving.keeper,
            self._metrics.counted,
            places=whole.max_concurrent_inferences,
        )
        register_inference(
            registry,
            self._serving.inference,
            repository,
            self._threads,
            self._reception.lifecycle,
        )
        register_probes(registry, self._reception.health, reflects=whole.reflection)
        handed_on = [method for method in rpc_methods() if method.path not in ANSWERED_HERE]
        return {**registry.methods, **forwarder.handlers(handed_on)}

    async def _serve(self, _order: Frame) -> bytes:
        await self._database.open()
        await self._serving.start()
        await self._reception.bind(self._address)
        await self._reception.open()
        self._reloads.start()
        await self._reception.serve()
        # As the control process does: what the start has made stays.
        gc.collect()
        gc.freeze()
        return b""

    async def _hold(self, order: Frame) -> bytes:
        fields = order.fields

        def look(tx: sqlite3.Connection) -> Found:
            like = fields["like"]
            return (
                models.get_version(tx, fields["model"], fields["version"]),
                None if like is None else models.get_version(tx, fields["model"], like),
            )

        async def find() -> Found:
            with acting_for(fields["tenant"]):
                return await self._database.read(look)

        await self._holds.begin(fields["hold"], find)
        return b""

    async def _settle(self, order: Frame) -> bytes:
        await self._holds.settle(order.fields["hold"], is_kept=order.fields["is_kept"])
        return b""

    async def _load(self, order: Frame) -> bytes:
        await self._serving.keeper.load(order.fields["sha256"])
        return b""

    async def _retire(self, order: Frame) -> bytes:
        self._serving.keeper.retire(order.fields["sha256"])
        return b""

    async def _forget(self, order: Frame) -> bytes:
        self._metrics.forget_model(order.fields["label"])
        return b""

    async def _reload(self, _order: Frame) -> bytes:
        self._reloads.reload_all()
        return b""

    async def _tell_numbers(self, _order: Frame) -> bytes:
        statistics = self._metrics.inference_statistics()
        return await self._threads.run(lambda: numbers_of(self._metrics, statistics).to_bytes())

    async def _leave(self, _order: Frame) -> bytes:
        await self._reception.leave(0.0)  # it is told when to refuse
        return b""

    async def _refuse(self, _order: Frame) -> bytes:
        self._reception.refuse()
        return b""

    async def _finish(self, order: Frame) -> bytes:
        await self._reloads.stop()
        await self._reception.drain()
        await self._serving.stop()
        self._weights.close()
        await self._channel.close()
        await self._database.close()
        return await self._tell_numbers(order)

    def _limits_of(self, tenant: str) -> TenantLimits:
        return share_of_limits(self._security.limits_of(tenant), self._count)


def main() -> int:
    """Runs a front."""
    tie_to_server()
    # The control process may have died before that.
    if str(os.getppid()) != sys.argv[1]:
        return 1
    # Whoever stops a whole group of processes means the control process, which ends the fronts.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logging.getLogger(GRPC_LOGGER).addFilter(is_of_a_fault)
    switch_often()
    asyncio.run(_run(*(socket.socket(fileno=int(number)) for number in sys.argv[2:4])))
    return 0


async def _run(connection: socket.socket, weight_connection: socket.socket) -> None:
    link = await Link.over(connection)
    order = await link.receive()
    if order is None:
        return
    beginning = Beginning.from_fields(order.fields)
    settings = beginning.settings
    configure(settings.log_format, settings.log_level, front=beginning.index)
    await Front(beginning, link, WeightLine(weight_connection)).run()


if __name__ == "__main__":
    sys.exit(main())
