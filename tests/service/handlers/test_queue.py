"""How long requests may wait, by those of their own tenant and of others."""

from __future__ import annotations

import pytest

from smidgen_service.handlers.places import Places
from smidgen_service.handlers.queue import Queue


def full_places(*estimates_s: float) -> Places:
    """Returns places that are taken since 0 seconds for as long as the estimates say."""
    places = Places(len(estimates_s), lead_s=0.0, clock=lambda: 0.0)
    for estimate_s in estimates_s:
        assert places.take()
        places.begin(estimate_s)
    return places


def make_queue(*estimates_s: float) -> Queue:
    return Queue(full_places(*estimates_s), clock=lambda: 0.0)


def test_nobody_waits_while_a_place_is_free() -> None:
    queue = Queue(Places(1, lead_s=0.0, clock=lambda: 0.0), clock=lambda: 0.0)
    queue.add("a", 5.0, None)
    assert queue.expected_wait_s("a") == 0.0


def test_the_first_waits_for_the_computation_that_ends_first() -> None:
    assert make_queue(3.0, 2.0).expected_wait_s("a") == 2.0


def test_what_waits_and_computes_is_divided_by_the_places() -> None:
    queue = make_queue(3.0, 2.0)
    queue.add("a", 4.0, None)
    queue.add("a", 1.0, None)
    assert queue.expected_wait_s("a") == (3.0 + 2.0 + 4.0 + 1.0) / 2


def test_another_tenant_gets_no_more_than_the_own_one_up_to_the_request() -> None:
    queue = make_queue(1.0)
    queue.add("a", 2.0, None)
    for _ in range(10):
        queue.add("b", 2.0, None)
    assert queue.expected_wait_s("a", 3.0) == 1.0 + 2.0 + (2.0 + 3.0)
    assert queue.expected_wait_s("b") == 1.0 + 20.0 + 2.0


def test_what_is_on_its_way_counts_as_if_it_waited() -> None:
    queue = make_queue(1.0)
    queue.add("a", 2.0, None)
    waits_s = queue.expected_wait_s("a", coming={"a": 2, "b": 1}, usual_s=0.5)
    assert waits_s == 1.0 + (2.0 + 2 * 0.5) + 0.5


def test_what_is_on_its_way_may_find_a_place() -> None:
    places = Places(2, lead_s=0.0, clock=lambda: 0.0)
    queue = Queue(places, clock=lambda: 0.0)
    assert queue.expected_wait_s("a", coming={"a": 1}, usual_s=9.0) == 0.0
    assert queue.expected_wait_s("a", coming={"a": 2}, usual_s=9.0) == 9.0


def test_who_left_is_not_counted_nor_last() -> None:
    queue = make_queue(1.0)
    first, second = (queue.add("a", 2.0, None) for _ in range(2))
    assert queue.last_of("a") is second
    second.leave()
    second.leave()
    assert (len(queue), queue.lengths(), queue.last_of("a")) == (1, {"a": 1}, first)
    assert queue.oldest_time_s() == first.since_s
    first.leave()
    assert (len(queue), queue.lengths(), queue.oldest_time_s()) == (0, {}, 0.0)
    assert queue.expected_wait_s("a") == pytest.approx(1.0)
