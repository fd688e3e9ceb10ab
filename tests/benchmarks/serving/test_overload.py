"""What the endings of calls amount to."""

from __future__ import annotations

import grpc
import pytest

from benchmarks.serving.overload import Reply, Turn, summarize

OK, EXHAUSTED = grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED


def test_answers_refusals_and_others_are_told_apart() -> None:
    replies = [
        *(Reply(0.02, OK) for _ in range(9)),
        *(Reply(0.001, EXHAUSTED, is_hinted=True) for _ in range(15)),
        *(Reply(0.001, EXHAUSTED) for _ in range(5)),
        Reply(0.5, grpc.StatusCode.DEADLINE_EXCEEDED),
    ]
    found = summarize([Turn([Reply(0.01, OK)], (5.0, 5.0), replies, 2.0)], recovery_s=0.1)
    assert found.goodput_ratio == pytest.approx(0.9)
    assert found.offered_per_second == 15.0
    assert found.latency_ratio == pytest.approx(2.0)
    assert found.hinted_share == 0.75
    assert found.rejected is not None
    assert (found.rejected.p99_ms, found.rejected.calls) == (pytest.approx(1.0), 20)
    assert found.other_codes == {"DEADLINE_EXCEEDED": 1}


def test_goodput_is_compared_with_the_means_of_the_peaks_around_it() -> None:
    unloaded = [Reply(0.01, OK)]
    turns = [
        Turn(unloaded, peaks, [Reply(0.02, OK)] * answered, 2.0)
        for peaks, answered in (((10.0, 10.0), 18), ((4.0, 6.0), 10), ((9.0, 7.0), 8))
    ]
    found = summarize(turns, recovery_s=0.0)
    assert found.goodput_ratios == pytest.approx((0.9, 1.0, 0.5))
    assert found.goodput_ratio == pytest.approx(6.0 / 23.0 * 3)
    assert found.peak_per_second == 8.0
    assert found.turn_peaks_per_second == ((10.0, 10.0), (4.0, 6.0), (9.0, 7.0))
    assert found.offered_per_second == pytest.approx(6.0)


def test_no_refusal_has_no_times() -> None:
    found = summarize([Turn([Reply(0.01, OK)], (1.0, 1.0), [Reply(0.01, OK)], 1.0)], recovery_s=0.0)
    assert found.rejected is None
    assert found.hinted_share == 0.0
