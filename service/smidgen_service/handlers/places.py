"""Places to compute: how many are free, and when those that are taken will be."""

from __future__ import annotations

from collections.abc import Callable


class Places:
    """A number of places, some of which are promised to somebody before they are free.

    Whoever has a promise is in line for a thread when the computation before it ends, so that no
    turn of the event loop comes between the two.

    Args:
        count: Computations at the same time.
        lead_s: How long before its expected end a place may be promised, in seconds; 0 makes no
            promises.
        clock: Seconds, like time.perf_counter.
    """

    def __init__(self, count: int, *, lead_s: float, clock: Callable[[], float]) -> None:
        self.count = count
        self._lead_s = lead_s
        self._clock = clock
        self._free = count
        self._promises = 0  # given and not yet kept, whether or not their computations began
        self._ends_s: list[float] = []  # as far as they are expected, of promised ones too

    @property
    def has_free(self) -> bool:
        """Whether a computation may begin at once."""
        return self._free > 0

    @property
    def taken(self) -> int:
        """Computations that have begun, and those that wait for a place they were promised."""
        return len(self._ends_s)

    @property
    def promised(self) -> int:
        """Of those: how many wait for their place."""
        return max(0, len(self._ends_s) - self.count)

    def take(self) -> bool:
        """Takes a place if one is free."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    def give_back(self) -> bool:
        """Gives a place back; tells whether it goes to nobody who was promised it."""
        if self._promises:
            self._promises -= 1
            return False
        self._free += 1
        return True

    def begin(self, estimate_s: float) -> float:
        """Notes a computation in a place that was taken or promised; returns its expected end."""
        ends_s = self._clock() + self.wait_s() + estimate_s
        self._ends_s.append(ends_s)
        return ends_s

    def end(self, expected_end_s: float) -> None:
        """Forgets a computation."""
        self._ends_s.remove(expected_end_s)

    def wait_s(self) -> float:
        """Returns in how many seconds the next computation may begin."""
        if len(self._ends_s) < self.count:
            return 0.0
        return max(0.0, sorted(self._ends_s)[self.promised] - self._clock())

    def left_s(self) -> float:
        """Returns how long all places together are still taken, in seconds."""
        now_s = self._clock()
        last = sorted(self._ends_s)[self.promised :]
        return sum(max(0.0, ends_s - now_s) for ends_s in last)

    def promise(self) -> bool:
        """Promises a place if one will soon be free; `give_back` keeps the promise."""
        due_s = self.due_in_s()
        if due_s is None or due_s > 0:
            return False
        self._promises += 1
        return True

    def due_in_s(self) -> float | None:
        """Returns in how many seconds a place may be promised; None if that is not known."""
        if not self._lead_s or self._promises >= min(self.count, len(self._ends_s)):
            return None
        return sorted(self._ends_s)[self._promises] - self._lead_s - self._clock()
