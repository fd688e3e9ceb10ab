"""Places, free and promised ones."""

from __future__ import annotations

import pytest

from smidgen_service.handlers.places import Places


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def test_places_are_taken_and_given_back() -> None:
    places = Places(2, lead_s=0.0, clock=Clock())
    assert [places.take() for _ in range(3)] == [True, True, False]
    assert not places.has_free
    assert places.give_back()
    assert places.has_free
    assert places.take()


def test_without_a_lead_nothing_is_promised() -> None:
    places = Places(1, lead_s=0.0, clock=Clock())
    assert places.take()
    places.begin(0.0)
    assert places.due_in_s() is None
    assert not places.promise()


def test_a_place_is_promised_once_within_the_lead() -> None:
    clock = Clock()
    places = Places(1, lead_s=1.0, clock=clock)
    assert places.take()
    ends_s = places.begin(3.0)
    assert places.due_in_s() == pytest.approx(2.0)
    assert not places.promise()
    clock.now_s += 2.5
    assert places.promise()
    assert places.due_in_s() is None
    assert not places.promise()
    # Nobody else gets the place that comes back.
    places.end(ends_s)
    assert not places.give_back()
    assert not places.has_free
    # The promise is kept: the next place that comes back is free.
    assert places.give_back()
    assert places.has_free


def test_who_was_promised_a_place_begins_when_the_one_before_ends() -> None:
    clock = Clock()
    places = Places(1, lead_s=1.0, clock=clock)
    assert places.take()
    first_s = places.begin(3.0)
    clock.now_s += 2.5
    assert places.promise()
    assert places.wait_s() == pytest.approx(0.5)
    second_s = places.begin(2.0)
    assert second_s == pytest.approx(55.0)
    assert (places.taken, places.promised) == (2, 1)
    # A third one waits for both.
    assert places.wait_s() == pytest.approx(2.5)
    assert places.left_s() == pytest.approx(2.5)
    places.end(first_s)
    assert not places.give_back()
    assert (places.taken, places.promised) == (1, 0)
    assert places.wait_s() == pytest.approx(2.5)


def test_of_several_places_the_one_that_ends_next_is_promised_first() -> None:
    clock = Clock()
    places = Places(2, lead_s=1.0, clock=clock)
    for estimate_s in (5.0, 2.0):
        assert places.take()
        places.begin(estimate_s)
    assert places.due_in_s() == pytest.approx(1.0)
    clock.now_s += 1.5
    assert places.promise()
    assert places.begin(10.0) == pytest.approx(62.0)
    assert places.due_in_s() == pytest.approx(2.5)
    assert not places.promise()
    # What is left: 3.5 s in one place, and 0.5 and 10 s in the other.
    assert places.left_s() == pytest.approx(14.0)
    assert places.wait_s() == pytest.approx(3.5)


def test_what_takes_longer_than_expected_is_expected_to_end_now() -> None:
    clock = Clock()
    places = Places(1, lead_s=1.0, clock=clock)
    assert places.take()
    places.begin(1.0)
    clock.now_s += 7.0
    assert places.wait_s() == 0.0
    assert places.left_s() == 0.0
    assert places.begin(2.0) == pytest.approx(59.0)
