"""The requests that wait for a place to compute, and how long others would."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from smidgen_service.errors import DeadlineError, OverloadedError
from smidgen_service.handlers.places import Places

_NOBODY: Mapping[str, int] = {}


class Waiting:
    """One request in the queue.

    Attributes:
        tenant: Whose it is.
        estimate_s: How long its computation may take, in seconds.
        ends_s: Its deadline by time.perf_counter; None for none.
        came_s: When it came, by the clock of the queue.
        since_s: The same in seconds since 1970.
    """

    def __init__(
        self,
        queue: Queue,
        tenant: str,
        estimate_s: float,
        ends_s: float | None,
        came_s: float,
    ) -> None:
        self._queue = queue
        self._is_queued = True
        self._refusal: OverloadedError | None = None
        self._tell: Callable[[OverloadedError], None] | None = None
        self._on_leaving: Callable[[], None] | None = None
        self.tenant = tenant
        self.estimate_s = estimate_s
        self.ends_s = ends_s
        self.came_s = came_s
        self.since_s = time.time()

    def leave(self) -> None:
        """Frees its place in the queue, if it still has one."""
        if self._is_queued:
            self._is_queued = False
            self._queue.remove(self)
            if self._on_leaving is not None:
                self._on_leaving()

    def on_leaving(self, tell: Callable[[], None]) -> None:
        """Has a function told when it leaves the queue."""
        self._on_leaving = tell

    def refuse(self, make_error: Callable[[], OverloadedError]) -> None:
        """Puts it out of the queue if it is still there; whoever waits for its turn is told."""
        if not self._is_queued:
            return
        self.leave()
        self._refusal = make_error()
        if self._tell is not None:
            self._tell(self._refusal)

    def on_refusal(self, tell: Callable[[OverloadedError], None]) -> None:
        """Has a function told of the refusal, at once if it was before."""
        self._tell = tell
        if self._refusal is not None:
            tell(self._refusal)

    def check(self, wait_s: float = 0.0) -> None:
        """Checks once more that the time is enough, before anything is computed.

        Args:
            wait_s: How long it will be until the computation begins, in seconds.

        Raises:
            DeadlineError: it is not.
        """
        needed_s = wait_s + self.estimate_s
        if self.ends_s is not None and self.ends_s - time.perf_counter() < needed_s:
            raise DeadlineError(
                "too little time was left when the request's turn came; allow more time"
            )


class Queue:
    """Requests that wait, by tenant, for the event loop's thread alone.

    Args:
        places: What they wait for.
        clock: Seconds, like time.perf_counter.
    """

    def __init__(self, places: Places, clock: Callable[[], float]) -> None:
        self._places = places
        self._clock = clock
        # In the order in which they came; of the values of a dict one can be taken out.
        self._waiting: dict[str, dict[Waiting, None]] = defaultdict(dict)
        self._count = 0
        self._seconds: dict[str, float] = defaultdict(float)

    def __len__(self) -> int:
        """Returns how many wait."""
        return self._count

    def add(self, tenant: str, estimate_s: float, deadline_s: float | None) -> Waiting:
        """Counts a request until it leaves.

        Args:
            tenant: Whose it is.
            estimate_s: How long its computation may take, in seconds.
            deadline_s: Seconds left to the caller; None for no limit.
        """
        ends_s = None if deadline_s is None else time.perf_counter() + deadline_s
        waiting = Waiting(self, tenant, estimate_s, ends_s, self._clock())
        self._count += 1
        self._seconds[tenant] += estimate_s
        self._waiting[tenant][waiting] = None
        return waiting

    def remove(self, waiting: Waiting) -> None:
        """Counts one that leaves no longer."""
        tenant = waiting.tenant
        self._count -= 1
        self._seconds[tenant] -= waiting.estimate_s
        del self._waiting[tenant][waiting]
        if not self._waiting[tenant]:
            # Sums of floats drift, an empty queue puts them right.
            del self._waiting[tenant], self._seconds[tenant]

    def lengths(self) -> dict[str, int]:
        """Returns how many of each tenant wait that has any."""
        return {tenant: len(waiting) for tenant, waiting in self._waiting.items()}

    def last_of(self, tenant: str) -> Waiting:
        """Returns which request of a tenant that has some came last."""
        return next(reversed(self._waiting[tenant]))

    def oldest_time_s(self) -> float:
        """Returns since when somebody waits, in seconds since 1970, to any thread; 0 for nobody."""
        firsts = (next(iter(waiting.copy()), None) for waiting in list(self._waiting.values()))
        return min((first.since_s for first in firsts if first is not None), default=0.0)

    def expected_wait_s(
        self,
        tenant: str,
        estimate_s: float = 0.0,
        *,
        coming: Mapping[str, int] = _NOBODY,
        usual_s: float = 0.0,
    ) -> float:
        """Returns how long a request may wait, in seconds; 0 while there is a place for it.

        What computes ends when its estimate says, or now if that is over. Other tenants get no more
        before a request than its own tenant does up to it.

        Args:
            tenant: Whose it is.
            estimate_s: How long its own computation may take, in seconds.
            coming: How many of each tenant are on their way before it.
            usual_s: How long the computation of each of these may take, in seconds.
        """
        places = self._places
        before = sum(coming.values())
        has_free = before < places.count - places.taken if before else places.has_free
        if has_free:
            return 0.0
        if not self._count and not before:
            return places.wait_s()
        seconds = self._seconds_with(coming, usual_s)
        own_s = seconds.pop(tenant, 0.0)
        others_s = sum(min(other_s, own_s + estimate_s) for other_s in seconds.values())
        return (own_s + others_s + places.left_s()) / places.count

    def _seconds_with(self, coming: Mapping[str, int], usual_s: float) -> dict[str, float]:
        """Returns how long all that wait and come may compute, by tenant."""
        found = dict(self._seconds)
        for tenant, count in coming.items():
            found[tenant] = found.get(tenant, 0.0) + count * usual_s
        return found
