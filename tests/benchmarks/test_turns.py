"""How calls are spread over turns."""

from __future__ import annotations

from typing import cast

import pytest

from benchmarks.turns import measure
from benchmarks.worker import Worker


class Repeating:
    """Takes a second longer in each of its turns, by a clock of its own."""

    def __init__(self, order: list[str], name: str) -> None:
        self._order = order
        self._name = name
        self._turns = 0

    def time(self, calls: int) -> list[float]:
        self._order.append(self._name)
        self._turns += 1
        return [float(self._turns)] * calls


def test_contestants_take_turns_and_keep_the_median_of_each() -> None:
    order: list[str] = []
    workers = {name: cast(Worker, Repeating(order, name)) for name in ("ours", "peer")}
    found = measure(workers, 2, lambda: order.append("look"))
    assert order[-7:] == ["look", "ours", "peer", "look", "ours", "peer", "look"]
    # The first two turns find out how many calls fill one: here one call does.
    assert found["peer"].turns_ms == pytest.approx((3000.0, 4000.0))
    assert found["peer"].calls == 2
