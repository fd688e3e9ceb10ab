"""What is learned from the times of computations."""

from __future__ import annotations

import pytest

from smidgen_service.handlers import run_times
from smidgen_service.handlers.run_times import BRIEF_S, RunTimes

ONE, TWO = ((1, 4),), ((2, 4),)


def test_an_estimate_is_that_of_the_samples() -> None:
    times = RunTimes()
    assert times.estimate_s("a", 5) == 0.0
    times.record("a", 1, 0.2)
    assert times.estimate_s("a", 5) == pytest.approx(1.0)
    times.record("a", 1, 0.7)
    assert times.estimate_s("a", 1) == pytest.approx(0.2 + 0.2 * 0.5)
    assert times.estimate_s("b", 1) == 0.0


def test_samples_of_large_batches_have_an_average_of_their_own() -> None:
    times = RunTimes()
    times.record("a", 1, 0.3)
    assert times.estimate_s("a", 1000) == pytest.approx(300.0)  # all that is known
    times.record("a", 1000, 100.0)
    assert times.estimate_s("a", 1000) == pytest.approx(100.0)
    assert times.estimate_s("a", 600) == pytest.approx(60.0)
    assert times.estimate_s("a", 100) == pytest.approx(10.0)
    assert times.estimate_s("a", 2) == pytest.approx(0.6)


def test_only_shapes_that_were_short_several_times_are_brief() -> None:
    times = RunTimes()
    for _ in range(2):
        times.record_held("a", ONE, BRIEF_S / 2)
        assert not times.is_brief("a", ONE)
    times.record_held("a", ONE, BRIEF_S / 2)
    assert times.is_brief("a", ONE)
    assert not times.is_brief("a", TWO)
    assert not times.is_brief("b", ONE)


def test_single_long_runs_do_not_make_a_computation_long() -> None:
    times = RunTimes()
    for _ in range(4):
        times.record_held("a", ONE, BRIEF_S / 2)
    for _ in range(7):
        times.record_held("a", ONE, 100 * BRIEF_S)
        assert times.is_brief("a", ONE)
    times.record_held("a", ONE, 2 * BRIEF_S)
    assert not times.is_brief("a", ONE)  # none of the latest eight was short
    times.record_held("a", ONE, BRIEF_S)
    assert times.is_brief("a", ONE)


def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_times, "MOST_KNOWN", 2)
    times = RunTimes()
    for name in ("a", "b", "a", "c"):
        times.record(name, 1, 1.0)
        for _ in range(3):
            times.record_held(name, ONE, BRIEF_S)
    assert [times.estimate_s(name, 1) for name in "abc"] == [1.0, 0.0, 1.0]
    assert [times.is_brief(name, ONE) for name in "abc"] == [True, False, True]
