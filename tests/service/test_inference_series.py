"""Counts and times of inference."""

from __future__ import annotations

from smidgen_service.statistics import MOST_BATCH_SIZES, InferenceStatistics, StageTimes

TIMES = StageTimes(input_s=0.001, compute_s=0.01, output_s=0.002)


def test_samples_requests_and_computations_are_told_apart() -> None:
    statistics = InferenceStatistics(clock=lambda: 5_000_000)
    # One computation answers two requests, and another one a third.
    statistics.executed("m", 1, 5, TIMES)
    for samples in (2, 3):
        statistics.succeeded("m", 1, samples, queue_s=0.5, times=TIMES, total_s=0.6)
    statistics.executed("m", 1, 1, TIMES)
    statistics.succeeded("m", 1, 1, queue_s=0.0, times=TIMES, total_s=0.1)
    statistics.failed("m", 1, "invalid", total_s=0.25)
    statistics.failed("m", 1, "rejected", total_s=0.5)
    found = statistics.of("m", 1)
    assert (found.inference_count, found.execution_count) == (6, 2)
    assert (found.success.count, found.success.ns) == (3, 1_300_000_000)
    assert (found.queue.count, found.queue.ns) == (3, 1_000_000_000)
    assert (found.stages.compute.count, found.stages.compute.ns) == (3, 30_000_000)
    assert (found.fail.count, found.fail.ns) == (2, 750_000_000)
    assert found.failed["rejected"].count == 1
    assert {size: spent.compute.count for size, spent in found.batches.items()} == {5: 1, 1: 1}
    assert found.last_inference_us == 5_000_000


def test_snapshots_do_not_change() -> None:
    statistics = InferenceStatistics()
    statistics.executed("m", 1, 1, TIMES)
    before = statistics.snapshot()
    statistics.executed("m", 1, 1, TIMES)
    assert before["m", 1].execution_count == 1
    assert before["m", 1].batches[1].compute.count == 1


def test_batch_sizes_that_a_client_chooses_do_not_fill_the_memory() -> None:
    statistics = InferenceStatistics()
    for samples in range(2 * MOST_BATCH_SIZES):
        statistics.executed("m", 1, samples, TIMES)
    statistics.executed("m", 1, 3, TIMES)
    found = statistics.of("m", 1)
    assert len(found.batches) == MOST_BATCH_SIZES
    assert found.batches[3].compute.count == 2
    assert found.execution_count == 2 * MOST_BATCH_SIZES + 1


def test_deleted_models_are_forgotten() -> None:
    statistics = InferenceStatistics()
    for model in ("m", "n"):
        statistics.executed(model, 1, 1, TIMES)
    statistics.forget_model("m")
    assert list(statistics.snapshot()) == [("n", 1)]
    assert statistics.of("m", 1).execution_count == 0
