"""What is counted of the inferences of a version."""

from __future__ import annotations

import threading

from smidgen_service.inference_series import MOST_BATCH_SIZES, VersionSeries
from smidgen_service.metrics import Metrics
from smidgen_service.series import CountFamily, DistributionFamily, LevelFamily
from smidgen_service.statistics import StageTimes, VersionStatistics

TIMES = StageTimes(input_s=0.001, compute_s=0.01, output_s=0.002)


def series() -> VersionSeries:
    return VersionSeries(
        ("m", "1"),
        requests=CountFamily("requests_total", "", ("model", "version", "outcome")),
        stage_seconds=DistributionFamily("seconds", "", ("model", "version", "stage"), (1.0,)),
        batch_size=DistributionFamily("samples", "", ("model", "version"), (1.0, 8.0)),
        pending=LevelFamily("pending", "", ("model", "version")),
        clock=lambda: 5_000_000,
    )


def test_samples_requests_and_computations_are_told_apart() -> None:
    counting = series()
    # One computation answers two requests, and another one a third.
    counting.executed(5, TIMES)
    for samples in (2, 3):
        counting.succeeded(samples, 0.5, TIMES, 0.6)
    counting.executed(1, TIMES)
    counting.succeeded(1, 0.0, TIMES, 0.1)
    counting.failed("invalid", 0.25)
    counting.failed("rejected", 0.5)
    found = counting.statistics()
    assert (found.inference_count, found.execution_count) == (6, 2)
    assert (found.success.count, found.success.ns) == (3, 1_300_000_000)
    assert (found.queue.count, found.queue.ns) == (3, 1_000_000_000)
    assert (found.stages.compute.count, found.stages.compute.ns) == (3, 30_000_000)
    assert (found.fail.count, found.fail.ns) == (2, 750_000_000)
    assert found.failed["rejected"].count == 1
    assert {size: spent.compute.count for size, spent in found.batches.items()} == {5: 1, 1: 1}
    assert found.batches[5].input.ns == 1_000_000
    assert found.last_inference_us == 5_000_000


def test_nothing_is_counted_before_the_first_request() -> None:
    assert series().statistics() == VersionStatistics()


def test_statistics_do_not_change_later() -> None:
    counting = series()
    counting.executed(1, TIMES)
    before = counting.statistics()
    counting.executed(1, TIMES)
    assert before.execution_count == 1
    assert before.batches[1].compute.count == 1


def test_batch_sizes_that_a_client_chooses_do_not_fill_the_memory() -> None:
    counting = series()
    for samples in range(2 * MOST_BATCH_SIZES):
        counting.executed(samples, TIMES)
    counting.executed(3, TIMES)
    found = counting.statistics()
    assert len(found.batches) == MOST_BATCH_SIZES
    assert found.batches[3].compute.count == 2
    assert found.execution_count == 2 * MOST_BATCH_SIZES + 1


def test_metrics_lack_nothing_that_was_put_off() -> None:
    metrics = Metrics()
    counting = metrics.of_version("m", 1)
    labels = {"model": "m", "version": "1"}

    def value(name: str, **more: str) -> float | None:
        # Reads this metric alone, as a scrape of some names does.
        registry = metrics.registry.restricted_registry([name])
        (family,) = registry.collect()
        return next(
            sample.value
            for sample in family.samples
            if sample.name == name and sample.labels == {**labels, **more}
        )

    for count in range(1, 200):
        counting.executed(2, TIMES)
        counting.succeeded(2, 0.5, TIMES, 0.6)
        if count % 7 == 0:
            assert value("smidgen_inference_batch_size_sum") == 2 * count
            assert value("smidgen_inference_stage_seconds_count", stage="queue") == count
    assert counting.statistics().inference_count == 2 * 199


def test_reading_meanwhile_counts_nothing_twice() -> None:
    counting = series()
    calls = 20_000
    is_done = threading.Event()

    def read() -> None:
        while not is_done.is_set():
            counting.statistics()

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(calls):
        counting.executed(1, TIMES)
        counting.succeeded(1, 0.5, TIMES, 0.6)
    is_done.set()
    reader.join()
    found = counting.statistics()
    assert found.inference_count == found.execution_count == calls
    assert found.batches[1].compute.count == found.queue.count == calls


def test_statistics_are_those_of_the_metrics() -> None:
    metrics = Metrics()
    metrics.of_version("m", 1).executed(4, TIMES)
    metrics.of_version("m", 1).succeeded(4, 0.25, TIMES, 0.5)
    found = metrics.inference_statistics()["m", 1]
    labels = {"model": "m", "version": "1"}
    seconds = metrics.registry.get_sample_value(
        "smidgen_inference_stage_seconds_sum", {**labels, "stage": "queue"}
    )
    assert found.queue.ns == 250_000_000 == round((seconds or 0.0) * 1e9)
    assert metrics.registry.get_sample_value("smidgen_inference_batch_size_sum", labels) == 4.0


def test_deleted_models_are_forgotten() -> None:
    metrics = Metrics()
    for model in ("m", "n"):
        metrics.of_version(model, 1).executed(1, TIMES)
    metrics.forget_model("m")
    assert list(metrics.inference_statistics()) == [("n", 1)]


def test_a_request_that_fails_after_its_model_was_deleted_shows_no_series_of_it() -> None:
    metrics = Metrics()
    counting = metrics.of_version("m", 1)
    counting.failed("cancelled", 0.1)
    metrics.forget_model("m")
    counting.failed("cancelled", 0.1)
    counting.succeeded(1, 0.0, TIMES, 0.1)
    labels = {"model": "m", "version": "1", "outcome": "cancelled"}
    value = metrics.registry.get_sample_value("smidgen_inference_requests_total", labels)
    assert value is None
