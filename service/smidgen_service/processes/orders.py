"""The orders of the control process, carried out by a front."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from smidgen.errors import SmidgenError
from smidgen_service.faults import hide
from smidgen_service.jobs.frames import Frame
from smidgen_service.processes.link import ANSWER, ERROR, Link, error_fields

Order = Callable[[Frame], Awaitable[bytes]]
"""Carries an order out and returns what belongs to its answer. What it does before it first waits
is done before any later order."""


class Orders:
    """Reads orders and answers each once it is carried out.

    Args:
        link: To the control process.
        in_turn: Orders before whose end no later one begins, by their kinds.
        at_once: Orders that may take long.
        last: One of them, with whose answer the line ends.
    """

    def __init__(
        self,
        link: Link,
        *,
        in_turn: Mapping[str, Order],
        at_once: Mapping[str, Order],
        last: str,
    ) -> None:
        self._link = link
        self._in_turn = in_turn
        self._at_once = at_once
        self._last = last
        self._running: set[asyncio.Task[None]] = set()

    async def follow(self) -> None:
        """Returns once the line has ended."""
        while (frame := await self._link.receive()) is not None:
            order = self._in_turn.get(frame.kind)
            if order is not None:
                await self._carry_out(order, frame)
                continue
            task = asyncio.create_task(self._carry_out(self._at_once[frame.kind], frame))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            await asyncio.sleep(0)  # lets it begin before the next

    async def _carry_out(self, order: Order, frame: Frame) -> None:
        try:
            payload = await order(frame)
        except Exception as found:  # whatever it is, the control process hears of it
            error = found if isinstance(found, SmidgenError) else hide(found, "front_fault")
            self._answer(ERROR, frame, error_fields(error))
        else:
            self._answer(ANSWER, frame, {}, payload)
        if frame.kind == self._last:
            self._link.close()

    def _answer(
        self, kind: str, frame: Frame, fields: Mapping[str, object], payload: bytes = b""
    ) -> None:
        number = frame.fields["number"]
        if number is not None:
            self._link.send(kind, {**fields, "number": number}, payload)
