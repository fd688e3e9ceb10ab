"""Summaries of calls that were measured in turns."""

from __future__ import annotations

import pytest

from benchmarks.latency import Latency, ratios_turn_by_turn, summarize


def test_a_summary_is_of_all_calls_and_of_each_turn() -> None:
    assert summarize([[0.003, 0.001], [0.008]]) == Latency(
        median_ms=3.0, minimum_ms=1.0, calls=3, turns_ms=(2.0, 8.0)
    )


def test_a_machine_that_slows_down_does_not_change_the_ratios_turn_by_turn() -> None:
    speeds = (1.0, 1.5, 0.7, 3.0)
    ours = summarize([[speed, speed] for speed in speeds])
    theirs = summarize([[2 * speed] for speed in speeds])
    assert ratios_turn_by_turn(theirs, ours) == pytest.approx((2.0, 2.0, 2.0, 2.0))


def test_turns_that_were_not_side_by_side_have_no_ratios() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios_turn_by_turn(summarize([[1.0]]), summarize([[1.0], [2.0]]))
