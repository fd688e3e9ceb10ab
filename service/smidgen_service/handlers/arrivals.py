"""Requests on their way: of those the headers are there, and the messages are not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

MOST_AGE_S = 0.05
"""A message takes a millisecond or two. Whoever sends one so much later does not count: a client
that says nothing must not keep others out."""
_NEWS = 0.1  # what the latest one weighs in an average


class Arrival:
    """One request on its way.

    Attributes:
        tenant: Whose it is.
        since_s: When its headers came, by the clock of all arrivals.
    """

    __slots__ = ("_arrivals", "since_s", "tenant")

    def __init__(self, arrivals: Arrivals, tenant: str, since_s: float) -> None:
        self._arrivals = arrivals
        self.tenant = tenant
        self.since_s = since_s

    def arrived(self) -> None:
        """Counts it no longer, and notes how long its message took."""
        self._arrivals.note_arrival(self)

    def leave(self) -> None:
        """Counts it no longer, if it still is counted."""
        self._arrivals.forget(self)


class Arrivals:
    """Counts requests on their way, for the event loop's thread alone.

    Attributes:
        usual_s: How long messages take after their headers, in seconds; MOST_AGE_S at most.

    Args:
        clock: Seconds, like time.perf_counter.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # In the order in which they came.
        self._coming: dict[Arrival, None] = {}
        self._of_tenant: dict[str, int] = defaultdict(int)
        self.usual_s = 0.0

    def add(self, tenant: str) -> Arrival:
        """Counts a request until it has arrived, leaves or is MOST_AGE_S old."""
        arrival = Arrival(self, tenant, self._clock())
        self._coming[arrival] = None
        self._of_tenant[tenant] += 1
        return arrival

    def note_arrival(self, arrival: Arrival) -> None:
        """Counts one no longer whose message is there."""
        age_s = min(self._clock() - arrival.since_s, MOST_AGE_S)
        self.usual_s += _NEWS * (age_s - self.usual_s)
        self.forget(arrival)

    def forget(self, arrival: Arrival) -> None:
        """Counts one no longer."""
        if arrival not in self._coming:
            return
        del self._coming[arrival]
        self._of_tenant[arrival.tenant] -= 1
        if not self._of_tenant[arrival.tenant]:
            del self._of_tenant[arrival.tenant]

    def by_tenant(self) -> dict[str, int]:
        """Returns how many each tenant has on their way that has any."""
        if self._coming:
            oldest_s = self._clock() - MOST_AGE_S
            while (first := next(iter(self._coming), None)) and first.since_s < oldest_s:
                self.forget(first)
        return self._of_tenant
