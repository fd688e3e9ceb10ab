"""Work in threads, and callers that leave before it is done."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator

import pytest

from smidgen_service.threads import Threads, switch_often


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    pool = Threads(1, "test")
    yield pool
    pool.close()


class Gate:
    """A function that returns when it may, and knows how often it began."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        self.begun.set()
        assert self.may_end.wait(10)
        return self.calls


async def turns() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


def names_of(prefix: str) -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(prefix)}


async def test_no_thread_is_added_later() -> None:
    pool = Threads(3, "filled")
    there = names_of("filled")
    pool.run_what_has_no_pool()
    gates = [Gate() for _ in range(5)]
    callers = [asyncio.create_task(pool.run(gate)) for gate in gates[:4]]
    callers.append(asyncio.create_task(asyncio.to_thread(gates[4])))
    await turns()
    for gate in gates:
        gate.may_end.set()
    assert await asyncio.gather(*callers) == [1] * 5
    assert len(there) == 3
    assert names_of("filled") == there
    assert not names_of("asyncio")
    pool.close()


async def test_results_and_errors_come_back(threads: Threads) -> None:
    assert await threads.run(divmod, 7, 2) == (3, 1)
    assert await threads.run(sorted, [2, 1], reverse=True) == [2, 1]
    with pytest.raises(ZeroDivisionError):
        await threads.run(divmod, 7, 0)


async def test_a_cancelled_caller_stays_until_its_function_has_returned(threads: Threads) -> None:
    gate = Gate()
    caller = asyncio.create_task(threads.run(gate))
    await asyncio.to_thread(gate.begun.wait, 10)
    for _ in range(3):  # as often as one likes
        caller.cancel()
        await turns()
        assert not caller.done()
    gate.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert gate.calls == 1


async def test_a_cancelled_caller_whose_function_fails_is_cancelled(threads: Threads) -> None:
    gate = Gate()
    caller = asyncio.create_task(threads.run(lambda: 1 // (gate() - 1)))
    await asyncio.to_thread(gate.begun.wait, 10)
    caller.cancel()
    await turns()
    gate.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_a_function_that_has_not_begun_never_does(threads: Threads) -> None:
    first, second = Gate(), Gate()
    running = asyncio.create_task(threads.run(first))
    await asyncio.to_thread(first.begun.wait, 10)
    waiting = asyncio.create_task(threads.run(second))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    first.may_end.set()
    assert await running == 1
    assert await threads.run(lambda: second.calls) == 0


async def test_a_timeout_is_one_after_the_function_too(threads: Threads) -> None:
    gate = Gate()
    limit = asyncio.timeout(None)

    async def limited() -> None:
        async with limit:
            await threads.run(gate)

    caller = asyncio.create_task(limited())
    # What a thread has not taken when the time is over would never begin.
    await asyncio.to_thread(gate.begun.wait, 10)
    limit.reschedule(asyncio.get_running_loop().time())
    while not limit.expired():
        await asyncio.sleep(0)
    await turns()
    assert not caller.done()
    gate.may_end.set()
    with pytest.raises(TimeoutError):
        await caller
    assert gate.calls == 1


def test_the_interpreters_lock_is_handed_over_sooner_than_by_default() -> None:
    before_s = sys.getswitchinterval()
    try:
        switch_often()
        assert sys.getswitchinterval() == pytest.approx(0.0003)
    finally:
        sys.setswitchinterval(before_s)
