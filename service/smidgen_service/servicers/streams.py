"""Streams of clients: the header that some begin with, and answers in the order of requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from smidgen_service.converters.uploads import out_of_place


class Part(Protocol):
    """A message of a stream that is a header or something else."""

    def WhichOneof(self, oneof_group: Any, /) -> str | None:
        """Tells which part is set."""


PartT = TypeVar("PartT", bound=Part)
RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


async def first_message(messages: AsyncIterator[PartT]) -> PartT:
    """Returns the message with the header.

    Raises:
        InvalidArgumentError: the stream is empty or begins with something else.
    """
    message = await anext(messages, None)
    if message is None or message.WhichOneof("part") != "header":
        raise out_of_place("header")
    return message


async def in_order(
    messages: AsyncIterator[RequestT],
    answer: Callable[[RequestT], Awaitable[AnswerT]],
    *,
    most: int,
    reading: Callable[[], AbstractContextManager[None]],
) -> AsyncIterator[AnswerT]:
    """Yields the answers to messages in their order, while several of them are worked on.

    What reading raises, and what an answer raises, is raised in its turn: after the answers to all
    earlier messages. Then, and when the caller gives up, the work that is left is cancelled.

    Args:
        messages: The messages of the client.
        answer: Answers one of them.
        most: Messages that are worked on at a time; no further one is read meanwhile.
        reading: Surrounds the reading, in a task of its own.
    """
    places = asyncio.Semaphore(most)
    started: asyncio.Queue[asyncio.Task[AnswerT] | None] = asyncio.Queue()
    tasks: set[asyncio.Task[AnswerT]] = set()

    async def read() -> None:
        try:
            with reading():
                await places.acquire()
                async for message in messages:
                    task = asyncio.ensure_future(answer(message))
                    tasks.add(task)
                    started.put_nowait(task)
                    await places.acquire()
        finally:
            started.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (task := await started.get()) is not None:
            yield await task
            tasks.discard(task)
            places.release()
        await reader
    finally:
        reader.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(reader, *tasks, return_exceptions=True)
