"""Answers in the order of requests, several at a time, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, nullcontext

import pytest

from smidgen_service.errors import DrainingError
from smidgen_service.lifecycle import Lifecycle
from smidgen_service.servicers.streams import in_order


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


class Worker:
    """Answers later requests sooner, and knows what it is working on."""

    def __init__(self) -> None:
        self.running: set[int] = set()
        self.most = 0
        self.release = [asyncio.Event() for _ in range(20)]

    async def answer(self, number: int) -> int:
        self.running.add(number)
        self.most = max(self.most, len(self.running))
        try:
            await self.release[number].wait()
            return number * 10
        finally:
            self.running.discard(number)


async def collect(answers: AsyncIterator[int], found: list[int]) -> None:
    async for value in answers:
        found.append(value)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_order_is_kept_and_no_more_are_started_than_may_be() -> None:
    worker = Worker()
    answers = in_order(numbers(9), worker.answer, most=4, reading=nullcontext)
    found: list[int] = []
    task = asyncio.create_task(collect(answers, found))
    await settle()
    assert worker.running == {0, 1, 2, 3}
    worker.release[3].set()
    worker.release[1].set()
    await settle()
    assert found == []
    worker.release[0].set()
    await settle()
    assert found == [0, 10]
    assert worker.running == {2, 4, 5}
    for event in worker.release:
        event.set()
    await task
    assert found == [number * 10 for number in range(9)]
    assert worker.most == 4


async def test_failure_comes_in_its_turn_and_ends_the_rest() -> None:
    worker = Worker()

    async def answer(number: int) -> int:
        if number == 1:
            raise ValueError(number)
        return await worker.answer(number)

    found: list[int] = []
    worker.release[0].set()
    with pytest.raises(ValueError, match="1"):
        await collect(in_order(numbers(9), answer, most=4, reading=nullcontext), found)
    assert found == [0]
    assert worker.running == set()


async def test_failure_of_the_stream_comes_after_the_answers() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 0
        yield 1
        raise ConnectionError

    async def answer(number: int) -> int:
        await asyncio.sleep(0)
        return number

    found: list[int] = []
    with pytest.raises(ConnectionError):
        await collect(in_order(broken(), answer, most=4, reading=nullcontext), found)
    assert found == [0, 1]


async def test_nothing_runs_on_when_the_caller_gives_up() -> None:
    worker = Worker()
    worker.release[0].set()
    async with aclosing(
        in_order(numbers(9), worker.answer, most=4, reading=nullcontext)
    ) as answers:
        assert await anext(answers) == 0
        await settle()
        assert worker.running
    assert worker.running == set()
    assert len(asyncio.all_tasks()) == 1


async def test_drain_ends_reading_and_lets_answers_finish() -> None:
    worker, lifecycle = Worker(), Lifecycle()

    async def endless() -> AsyncIterator[int]:
        yield 0
        await asyncio.Event().wait()

    answers = in_order(endless(), worker.answer, most=4, reading=lifecycle.watch)
    first = asyncio.ensure_future(anext(answers))
    await settle()
    lifecycle.drain()
    await settle()
    assert worker.running == {0}
    worker.release[0].set()
    assert await first == 0
    with pytest.raises(DrainingError):
        await anext(answers)
