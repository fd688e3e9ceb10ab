"""Whose turn it is."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from smidgen_service.handlers.turns import Turns


def filled(*entries: tuple[str, float], over: str = "") -> Turns[str]:
    """Returns a queue of the tenants' turns, which are named a0, a1, b2 and so on."""
    turns = Turns[str](lambda item: item in over.split())
    for number, (tenant, cost_s) in enumerate(entries):
        turns.add(tenant, cost_s, f"{tenant}{number}")
    return turns


def drained(turns: Turns[str]) -> list[str]:
    found = []
    while (item := turns.take()) is not None:
        found.append(item)
    return found


def test_one_tenant_is_served_in_order() -> None:
    entries = [("a", cost_s) for cost_s in (3.0, 0.0, 1.0)]
    assert drained(filled(*entries)) == ["a0", "a1", "a2"]
    assert drained(filled()) == []


def test_tenants_of_equal_costs_alternate_however_many_one_has() -> None:
    flood = [("a", 1.0)] * 5
    assert drained(filled(*flood, ("b", 1.0), ("b", 1.0))) == [
        "a0",
        "b5",
        "a1",
        "b6",
        "a2",
        "a3",
        "a4",
    ]


def test_what_has_no_estimate_is_shared_by_count() -> None:
    flood = [("a", 0.0)] * 3
    assert drained(filled(*flood, ("b", 0.0), ("b", 0.0))) == ["a0", "b3", "a1", "b4", "a2"]


def test_cheap_turns_come_more_often() -> None:
    entries = [("a", 3.0)] * 3 + [("b", 1.0)] * 6
    assert drained(filled(*entries)) == ["a0", "b3", "b4", "b5", "a1", "b6", "b7", "b8", "a2"]


def test_who_comes_late_gets_its_turn_at_once_and_nothing_to_make_up_for_the_past() -> None:
    turns = filled(*[("a", 1.0)] * 8)
    assert [turns.take() for _ in range(4)] == ["a0", "a1", "a2", "a3"]
    for number in range(3):
        turns.add("b", 1.0, f"b{number}")
    assert drained(turns) == ["b0", "a4", "b1", "a5", "b2", "a6", "a7"]


def test_what_was_taken_out_or_is_over_costs_nothing() -> None:
    turns = filled(("a", 1.0), ("a", 1.0), ("b", 1.0), ("b", 1.0))
    removed = turns.add("a", 50.0, "gone")
    turns.remove(removed)
    turns.remove(removed)
    assert drained(turns) == ["a0", "b2", "a1", "b3"]
    entries = [("a", 1.0), ("a", 50.0), ("a", 1.0), ("b", 1.0), ("b", 1.0)]
    assert drained(filled(*entries, over="a1")) == ["a0", "b3", "a2", "b4"]
    assert drained(filled(*entries, over="a0 a1 a2 b3 b4")) == []


COSTS = st.lists(st.floats(0.001, 5.0), min_size=1, max_size=40)


@given(st.tuples(COSTS, COSTS, COSTS))
def test_tenants_that_wait_have_got_the_same_time_but_for_one_turn(
    costs: tuple[list[float], ...],
) -> None:
    turns = Turns[tuple[str, float]](lambda item: False)
    left = Counter[str]()
    for tenant, own in zip("abc", costs, strict=True):
        for cost_s in own:
            turns.add(tenant, cost_s, (tenant, cost_s))
            left[tenant] += 1
    got_s = dict.fromkeys("abc", 0.0)
    longest_s = max(map(max, costs))
    while all(left[tenant] for tenant in "abc"):
        taken = turns.take()
        assert taken is not None
        left[taken[0]] -= 1
        got_s[taken[0]] += taken[1]
        assert max(got_s.values()) - min(got_s.values()) <= longest_s + 1e-9
