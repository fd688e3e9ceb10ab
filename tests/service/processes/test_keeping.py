"""Versions that all fronts keep ready: held by all, kept by all, or let go by all."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from smidgen_service.errors import (
    DataLossError,
    FailedPreconditionError,
    InternalError,
    OverloadedError,
)
from smidgen_service.jobs.frames import Frame
from smidgen_service.metrics import Metrics
from smidgen_service.processes.fleet import Fleet
from smidgen_service.processes.front_process import FrontProcess
from smidgen_service.processes.holds import Found, Holds
from smidgen_service.processes.keeping import FleetKeeper
from smidgen_service.processes.link import Link, error_fields, error_from
from smidgen_service.processes.numbers import JoinedNumbers, Numbers
from smidgen_service.processes.orders import Orders
from smidgen_service.processes.weight_files import WeightFiles
from smidgen_service.store.records import VersionRecord

VERSION = VersionRecord("m", 2, "2" * 64, 1, (), (), 0)


class Keeper:
    """Keeps nothing, and knows what it was asked for."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.error: Exception | None = None

    @asynccontextmanager
    async def ready(
        self, version: VersionRecord, like: VersionRecord | None
    ) -> AsyncIterator[None]:
        await self.may_go_on.wait()
        if self.error is not None:
            raise self.error
        self.done.append("ready")
        yield
        self.done.append("kept")

    async def load(self, sha256: str) -> None:
        self.done.append("loaded")

    def retire(self, sha256: str) -> None:
        self.done.append("retired")


class Process:
    """Stands for the process of a front, which ends with its line, or by a signal."""

    pid, returncode = 0, None

    def __init__(self, link: Link) -> None:
        self._link = link

    async def wait(self) -> int:
        return 0

    def send_signal(self, number: int) -> None:
        self._link.close()


class World:
    """A fleet whose fronts are tasks of this process."""

    def __init__(self) -> None:
        metrics = Metrics()
        self.fleet = Fleet(metrics, JoinedNumbers(metrics), WeightFiles())
        self.keeper = FleetKeeper(self.fleet)
        self.fronts: list[Keeper] = []
        self.links: list[Link] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def add(self) -> None:
        ours, theirs = socket.socketpair()
        link, keeper = await Link.over(theirs), Keeper()
        front = FrontProcess(Process(link), await Link.over(ours))  # type: ignore[arg-type]
        self.fleet._fronts[len(self.fronts)] = front
        self.fronts.append(keeper)
        self.links.append(link)
        self.tasks.append(asyncio.create_task(_follow(link, keeper)))

    async def close(self) -> None:
        for link in self.links:
            link.close()
        await asyncio.gather(*self.tasks)

    @property
    def done(self) -> list[list[str]]:
        return [front.done for front in self.fronts]


async def _follow(link: Link, keeper: Keeper) -> None:
    holds = Holds(keeper)

    async def found() -> Found:
        return VERSION, None

    async def hold(order: Frame) -> bytes:
        await holds.begin(order.fields["hold"], found)
        return b""

    async def settle(order: Frame) -> bytes:
        await holds.settle(order.fields["hold"], is_kept=order.fields["is_kept"])
        return b""

    async def load(order: Frame) -> bytes:
        await keeper.load(order.fields["sha256"])
        return b""

    async def retire(order: Frame) -> bytes:
        keeper.retire(order.fields["sha256"])
        return b""

    async def refuse(_order: Frame) -> bytes:
        keeper.done.append("refused")
        return b""

    async def finish(_order: Frame) -> bytes:
        keeper.done.append("finished")
        return Numbers().to_bytes()

    in_turn = {"settle": settle, "retire": retire, "refuse": refuse}
    at_once = {"hold": hold, "load": load, "finish": finish}
    await Orders(link, in_turn=in_turn, at_once=at_once, last="finish").follow()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    for _ in range(3):
        await found.add()
    yield found
    await found.close()


async def test_a_version_is_ready_when_the_last_front_has_it(world: World) -> None:
    world.fronts[1].may_go_on.clear()
    is_ready = asyncio.Event()

    async def swap() -> None:
        async with world.keeper.ready(VERSION, None):
            is_ready.set()
        world.keeper.retire(VERSION.sha256)  # for another version, after that

    swapping = asyncio.create_task(swap())
    while not (world.fronts[0].done and world.fronts[2].done):
        await asyncio.sleep(0)
    assert not is_ready.is_set()
    world.fronts[1].may_go_on.set()
    await swapping
    await world.keeper.load("")  # all orders before it are carried out
    assert world.done == [["ready", "kept", "retired", "loaded"]] * 3


async def test_a_front_that_cannot_lets_none_keep_it(world: World) -> None:
    world.fronts[2].error = DataLossError("gone", sha256="2")
    with pytest.raises(DataLossError, match="gone"):
        async with world.keeper.ready(VERSION, None):
            raise AssertionError("it is not entered")
    await world.keeper.load("")
    assert world.done == [["ready", "loaded"], ["ready", "loaded"], ["loaded"]]
    world.fronts[2].error = RuntimeError("a fault")
    with pytest.raises(InternalError):
        async with world.keeper.ready(VERSION, None):
            raise AssertionError("it is not entered")


async def test_what_is_refused_in_the_end_is_kept_nowhere(world: World) -> None:
    with pytest.raises(FailedPreconditionError):
        async with world.keeper.ready(VERSION, None):
            raise FailedPreconditionError("no")
    await world.keeper.load("")
    assert world.done == [["ready", "loaded"]] * 3


async def test_whoever_gives_up_holds_nothing(world: World) -> None:
    world.fronts[0].may_go_on.clear()

    async def swap() -> None:
        async with world.keeper.ready(VERSION, None):
            raise AssertionError("it is not entered")

    swapping = asyncio.create_task(swap())
    while not world.fronts[1].done:
        await asyncio.sleep(0)
    swapping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await swapping
    await world.keeper.load("")
    assert world.done == [["loaded"], ["ready", "loaded"], ["ready", "loaded"]]


async def test_a_front_that_dies_holds_nothing_up(world: World) -> None:
    world.fronts[1].may_go_on.clear()

    async def swap() -> None:
        async with world.keeper.ready(VERSION, None):
            await world.add()  # one that begins in between knows nothing of it

    swapping = asyncio.create_task(swap())
    while not world.fronts[2].done:
        await asyncio.sleep(0)
    world.links[1].close()
    await swapping
    assert world.done == [["ready", "kept"], [], ["ready", "kept"], []]
    world.fronts[1].may_go_on.set()


async def test_a_front_that_says_nothing_is_killed_in_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_REFUSING_S", "_MORE_GRACE_S"):
        monkeypatch.setattr(f"smidgen_service.processes.fleet.{name}", 0.05)
    ours, theirs = socket.socketpair()
    link = await Link.over(theirs)  # nobody reads there
    world.fleet._fronts[99] = FrontProcess(Process(link), await Link.over(ours))  # type: ignore[arg-type]
    await world.fleet.refuse()
    await world.fleet.finish(0.05)
    assert await link.receive() is not None
    assert world.done == [["refused", "finished"]] * 3


def test_errors_arrive_as_they_were() -> None:
    for error in (
        OverloadedError("full", retry_after_s=2.5, reason="ENGINE_MEMORY_FULL", found=7),
        DataLossError("gone", sha256="2"),
        InternalError("id"),
    ):
        found = error_from(error_fields(error))
        assert type(found) is type(error)
        assert (found.reason, found.message) == (error.reason, error.message)
        assert found.metadata == error.metadata
        assert getattr(found, "retry_after_s", None) == getattr(error, "retry_after_s", None)
