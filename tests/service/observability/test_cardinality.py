"""How many lines models add to a scrape, and that they go with their models."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smidgen_service.exposition import Exposition
from smidgen_service.metrics import BATCH_BUCKETS, STAGE_BUCKETS, Metrics
from smidgen_service.processes.numbers import JoinedNumbers, numbers_of
from smidgen_service.settings import Settings
from smidgen_service.statistics import StageTimes
from smidgen_service.triton_metrics import TRITON_TABLE, written

MODELS, VERSIONS = 200, 3
TIMES = StageTimes(0.001, 0.01, 0.002)
# Stages and batches with +Inf, count and sum; outcomes, and one level.
OWN_LINES = 4 * (len(STAGE_BUCKETS) + 3) + len(BATCH_BUCKETS) + 3 + 6 + 1
# Failures have four reasons, and three metrics are the machine's.
TRITON_LINES = len(TRITON_TABLE) - 3 + 3


def used_metrics() -> Metrics:
    metrics = Metrics()
    for model in range(MODELS):
        for version in range(1, VERSIONS + 1):
            series = metrics.of_version(f"model-{model}", version)
            series.executed(2, TIMES)
            series.succeeded(2, 0.001, TIMES, 0.02)
    return metrics


def of_one_process(metrics: Metrics) -> Exposition:
    settings = Settings(_env_file=None)
    return Exposition(
        metrics.library, written(settings, lambda: metrics.families, metrics.inference_statistics)
    )


def of_several(metrics: Metrics) -> Exposition:
    control, settings = Metrics(), Settings(_env_file=None)
    joined = JoinedNumbers(control)
    for front in range(2):
        joined.take(front, numbers_of(metrics, metrics.inference_statistics()))
    metrics.on_forgetting(control.forget_model)
    return Exposition(joined, written(settings, joined.families, joined.statistics))


@pytest.mark.parametrize("exposition_of", [of_one_process, of_several])
def test_lines_grow_with_versions_and_with_nothing_else(
    exposition_of: Callable[[Metrics], Exposition],
) -> None:
    metrics = used_metrics()
    exposition = exposition_of(metrics)

    def lines() -> list[str]:
        text = exposition.write("")[1].decode()
        return [line for line in text.splitlines() if 'model="' in line]

    assert len(lines()) == len(set(lines())) == MODELS * VERSIONS * (OWN_LINES + TRITON_LINES)
    for model in range(MODELS):
        metrics.forget_model(f"model-{model}")
    assert lines() == []


def test_a_scrape_asks_nothing_of_the_library_for_each_version() -> None:
    """What it writes takes some 15 microseconds a line: it has none of those that models add."""
    metrics = used_metrics()
    samples = [sample for metric in metrics.library.collect() for sample in metric.samples]
    assert not [sample for sample in samples if "model" in sample.labels]
