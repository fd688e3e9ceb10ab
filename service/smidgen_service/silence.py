"""Waiting for the one message of a call, which a client may never send."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from grpc import aio

from smidgen_service.errors import InvalidArgumentError
from smidgen_service.surroundings import Context, silent


class MessageReader:
    """Reads the messages of calls that have one, and gives up those that wait for too long.

    One timer serves all calls: one for each would be a tenth of what a short call costs.

    Args:
        limit_s: How long a message may take, in seconds.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since_s: dict[asyncio.Task[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, context: Context) -> Any:
        """Returns the message of a call.

        Raises:
            DeadlineError: it did not come in time.
            InvalidArgumentError: the client said that there is none.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("calls are served by tasks")
        self._since_s[task] = time.monotonic()
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._limit_s, self._give_up)
        try:
            message = await context.read()
        except asyncio.CancelledError:
            if task in self._since_s or task.uncancel():
                raise  # the client has left as well
            raise silent(self._limit_s) from None
        finally:
            self._since_s.pop(task, None)
        if message is aio.EOF:
            raise InvalidArgumentError(
                "the call has ended without a message; send the one that the method takes",
                field="",
                reason="MESSAGE_MISSING",
            )
        return message

    def _give_up(self) -> None:
        """Cancels the calls that have waited for too long, and looks again if others wait."""
        now_s = time.monotonic()
        late = [task for task, since_s in self._since_s.items() if now_s - since_s >= self._limit_s]
        for task in late:
            del self._since_s[task]
            task.cancel()
        self._timer = None
        if self._since_s:
            first_s = next(iter(self._since_s.values()))
            wait_s = first_s + self._limit_s - now_s
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._give_up)
