"""Whose turn it is: those of one tenant in their order, tenants by how much they got so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_LEAST_COST_S = 1e-4
"""What is charged where nothing is known yet, so that tenants get as many turns as each other."""


@dataclass(frozen=True, slots=True, eq=False)
class Turn(Generic[T]):
    """Something that waits.

    Attributes:
        tenant: For whom.
        cost_s: How long a place will be held, in seconds.
        item: What waits.
    """

    tenant: str
    cost_s: float
    item: T


class Turns(Generic[T]):
    """A queue that is fair to tenants: each that waits gets the same time.

    Every tenant has a clock that is put forward by what its turns cost, and the tenant whose clock
    is behind comes next. Whoever begins to wait starts at the clock of the one that came last: what
    was not asked for is not made up for.

    Args:
        is_over: Tells of an item whether it does not wait any more; such ones get no turn.
    """

    def __init__(self, is_over: Callable[[T], bool]) -> None:
        self._is_over = is_over
        self._waiting: dict[str, deque[Turn[T]]] = {}
        self._clocks_s: dict[str, float] = {}
        self._now_s = 0.0

    def add(self, tenant: str, cost_s: float, item: T) -> Turn[T]:
        """Puts something behind what its tenant has waiting."""
        turn = Turn(tenant, max(cost_s, _LEAST_COST_S), item)
        if tenant not in self._waiting:
            self._waiting[tenant] = deque()
            self._clocks_s[tenant] = max(self._clocks_s.get(tenant, 0.0), self._now_s)
        self._waiting[tenant].append(turn)
        return turn

    def remove(self, turn: Turn[T]) -> None:
        """Takes out what does not wait any more, if it is still there; it costs nothing."""
        turns = self._waiting.get(turn.tenant)
        if turns is not None and turn in turns:
            turns.remove(turn)
            self._forget(turn.tenant)

    def peek(self) -> T | None:
        """Returns what comes next, and drops what would if it still waited."""
        while self._waiting:
            tenant = self._first()
            turn = self._waiting[tenant][0]
            if not self._is_over(turn.item):
                return turn.item
            self._waiting[tenant].popleft()
            self._forget(tenant)
        return None

    def take(self) -> T | None:
        """Takes out what comes next and charges its tenant; None where nothing waits."""
        item = self.peek()
        if item is None:
            return None
        tenant = self._first()
        turn = self._waiting[tenant].popleft()
        self._now_s = self._clocks_s[tenant]
        self._clocks_s[tenant] += turn.cost_s
        self._forget(tenant)
        return item

    def _first(self) -> str:
        """Returns whose turn it is: of equals, of who came first."""
        return min(self._waiting, key=self._clocks_s.__getitem__)

    def _forget(self, tenant: str) -> None:
        """Drops an empty queue, and the clocks of those that have nothing left to wait off."""
        if not self._waiting[tenant]:
            del self._waiting[tenant]
        if not self._waiting:
            self._clocks_s.clear()
            self._now_s = 0.0
