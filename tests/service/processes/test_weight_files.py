"""Files for packed weights: one for all fronts, for as long as any of them needs it."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from smidgen.engine import Engine, Sharing
from smidgen_service.processes import front_weights, weight_files
from smidgen_service.processes.front_weights import FrontWeights
from smidgen_service.processes.weight_files import WeightFiles
from smidgen_service.processes.weight_line import (
    ANSWER,
    DROP,
    TAKE,
    LineEndedError,
    Message,
    WeightLine,
)
from smidgen_service.threads import Threads

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs Linux's memfd")


@dataclass
class FakeEngine:
    """An engine that tells which files it was given."""

    isa: str = "avx2"
    shareable_bytes: int = 1 << 20
    found: Sharing = "shared"
    files: list[int] = field(default_factory=list)

    def share_weights(self, file: int) -> Sharing:
        self.files.append(os.fstat(file).st_ino)
        return self.found


class World:
    """The files, and two fronts that are in this process too."""

    def __init__(self, threads: Threads) -> None:
        self.files = WeightFiles()
        self.fronts = []
        for _ in range(2):
            ours, theirs = WeightLine.pair()
            self.files.serve(ours)
            self.fronts.append(FrontWeights(WeightLine(theirs), threads))

    async def share(self, front: int, sha256: str, engine: FakeEngine) -> bool:
        return await self.fronts[front].share(sha256, cast(Engine, engine))

    def let_go(self, front: int, sha256: str, engine: FakeEngine) -> None:
        self.fronts[front].let_go(sha256, cast(Engine, engine))

    def close(self) -> None:
        for front in self.fronts:
            front.close()
        self.files.close()


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(2, "io")
    yield made
    made.close()


@pytest.fixture
async def world(threads: Threads) -> AsyncIterator[World]:
    made = World(threads)
    yield made
    made.close()
    assert files_in_memory() == 0


def files_in_memory() -> int:
    """Returns how many descriptors of them this process has."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            count += "memfd:smidgen-weights" in str(entry.readlink())
        except FileNotFoundError:  # of looking at the folder
            continue
    return count


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0.001)


async def test_fronts_get_one_file_for_equal_weights_alone(world: World) -> None:
    engine, other_level = FakeEngine(), FakeEngine(isa="portable")
    assert await world.share(0, "a", engine)
    assert await world.share(1, "a", engine)
    assert await world.share(1, "b", engine)
    assert await world.share(1, "a", other_level)
    first, second, third = engine.files
    assert first == second
    assert len({first, third, *other_level.files}) == 3
    assert files_in_memory() == 3


async def test_a_file_goes_with_its_last_engine(world: World) -> None:
    engine = FakeEngine()
    for front in (0, 1, 1):
        assert await world.share(front, "a", engine)
    for front in (1, 0):
        world.let_go(front, "a", engine)
    assert await world.share(0, "b", engine)  # behind what was let go
    assert files_in_memory() == 2
    world.let_go(1, "a", engine)
    await eventually(lambda: files_in_memory() == 1)
    world.let_go(1, "a", engine)  # once too often, which does no harm
    world.let_go(0, "b", engine)
    await eventually(lambda: files_in_memory() == 0)


async def test_a_front_that_ends_gives_up_what_it_had(world: World) -> None:
    engine = FakeEngine()
    assert await world.share(0, "a", engine)
    assert await world.share(1, "a", engine)
    assert await world.share(1, "b", engine)
    world.fronts[1].close()
    await eventually(lambda: files_in_memory() == 1)
    world.fronts[0].close()
    await eventually(lambda: files_in_memory() == 0)


async def test_small_weights_are_not_shared(world: World) -> None:
    engine = FakeEngine(shareable_bytes=(1 << 16) - 1)
    assert not await world.share(0, "a", engine)
    assert not engine.files


@pytest.mark.parametrize("found", ["unequal", "impossible"])
async def test_weights_that_cannot_be_shared_are_told_of_once(
    world: World, found: Sharing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "smidgen_service")
    engine = FakeEngine(found=found)
    for sha256 in "ab":
        assert not await world.share(0, sha256, engine)
    assert len(engine.files) == 2
    await eventually(lambda: files_in_memory() == 0)
    assert [record.message for record in caplog.records] == ["weights_not_shared"]
    assert vars(caplog.records[0])["fields"] == {"artifact": "a", "cause": found}


