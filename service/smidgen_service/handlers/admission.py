"""Admission: some inferences compute, some wait, and more are refused.

Tenants share what there is: the places to compute by time, and the queue by requests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from smidgen_service.errors import DeadlineError, OverloadedError
from smidgen_service.handlers.arrivals import Arrival, Arrivals
from smidgen_service.handlers.places import Places
from smidgen_service.handlers.queue import Queue, Waiting
from smidgen_service.handlers.turns import Turns
from smidgen_service.metrics import Metrics
from smidgen_service.store.tenancy import current_tenant

_RETRY_AFTER_S = 0.1  # where no times are known yet
_LEAST_RETRY_S, _MOST_RETRY_S = 0.01, 10.0
_NEWS = 0.1  # what the latest request weighs in an average


@dataclass(frozen=True, slots=True)
class _Turn:
    """Somebody's turn.

    Attributes:
        granted: Done when it comes.
        may_be_early: Whether a promise of a place is as good as a place.
    """

    granted: asyncio.Future[None]
    may_be_early: bool

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.granted.done()


class Admission:
    """The queue in front of the engines, for the event loop's thread alone.

    Args:
        metrics: Shows how many compute and how many wait.
        most_running: Computations at the same time.
        most_queued: Requests that wait, joined with others or not.
        most_wait_s: How long a request may wait, in seconds; None for no limit.
        lead_s: How long before a computation's expected end the next one's turn may come, in
            seconds. For callers that compute in as many threads as there are places, where what
            comes early waits.
        clock: Seconds, like time.perf_counter.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        most_running: int,
        most_queued: int,
        most_wait_s: float | None = None,
        lead_s: float = 0.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._places = places = Places(most_running, lead_s=lead_s, clock=clock)
        self._queue = queue = Queue(places, clock)
        metrics.queue_depth.set_function(lambda: len(queue) + places.promised)
        metrics.inflight_requests.set_function(lambda: places.taken - places.promised)
        metrics.queue_oldest.set_function(queue.oldest_time_s)
        self._clock = clock
        self._most_queued = most_queued
        self._most_wait_s = most_wait_s
        self._turns: Turns[_Turn] = Turns(attrgetter("is_over"))
        self._look_again: asyncio.TimerHandle | None = None
        self._arrivals = Arrivals(clock)
        self._usual_s = 0.0  # what a request is estimated to take
        self._preparing_s = 0.0  # how long its input is made, before it asks for a place

    def expect(self, tenant: str) -> Arrival:
        """Counts a request of which nothing but the headers is there, until it arrives or leaves.

        Raises:
            OverloadedError: it would be refused whatever it is, by those that wait, that compute
                and that are on their way.
        """
        coming = self._arrivals.by_tenant()
        if coming or not self._places.has_free:
            self._check_arrival(tenant, coming)
        return self._arrivals.add(tenant)

    def note_usual(self, estimate_s: float) -> None:
        """Notes what a request takes, for those of which nothing is known yet."""
        self._usual_s += _NEWS * (estimate_s - self._usual_s)

    def _note_preparing(self, seconds: float) -> None:
        self._preparing_s += _NEWS * (seconds - self._preparing_s)

    def place(self, deadline_s: float | None, estimate_s: float = 0.0) -> Place:
        """Returns what holds a place to compute for the time of an `async with` block.

        Entering it raises OverloadedError if the queue is full or the request waited for too long,
        and DeadlineError if the time is over before a place is free, or would be.

        Args:
            deadline_s: Seconds left to the caller; None for no limit.
            estimate_s: How long the computation may take; 0 if that is not known.
        """
        return Place(self, deadline_s, estimate_s)

    @asynccontextmanager
    async def shared_place(self, tenant: str, estimate_s: float) -> AsyncIterator[None]:
        """Holds a place for requests that are `waiting` themselves.

        Args:
            tenant: Whose they are.
            estimate_s: How long all of them may take.
        """
        await self._turn(tenant, estimate_s)
        ends_s = self._begin(estimate_s)
        try:
            yield
        finally:
            self.end(ends_s)

    @asynccontextmanager
    async def own_place(self, waiting: Waiting) -> AsyncIterator[None]:
        """Holds a place for a request that is `waiting` until then.

        Raises:
            OverloadedError: the request waited for too long, or had to make room.
            DeadlineError: the time is over before a place is free, or would be.
        """
        self._note_preparing(self._clock() - waiting.came_s)
        await self._take_turn(waiting)
        waiting.leave()
        ends_s = self._begin(waiting.estimate_s)
        try:
            yield
        finally:
            self.end(ends_s)

    async def begin(self, deadline_s: float | None, estimate_s: float) -> float:
        """Takes a place, which `end` gives back, and returns what `end` wants to know.

        Raises:
            OverloadedError: the queue is full, or the request waited for too long.
            DeadlineError: the time is over before a place is free, or would be.
        """
        if (deadline_s is not None and deadline_s <= 0) or not self._places.take():
            await self._wait(deadline_s, estimate_s)
        else:
            self.note_usual(estimate_s)
        return self._begin(estimate_s)

    def end(self, expected_end_s: float) -> None:
        """Gives a place back."""
        self._places.end(expected_end_s)
        self._release()

    async def _wait(self, deadline_s: float | None, estimate_s: float) -> None:
        with self.waiting(deadline_s, estimate_s) as waiting:
            self._note_preparing(0.0)
            await self._take_turn(waiting)

    async def _take_turn(self, waiting: Waiting) -> None:
        left_s = None if waiting.ends_s is None else waiting.ends_s - time.perf_counter()
        try:
            async with asyncio.timeout(left_s):
                await self._turn(waiting.tenant, waiting.estimate_s, waiting)
        except TimeoutError:
            raise late_in_queue() from None
        try:
            waiting.check(self._places.wait_s())
        except DeadlineError:
            self._release()
            raise

    @contextmanager
    def waiting(self, deadline_s: float | None, estimate_s: float) -> Iterator[Waiting]:
        """Counts a request as waiting until it leaves the queue or the block ends.

        Raises:
            OverloadedError: the queue is full.
            DeadlineError: the request would be late.
        """
        tenant = current_tenant()
        self._check_deadline(tenant, deadline_s, estimate_s)
        self._check_wait(tenant, estimate_s)
        self._make_room(tenant)
        self.note_usual(estimate_s)
        waiting = self._queue.add(tenant, estimate_s, deadline_s)
        timer = self._limit_wait(waiting)
        try:
            yield waiting
        finally:
            waiting.leave()
            if timer is not None:
                timer.cancel()

    @property
    def has_place(self) -> bool:
        """Whether a computation may begin at once."""
        return self._places.has_free

    @property
    def expected_wait_s(self) -> float:
        """How long a request of this tenant that comes now may wait, in seconds."""
        return self._queue.expected_wait_s(current_tenant())

    async def _turn(self, tenant: str, estimate_s: float, waiting: Waiting | None = None) -> None:
        """Takes a place, after those whose turn comes before.

        Raises:
            OverloadedError: `waiting` was put out of the queue.
        """
        if self._places.take():
            return
        granted = asyncio.get_running_loop().create_future()
        # Who computes for several lets as many as possible come until its turn.
        turn = self._turns.add(tenant, estimate_s, _Turn(granted, waiting is not None))
        self._look_ahead()

        def refuse(error: OverloadedError) -> None:
            if not granted.done():
                granted.set_exception(error)

        if waiting is not None:
            waiting.on_refusal(refuse)
        try:
            await granted
        except BaseException:
            self._turns.remove(turn)
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self._release()  # the place came just as the caller gave up
            raise

    def _release(self) -> None:
        """Hands a place to whose turn it is, or keeps it free."""
        if self._places.give_back() and (turn := self._turns.take()) is not None:
            self._places.take()
            turn.granted.set_result(None)
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Lets those have their turn whose place will soon be free, and looks again for others."""
        if self._look_again is not None:
            self._look_again.cancel()
            self._look_again = None
        while (following := self._turns.peek()) is not None and following.may_be_early:
            if not self._places.promise():
                break
            self._turns.take()
            following.granted.set_result(None)
        else:
            return
        due_s = self._places.due_in_s()
        if due_s is not None:
            loop = asyncio.get_running_loop()
            self._look_again = loop.call_later(due_s, self._look_ahead)

    def _make_room(self, tenant: str) -> None:
        """Makes sure that one more may wait, if need be in place of the last of another tenant.

        Raises:
            OverloadedError: no other has two more waiting than this one.
        """
        if self._has_room(len(self._queue)):
            return
        lengths = self._queue.lengths()
        longest = max(lengths, key=lengths.__getitem__, default=tenant)
        if lengths.get(longest, 0) < lengths.get(tenant, 0) + 2:
            raise self._full(tenant)
        self._queue.last_of(longest).refuse(partial(self._full, longest))

    def _has_room(self, queued: int) -> bool:
        """Tells whether one more may wait where so many do."""
        # Requests that may be joined are counted even if there are places for them.
        return queued < self._most_queued + self._places.count - self._places.taken

    def _check_arrival(self, tenant: str, coming: Mapping[str, int]) -> None:
        """Refuses what `waiting` would, if those on their way were there.

        Raises:
            OverloadedError: the queue would be full, or the wait too long.
        """
        count = sum(coming.values())
        if self._most_wait_s is not None:
            wait_s = self._queue.expected_wait_s(tenant, coming=coming, usual_s=self._usual_s)
            wait_s -= self._arrivals.usual_s + self._preparing_s
            if wait_s > self._most_wait_s:
                raise self._would_wait(tenant, wait_s, self._most_wait_s)
        if self._has_room(len(self._queue) + count):
            return
        lengths = self._queue.lengths()
        for one, number in coming.items():
            lengths[one] = lengths.get(one, 0) + number
        # Others' may have to make room when it arrives.
        if max(lengths.values(), default=0) < lengths.get(tenant, 0) + 2:
            raise self._full(tenant, count)

    def _full(self, tenant: str, coming: int = 0) -> OverloadedError:
        queued = len(self._queue) + coming
        running = self._places.taken - self._places.promised
        return OverloadedError(
            f"requests computed: {running}, waiting or on their way: {queued}, and no more may "
            "wait; try again later, or ask the operator for a longer queue",
            retry_after_s=self._retry_after_s(tenant),
            queued=queued,
        )

    def _check_wait(self, tenant: str, estimate_s: float) -> None:
        """Refuses at once what would be refused later: a refusal is worth more early."""
        if self._most_wait_s is None:
            return
        wait_s = self._queue.expected_wait_s(tenant, estimate_s) - self._preparing_s
        if wait_s > self._most_wait_s:
            raise self._would_wait(tenant, wait_s, self._most_wait_s)

    def _would_wait(self, tenant: str, wait_s: float, most_s: float) -> OverloadedError:
        return self._too_long(
            f"would wait {wait_s * 1e3:.1f} ms, and may wait {most_s * 1e3:g} ms", tenant, most_s
        )

    def _too_long(self, found: str, tenant: str, most_s: float) -> OverloadedError:
        return OverloadedError(
            f"the request {found}; try again later",
            retry_after_s=self._retry_after_s(tenant),
            reason="QUEUE_TIMEOUT",
            most_ms=round(most_s * 1e3),
        )

    def _limit_wait(self, waiting: Waiting) -> asyncio.TimerHandle | None:
        if self._most_wait_s is None:
            return None
        loop = asyncio.get_running_loop()
        error = partial(self._waited, waiting.tenant, self._most_wait_s)
        return loop.call_later(self._most_wait_s, waiting.refuse, error)

    def _waited(self, tenant: str, most_s: float) -> OverloadedError:
        return self._too_long(
            f"has waited for {most_s * 1e3:g} ms, and may not for longer", tenant, most_s
        )

    def _check_deadline(self, tenant: str, deadline_s: float | None, estimate_s: float) -> None:
        if deadline_s is None:
            return
        if deadline_s <= 0:
            raise DeadlineError("the deadline had passed before the request was computed")
        # A server with a free place always tries: an estimate that is too long is put right so.
        wait_s = self._queue.expected_wait_s(tenant, estimate_s)
        if wait_s > 0 and wait_s + estimate_s > deadline_s:
            raise DeadlineError(
                f"the request has {deadline_s * 1e3:.0f} ms, and would wait {wait_s * 1e3:.0f} ms "
                f"and compute {estimate_s * 1e3:.0f} ms; allow more time, or try again later",
                left_ms=round(deadline_s * 1e3),
                expected_ms=round((wait_s + estimate_s) * 1e3),
            )

    def _retry_after_s(self, tenant: str) -> float:
        wait_s = self._queue.expected_wait_s(tenant)
        return min(max(wait_s, _LEAST_RETRY_S), _MOST_RETRY_S) if wait_s > 0 else _RETRY_AFTER_S

    def _begin(self, estimate_s: float) -> float:
        ends_s = self._places.begin(estimate_s)
        if len(self._queue):
            self._look_ahead()
        return ends_s


class Place:
    """A place to compute, for the time of an `async with` block."""

    __slots__ = ("_admission", "_deadline_s", "_ends_s", "_estimate_s")

    def __init__(self, admission: Admission, deadline_s: float | None, estimate_s: float) -> None:
        self._admission = admission
        self._deadline_s = deadline_s
        self._estimate_s = estimate_s
        self._ends_s = 0.0

    async def __aenter__(self) -> None:
        self._ends_s = await self._admission.begin(self._deadline_s, self._estimate_s)

    async def __aexit__(self, *_error: object) -> None:
        self._admission.end(self._ends_s)


def late_in_queue() -> DeadlineError:
    """Returns the answer to a request whose time ran out while it waited."""
    return DeadlineError("the deadline passed while the request waited for its turn")
