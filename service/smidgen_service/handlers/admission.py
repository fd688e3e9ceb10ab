"""Admission: some inferences compute, some wait, and more are refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from smidgen_service.errors import DeadlineError, OverloadedError
from smidgen_service.metrics import Metrics

_RETRY_AFTER_S = 0.1  # where no times are known yet
_LEAST_RETRY_S, _MOST_RETRY_S = 0.01, 10.0


class Waiting:
    """One request in the queue.

    Attributes:
        estimate_s: How long its computation may take, in seconds.
        ends_s: Its deadline by time.perf_counter; None for none.
    """

    def __init__(self, admission: Admission, estimate_s: float, ends_s: float | None) -> None:
        self._admission = admission
        self._is_queued = True
        self.estimate_s = estimate_s
        self.ends_s = ends_s

    def leave(self) -> None:
        """Frees its place in the queue, if it still has one."""
        if self._is_queued:
            self._is_queued = False
            self._admission.dequeue(self.estimate_s)

    def check(self) -> None:
        """Checks once more that the time is enough, before anything is computed.

        Raises:
            DeadlineError: it is not.
        """
        if self.ends_s is not None and self.ends_s - time.perf_counter() < self.estimate_s:
            raise DeadlineError(
                "too little time was left when the request's turn came; allow more time"
            )


class Admission:
    """The queue in front of the engines, for the event loop's thread alone.

    Args:
        metrics: Shows how many compute and how many wait.
        most_running: Computations at the same time.
        most_queued: Requests that wait, joined with others or not.
    """

    def __init__(self, metrics: Metrics, *, most_running: int, most_queued: int) -> None:
        metrics.queue_depth.set_function(lambda: self._queued)
        metrics.inflight_requests.set_function(lambda: self._running_count)
        self._most_running = most_running
        self._places = asyncio.Semaphore(most_running)
        self._most_queued = most_queued
        self._queued = 0
        self._queued_s = 0.0
        self._running_count = 0
        self._running_s = 0.0

    def place(self, deadline_s: float | None, estimate_s: float = 0.0) -> Place:
        """Returns what holds a place to compute for the time of an `async with` block.

        Entering it raises OverloadedError if the queue is full, and DeadlineError if the time is
        over before a place is free, or would be.

        Args:
            deadline_s: Seconds left to the caller; None for no limit.
            estimate_s: How long the computation may take; 0 if that is not known.
        """
        return Place(self, deadline_s, estimate_s)

    @asynccontextmanager
    async def shared_place(self, estimate_s: float) -> AsyncIterator[None]:
        """Holds a place for requests that are `waiting` themselves.

        Args:
            estimate_s: How long one of them may take.
        """
        await self._places.acquire()
        self._begin(estimate_s)
        try:
            yield
        finally:
            self.end(estimate_s)

    async def begin(self, deadline_s: float | None, estimate_s: float) -> None:
        """Takes a place, which `end` gives back.

        Raises:
            OverloadedError: the queue is full.
            DeadlineError: the time is over before a place is free, or would be.
        """
        if self._places.locked() or (deadline_s is not None and deadline_s <= 0):
            await self._wait(deadline_s, estimate_s)
        else:
            await self._places.acquire()
        self._begin(estimate_s)

    def end(self, estimate_s: float) -> None:
        """Gives a place back."""
        self._running_count -= 1
        self._running_s = max(0.0, self._running_s - estimate_s)
        self._places.release()

    async def _wait(self, deadline_s: float | None, estimate_s: float) -> None:
        with self.waiting(deadline_s, estimate_s) as waiting:
            try:
                async with asyncio.timeout(deadline_s):
                    await self._places.acquire()
            except TimeoutError:
                raise late_in_queue() from None
            try:
                waiting.check()
            except DeadlineError:
                self._places.release()
                raise

    @contextmanager
    def waiting(self, deadline_s: float | None, estimate_s: float) -> Iterator[Waiting]:
        """Counts a request as waiting until it leaves the queue or the block ends.

        Raises:
            OverloadedError: the queue is full.
            DeadlineError: the request would be late.
        """
        self._check_deadline(deadline_s, estimate_s)
        # Requests that may be joined are counted even if there are places for them.
        if self._queued >= self._most_queued + self._most_running - self._running_count:
            raise OverloadedError(
                f"{self._queued} requests are waiting and no more may; try again later, "
                "or ask the operator for a longer queue",
                retry_after_s=self._retry_after_s(),
                queued=self._queued,
            )
        ends_s = None if deadline_s is None else time.perf_counter() + deadline_s
        waiting = Waiting(self, estimate_s, ends_s)
        self._queued += 1
        self._queued_s += estimate_s
        try:
            yield waiting
        finally:
            waiting.leave()

    def dequeue(self, estimate_s: float) -> None:
        """Counts one request less that waits."""
        self._queued -= 1
        # Sums of floats drift, an empty queue puts them right.
        self._queued_s = self._queued_s - estimate_s if self._queued else 0.0

    @property
    def expected_wait_s(self) -> float:
        """How long a request that comes now may wait, in seconds; 0 while a place is free.

        Running computations are taken to be half done.
        """
        if not self._places.locked():
            return 0.0
        return (self._queued_s + self._running_s / 2) / self._most_running

    def _check_deadline(self, deadline_s: float | None, estimate_s: float) -> None:
        if deadline_s is None:
            return
        if deadline_s <= 0:
            raise DeadlineError("the deadline had passed before the request was computed")
        # A server with a free place always tries: an estimate that is too long is put right so.
        wait_s = self.expected_wait_s
        if wait_s > 0 and wait_s + estimate_s > deadline_s:
            raise DeadlineError(
                f"the request has {deadline_s * 1e3:.0f} ms, and would wait {wait_s * 1e3:.0f} ms "
                f"and compute {estimate_s * 1e3:.0f} ms; allow more time, or try again later",
                left_ms=round(deadline_s * 1e3),
                expected_ms=round((wait_s + estimate_s) * 1e3),
            )

    def _retry_after_s(self) -> float:
        wait_s = self.expected_wait_s
        return min(max(wait_s, _LEAST_RETRY_S), _MOST_RETRY_S) if wait_s > 0 else _RETRY_AFTER_S

    def _begin(self, estimate_s: float) -> None:
        self._running_count += 1
        self._running_s += estimate_s


class Place:
    """A place to compute, for the time of an `async with` block."""

    __slots__ = ("_admission", "_deadline_s", "_estimate_s")

    def __init__(self, admission: Admission, deadline_s: float | None, estimate_s: float) -> None:
        self._admission = admission
        self._deadline_s = deadline_s
        self._estimate_s = estimate_s

    async def __aenter__(self) -> None:
        await self._admission.begin(self._deadline_s, self._estimate_s)

    async def __aexit__(self, *_error: object) -> None:
        self._admission.end(self._estimate_s)


def late_in_queue() -> DeadlineError:
    """Returns the answer to a request whose time ran out while it waited."""
    return DeadlineError("the deadline passed while the request waited for its turn")
