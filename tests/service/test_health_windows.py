"""Findings of the last minutes, of one process and of several."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client.metrics_core import Metric

from smidgen.health.findings import Findings, TensorFindings
from smidgen.program import WatchedTensor
from smidgen_service.health_windows import LEAST_SAMPLED, SPAN_S, HealthWindows
from smidgen_service.metrics import Metrics
from smidgen_service.processes.numbers import JoinedNumbers, Numbers, numbers_of

WATCHED = WatchedTensor("x", "0:image", -4, 0, (0, 1000, 0), 0.125)
KEY = ("m", 1)
LABELS = {"model": "m", "version": "1", "layer": "0:image"}


def findings(sampled: int, *, above: int = 0, values: int = 1000) -> Findings:
    counts = (0, values - above, above)
    return Findings(sampled, sampled, 0, (TensorFindings(WATCHED, values, above, counts),))


class Clock:
    now_s = 10 * SPAN_S

    def __call__(self) -> float:
        return self.now_s


def test_what_is_older_than_two_spans_is_forgotten() -> None:
    clock = Clock()
    windows = HealthWindows(clock)
    windows.add(KEY, findings(1))
    clock.now_s += SPAN_S
    assert windows.recent()[KEY].sampled == 1
    windows.add(KEY, findings(2))
    assert windows.recent()[KEY].sampled == 3
    clock.now_s += SPAN_S
    windows.add(KEY, findings(4))
    assert windows.recent()[KEY].sampled == 6
    clock.now_s += 2 * SPAN_S
    assert windows.recent() == {}
    windows.add(KEY, findings(8))
    assert windows.recent()[KEY].sampled == 8
    windows.forget("m")
    assert windows.recent() == {}


def ratio(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(f"smidgen_quantization_{name}_ratio", LABELS)


@pytest.mark.parametrize(
    ("found", "is_shown"),
    [
        (findings(LEAST_SAMPLED - 1), False),
        (findings(LEAST_SAMPLED, values=511), False),
        (findings(LEAST_SAMPLED), True),
    ],
)
def test_ratios_are_there_once_there_is_enough_to_tell(found: Findings, is_shown: bool) -> None:
    metrics = Metrics()
    metrics.health_windows.add(KEY, found)
    assert (ratio(metrics, "drift") is not None) is is_shown


def shown(joined: JoinedNumbers) -> Iterator[Metric]:
    """Yields what a scrape shows."""
    yield from joined.collect()
    for family in joined.families():
        yield from family.collect()


def test_ratios_of_several_processes_are_those_of_their_sums() -> None:
    whole, control, fronts = Metrics(), Metrics(), [Metrics(), Metrics()]
    joined = JoinedNumbers(control)
    for number, (front, found) in enumerate(
        zip(fronts, (findings(9), findings(7, above=1000)), strict=True)
    ):
        front.health_sampled.labels("m", "1").value += found.sampled
        front.health_windows.add(KEY, found)
        whole.health_windows.add(KEY, found)
        told = numbers_of(front, front.inference_statistics()).to_bytes()
        joined.take(number, Numbers.from_bytes(told))
    values = {
        sample.name: sample.value
        for metric in shown(joined)
        for sample in metric.samples
        if sample.name.startswith("smidgen_quantization")
    }
    assert values["smidgen_quantization_sampled_total"] == 16
    for name, expected in (("clipped", 0.5), ("calibration_clipped", 0.125)):
        assert values[f"smidgen_quantization_{name}_ratio"] == expected
        assert ratio(whole, name) == expected
    assert values["smidgen_quantization_drift_ratio"] == ratio(whole, "drift")
    assert 0.3 < values["smidgen_quantization_drift_ratio"] < 0.32

    joined.end(1)  # its counters stay, and what it has found lately is gone
    after = [m for m in joined.collect() if m.name == "smidgen_quantization_drift_ratio"]
    assert [len(metric.samples) for metric in after] == [0]
    control.forget_model("m")
    assert not [s for m in shown(joined) for s in m.samples if s.labels.get("model") == "m"]


def test_findings_survive_the_line_between_processes() -> None:
    one = Numbers(health={KEY: replace(findings(3), disagreed=2)})
    assert Numbers.from_bytes(one.to_bytes()) == one
    assert json.loads(one.to_bytes())[3][0][:2] == ["m", 1]
