"""Requests whose messages are on their way."""

from __future__ import annotations

import pytest

from smidgen_service.handlers.arrivals import MOST_AGE_S, Arrivals


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_each_counts_for_its_tenant_until_it_is_there_or_gone() -> None:
    arrivals = Arrivals(Clock())
    first, second, other = arrivals.add("a"), arrivals.add("a"), arrivals.add("b")
    assert arrivals.by_tenant() == {"a": 2, "b": 1}
    first.arrived()
    first.leave()  # which every call does at its end
    other.leave()
    assert arrivals.by_tenant() == {"a": 1}
    second.leave()
    assert arrivals.by_tenant() == {}


def test_who_says_nothing_counts_for_a_moment() -> None:
    clock = Clock()
    arrivals = Arrivals(clock)
    silent = arrivals.add("a")
    clock.now_s += 0.75 * MOST_AGE_S
    arrivals.add("a")
    assert arrivals.by_tenant() == {"a": 2}
    clock.now_s += 0.5 * MOST_AGE_S
    assert arrivals.by_tenant() == {"a": 1}
    silent.leave()
    assert arrivals.by_tenant() == {"a": 1}


def test_how_long_messages_take_is_an_average() -> None:
    clock = Clock()
    arrivals = Arrivals(clock)
    for _ in range(100):
        arrival = arrivals.add("a")
        clock.now_s += 0.002
        arrival.arrived()
    assert arrivals.usual_s == pytest.approx(0.002, rel=0.01)
    late = arrivals.add("a")
    clock.now_s += 60.0  # one that sends its message in the last second
    late.arrived()
    assert arrivals.usual_s < 0.1 * MOST_AGE_S + 0.002
    arrivals.add("a").leave()  # one that never sends any
    assert arrivals.usual_s > 0.002
