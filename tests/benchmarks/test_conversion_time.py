from __future__ import annotations

from benchmarks import conversion_time


def test_a_summary_has_median_and_minimum_of_both_clocks() -> None:
    runs = [{"wall_s": wall, "cpu_s": cpu} for wall, cpu in ((3.0, 1.5), (2.0, 1.25), (9.0, 4.0))]
    assert conversion_time._summary(runs) == {
        "median_s": 3.0,
        "minimum_s": 2.0,
        "cpu_median_s": 1.5,
        "cpu_minimum_s": 1.25,
        "rounds": 3,
    }


def test_a_trained_net_is_converted_in_a_process_of_its_own() -> None:
    measured = conversion_time._measure_in_process("smidgen", "digits", 1)
    assert measured.keys() == {"wall_s", "cpu_s"}
    assert all(seconds > 0.0 for seconds in measured.values())
