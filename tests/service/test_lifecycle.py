"""How long a server refuses calls before it closes connections."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from smidgen_service import lifecycle
from smidgen_service.errors import DrainingError
from smidgen_service.lifecycle import Lifecycle, Phase


@pytest.fixture
def draining(monkeypatch: pytest.MonkeyPatch) -> Lifecycle:
    monkeypatch.setattr(lifecycle, "_QUIET_S", 0.02)
    monkeypatch.setattr(lifecycle, "_MOST_REFUSING_S", 0.3)
    found = Lifecycle()
    found.phase = Phase.SERVING
    found.drain()
    return found


def refuse(draining: Lifecycle) -> None:
    with contextlib.suppress(DrainingError):
        draining.check()


async def seconds_until_quiet(draining: Lifecycle) -> float:
    started_s = asyncio.get_running_loop().time()
    await draining.until_quiet()
    return asyncio.get_running_loop().time() - started_s


async def test_a_server_that_leaves_serves_and_is_not_ready() -> None:
    leaving = Lifecycle()
    leaving.phase = Phase.SERVING
    going = asyncio.create_task(leaving.leave(60.0))
    await asyncio.sleep(0)
    assert leaving.phase is Phase.LEAVING
    assert leaving.is_serving
    leaving.check()
    going.cancel()
    leaving.drain()
    with pytest.raises(DrainingError):
        leaving.check()


async def test_nobody_is_waited_for_where_nobody_calls(draining: Lifecycle) -> None:
    waiting = asyncio.create_task(seconds_until_quiet(draining))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await waiting >= 0.019


async def test_refused_calls_are_waited_for_with_an_end(draining: Lifecycle) -> None:
    waiting = asyncio.create_task(seconds_until_quiet(draining))
    while not waiting.done():
        refuse(draining)
        await asyncio.sleep(0)
    assert await waiting >= 0.29


async def test_one_refusal_makes_it_wait_once_more(draining: Lifecycle) -> None:
    waiting = asyncio.create_task(seconds_until_quiet(draining))
    await asyncio.sleep(0)
    refuse(draining)
    assert await waiting >= 0.039
