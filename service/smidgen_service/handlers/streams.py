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
        idle_s: Longest silence, in seconds.
        total_s: Longest time from the first message to the last, in seconds. Without it a client
            that sends a little now and then would hold its place for ever.
    """

    def __init__(self, idle_s: float, total_s: float) -> None:
        self._idle_s = idle_s
        self._total_s = total_s

    async def read(self, messages: AsyncIterator[T]) -> AsyncIterator[T]:
        """Yields the messages.

        Raises:
            DeadlineError: the client fell silent, or took too long altogether.
        """
        clock = asyncio.get_running_loop().time
        end_s = clock() + self._total_s
        while True:
            try:
                async with asyncio.timeout_at(min(clock() + self._idle_s, end_s)):
                    message = await anext(messages)
            except StopAsyncIteration:
                # A dropped connection also ends the stream, and cancels the call a moment later.
                # Waiting for that keeps a broken stream from being taken for a complete one.
                await asyncio.sleep(_SETTLE_SECONDS)
                return
            except TimeoutError:
                if clock() >= end_s:
                    raise self._too_long() from None
                raise DeadlineError(
                    f"nothing arrived for {self._idle_s:g} s; send the rest in a new call",
                    reason="STREAM_IDLE",
                    idle_seconds=self._idle_s,
                ) from None
            yield message

    def _too_long(self) -> DeadlineError:
        return DeadlineError(
            f"the stream was not complete after {self._total_s:g} s; send less in one call",
            reason="STREAM_TOO_LONG",
            total_seconds=self._total_s,
        )