async def test_a_system_without_files_in_memory_shares_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "MFD_CLOEXEC")
    engine = FakeEngine()
    assert not await world.share(0, "a", engine)
    assert not engine.files


async def test_a_kernel_that_knows_no_files_without_execution_shares(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, asked = os.memfd_create, []

    def create_as_older_kernels_do(name: str, flags: int) -> int:
        asked.append(flags)
        if flags & ~(os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING):
            raise OSError(errno.EINVAL, "no such flag")
        return create(name, flags)

    monkeypatch.setattr(os, "memfd_create", create_as_older_kernels_do)
    assert await world.share(0, "a", FakeEngine())
    known = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    assert asked == [known | 0x8, known]


async def test_a_front_gets_a_bounded_number_of_files(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_files, "_MOST_FILES", 2)
    engine = FakeEngine()
    assert [await world.share(0, key, engine) for key in "abca"] == [True, True, False, True]
    assert await world.share(1, "c", engine)  # each front has its own number
    world.let_go(0, "b", engine)
    assert await world.share(0, "d", engine)


async def test_nothing_is_shared_where_nobody_answers(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_weights, "_ANSWER_S", 0.01)
    ours, theirs = WeightLine.pair()
    front = FrontWeights(WeightLine(theirs), threads)
    engine = FakeEngine()
    assert not await front.share("a", cast(Engine, engine))
    asked = ours.receive()
    assert asked == Message(TAKE, "a avx2")
    late = os.memfd_create("smidgen-weights", os.MFD_CLOEXEC)
    ours.send(Message(ANSWER, asked.key, late))
    os.close(late)
    monkeypatch.undo()
    waiting = asyncio.create_task(front.share("b", cast(Engine, engine)))
    await asyncio.sleep(0.01)  # the late answer is not taken for one to this
    assert not waiting.done()
    assert files_in_memory() == 0
    ours.send(Message(ANSWER, "b avx2"))
    assert not await waiting
    ours.close()
    assert not await front.share("c", cast(Engine, engine))
    assert not engine.files
    front.close()


async def test_who_waits_for_a_file_goes_on_when_the_line_ends(threads: Threads) -> None:
    ours, theirs = WeightLine.pair()
    front = FrontWeights(WeightLine(theirs), threads)
    waiting = asyncio.create_task(front.share("a", cast(Engine, FakeEngine())))
    await asyncio.sleep(0)
    ours.close()
    assert not await waiting
    front.let_go("a", cast(Engine, FakeEngine()))
    front.close()


async def test_a_front_that_reads_no_answers_is_left(world: World) -> None:
    ours, theirs = WeightLine.pair()
    world.files.serve(ours)
    front = WeightLine(theirs)

    async def ask_for_ever() -> None:
        while True:
            front.send(Message(TAKE, "a"))
            await asyncio.sleep(0)

    with pytest.raises(LineEndedError):
        await ask_for_ever()
    await eventually(lambda: files_in_memory() == 0)
    front.close()


async def test_files_that_a_front_sends_along_are_closed() -> None:
    files = WeightFiles()
    ours, theirs = WeightLine.pair()
    files.serve(ours)
    front = WeightLine(theirs)
    reading, writing = os.pipe()
    front.send(Message(DROP, "nothing", writing))
    os.close(writing)
    # The other end of the pipe is closed when nobody has this one any more.
    assert await asyncio.to_thread(os.read, reading, 1) == b""
    os.close(reading)
    front.close()
    files.close()


@pytest.mark.parametrize("data", [b"text", b"\xff", b"[]", b'["take", {}]', b'{"take": "a"}'])
async def test_what_is_no_message_ends_the_line_and_its_file(data: bytes) -> None:
    ours, theirs = WeightLine.pair()
    reading, writing = os.pipe()
    socket.send_fds(theirs, [data], [writing])
    os.close(writing)
    with pytest.raises(LineEndedError):
        ours.receive()
    assert os.read(reading, 1) == b""
    os.close(reading)
    ours.close()
    theirs.close()
