"""Messages that come late or never."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from grpc import aio

from smidgen_service.errors import DeadlineError, InvalidArgumentError
from smidgen_service.silence import MessageReader
from smidgen_service.surroundings import Context


class Client:
    """A context whose message comes when it is told to."""

    def __init__(self) -> None:
        self.message: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def read(self) -> Any:
        return await self.message


def read(reader: MessageReader, client: Client) -> asyncio.Task[Any]:
    return asyncio.create_task(reader.read(cast(Context, client)))


async def test_a_message_in_time_is_returned() -> None:
    reader, client = MessageReader(30.0), Client()
    reading = read(reader, client)
    client.message.set_result(b"x")
    assert await reading == b"x"


async def test_an_end_without_a_message_is_refused() -> None:
    client = Client()
    client.message.set_result(aio.EOF)
    with pytest.raises(InvalidArgumentError) as caught:
        await read(MessageReader(30.0), client)
    assert caught.value.reason == "MESSAGE_MISSING"


async def test_late_calls_are_given_up_by_a_timer_that_serves_all() -> None:
    reader = MessageReader(0.01)
    for _ in range(2):  # the timer is let go when nobody waits, and set again
        late = [read(reader, Client()) for _ in range(3)]
        await asyncio.wait(late)
        for reading in late:
            with pytest.raises(DeadlineError, match=r"within 0\.01 s") as caught:
                reading.result()
            assert caught.value.reason == "STREAM_IDLE"


async def test_a_call_that_came_later_has_more_time() -> None:
    loop = asyncio.get_running_loop()
    limit_s = 0.05
    reader, client = MessageReader(limit_s), Client()
    first = read(reader, Client())
    await asyncio.sleep(limit_s / 2)
    began_s = loop.time()
    second = read(reader, client)
    await asyncio.wait([first])
    await asyncio.wait([second])
    assert loop.time() - began_s >= limit_s
    assert isinstance(second.exception(), DeadlineError)


async def test_a_client_that_leaves_is_not_late() -> None:
    reader = MessageReader(30.0)
    reading = read(reader, Client())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert reading.cancelled()
