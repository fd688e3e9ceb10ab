"""Reading a client's stream: with a limit on silence, and with care at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from smidgen_service.errors import DeadlineError

T = TypeVar("T")

_SETTLE_SECONDS = 0.05


class StreamReader:
    """Wraps the messages of a client.

    Args:
        messages: The messages as they arrive.
        idle_s: Longest silence.
    """

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s

    async def read(self, messages: AsyncIterator[T]) -> AsyncIterator[T]:
        """Yields the messages.

        Raises:
            DeadlineError: the client fell silent.
        """
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    message = await anext(messages)
            except StopAsyncIteration:
                # A dropped connection also ends the stream, and cancels the call a moment later.
                # Waiting for that keeps a broken stream from being taken for a complete one.
                await asyncio.sleep(_SETTLE_SECONDS)
                return
            except TimeoutError:
                raise DeadlineError(
                    f"nothing arrived for {self._idle_s:g} s; send the rest in a new call",
                    reason="STREAM_IDLE",
                    idle_seconds=self._idle_s,
                ) from None
            yield message
