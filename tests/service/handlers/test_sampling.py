"""Which requests are looked at, and what that may take."""

from __future__ import annotations

import asyncio
import logging
import math
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest

from smidgen.health.findings import Findings
from smidgen.tensor_spec import TensorSpec
from smidgen_service.handlers import sampling
from smidgen_service.handlers.computation import Computed
from smidgen_service.handlers.examination import Sample
from smidgen_service.handlers.sampling import NEVER, Sampler, Sampling, SamplingLimits
from smidgen_service.handlers.tensors import RawTensor, raw_tensor
from smidgen_service.metrics import Metrics
from smidgen_service.statistics import StageTimes
from smidgen_service.store.records import VersionRecord

BATCH = (TensorSpec("x", "float32", (None, 2)),)
RESULTS = (TensorSpec("y", "float32", (None, 3)),)
FOUND = Findings(1, 1, 1, ())
RATE = 2.0


class Laboratory:
    """A sampler whose examinations end when a test says so, and whose clock a test moves."""

    def __init__(self, *, rate: float = RATE, cpu_share: float = 0.1) -> None:
        self.now_s = 100.0
        self.samples: list[Sample] = []
        self.running: Future[tuple[Findings | str, float]] = Future()
        self.metrics = Metrics()
        self.sampler = Sampler(
            self,  # type: ignore[arg-type] # of an examination, this is all that it calls
            self.metrics,
            SamplingLimits(rate, cpu_share),
            lambda: self.now_s,
        )

    def submit(self, sample: Sample) -> Future[tuple[Findings | str, float]]:
        self.samples.append(sample)
        self.running = Future()
        return self.running

    def offer(self, sampling: Sampling, **fields: object) -> None:
        """Does what the handler does with a request."""
        if self.now_s >= sampling.due_s:
            record = VersionRecord("m", 1, "sha", 1, BATCH, RESULTS, 0)
            self.sampler.offer(sampling, record, *request(**fields))

    async def end(self, found: Findings | str = FOUND, cpu_s: float = 0.01) -> None:
        self.running.set_result((found, cpu_s))
        await asyncio.sleep(0)

    def counted(self, name: str) -> float | None:
        labels = {"model": "m", "version": "1"}
        return self.metrics.registry.get_sample_value(f"smidgen_quantization_{name}", labels)


def request(
    samples: int = 2, output: RawTensor | None = None, shape: tuple[int, ...] = (2,)
) -> tuple[dict[str, np.ndarray], Computed]:
    inputs = {"x": np.arange(samples * math.prod(shape), dtype=np.float32).reshape(samples, *shape)}
    answer = np.arange(samples * 3, dtype=np.float32).reshape(samples, 3)
    outputs = (output or raw_tensor("y", answer),)
    return inputs, Computed(outputs, samples, "portable", 0.0, StageTimes(0.0, 0.0, 0.0))


async def test_a_request_is_copied_examined_and_counted() -> None:
    laboratory = Laboratory()
    version = laboratory.sampler.of("m", 1)
    assert laboratory.sampler.of("m", 1) is version
    arrays, computed = request()
    laboratory.sampler.offer(
        version, VersionRecord("m", 1, "sha", 1, BATCH, RESULTS, 0), arrays, computed
    )
    (sample,) = laboratory.samples
    assert sample.sha256 == "sha"
    np.testing.assert_array_equal(sample.inputs["x"], [[0.0, 1.0]])
    assert not np.shares_memory(sample.inputs["x"], arrays["x"])
    np.testing.assert_array_equal(sample.answer, [[0.0, 1.0, 2.0]])
    assert version.due_s == math.inf  # one at a time
    await laboratory.end()
    names = ("sampled_total", "compared_total", "disagreement_total")
    assert [laboratory.counted(name) for name in names] == [1, 1, 1]


async def test_the_rate_is_kept() -> None:
    laboratory = Laboratory()
    version = laboratory.sampler.of("m", 1)
    laboratory.offer(version)
    await laboratory.end()
    for _ in range(3):
        laboratory.offer(version)
    assert len(laboratory.samples) == 1
    laboratory.now_s += 1 / RATE
    laboratory.offer(version)
    assert len(laboratory.samples) == 2


async def test_after_much_work_it_rests() -> None:
    laboratory = Laboratory(cpu_share=0.1)
    version, other = (laboratory.sampler.of("m", number) for number in (1, 2))
    laboratory.offer(version)
    await laboratory.end(cpu_s=0.4)
    assert version.due_s == laboratory.now_s + 4.0
    laboratory.now_s += 3.9
    laboratory.offer(other)
    assert len(laboratory.samples) == 1
    assert other.due_s >= 104.0
    laboratory.now_s = other.due_s
    laboratory.offer(other)
    assert len(laboratory.samples) == 2


class Traffic:
    """Requests for several versions, ten a second each, whose examinations take CPU time."""

    def __init__(self, laboratory: Laboratory, costs_s: dict[tuple[str, int], float]) -> None:
        self.laboratory = laboratory
        self.costs_s = costs_s
        self.turns = dict.fromkeys(costs_s, 0)

    @property
    def spent_s(self) -> float:
        return sum(self.costs_s[key] * count for key, count in self.turns.items())

    async def flow(self, seconds: int) -> None:
        laboratory = self.laboratory
        for _ in range(10 * seconds):
            laboratory.now_s += 0.1
            for key, cost_s in self.costs_s.items():
                before = len(laboratory.samples)
                laboratory.offer(laboratory.sampler.of(*key))
                if len(laboratory.samples) > before:
                    self.turns[key] += 1
                    await laboratory.end(cpu_s=cost_s)


async def test_no_version_waits_for_one_that_takes_long() -> None:
    cheap, dear = ("m", 1), ("m", 2)
    traffic = Traffic(Laboratory(rate=1.0, cpu_share=0.01), {dear: 4.0, cheap: 0.01})
    await traffic.flow(600)  # at first the cheap one is new and waits: 400 s
    before = traffic.turns[cheap]
    await traffic.flow(600)
    assert traffic.turns[cheap] - before >= 280  # 0.01 s of half the share: every 2 s
    await traffic.flow(2400)
    assert traffic.turns[dear] == 5  # of two versions each 800 s, after the first
    assert traffic.spent_s <= 0.01 * 3600 + 4.0


async def test_tenants_have_equal_parts() -> None:
    theirs = [("a/m", number) for number in range(9)]
    other = ("b/m", 1)
    costs_s = {**dict.fromkeys(theirs, 0.1), other: 0.1}
    traffic = Traffic(Laboratory(rate=1.0, cpu_share=0.05), costs_s)
    await traffic.flow(600)
    assert traffic.turns[other] >= 140  # every 4 s
    parts = [traffic.turns[key] for key in theirs]
    assert max(parts) - min(parts) <= 8
    assert sum(parts) <= 1.1 * traffic.turns[other]
    assert traffic.spent_s <= 1.1 * 0.05 * 600


async def test_a_tenant_that_makes_new_versions_takes_no_more_for_it() -> None:
    other = ("b/m", 1)
    laboratory = Laboratory(rate=1.0, cpu_share=0.05)
    traffic = Traffic(laboratory, {other: 0.1})
    for number in range(60):
        traffic.costs_s["a/m", number] = 0.1
        traffic.turns["a/m", number] = 0
        await traffic.flow(5)
    firsts = sum(traffic.turns[key] > 0 for key in traffic.turns if key != other)
    assert firsts <= 300 / 4 + 1
    assert traffic.turns[other] >= 70
    assert traffic.spent_s <= 2 * 0.05 * 300


async def test_versions_take_turns() -> None:
    laboratory = Laboratory(cpu_share=0.1)
    versions = [laboratory.sampler.of("m", number) for number in (1, 2, 3)]
    turns = []
    for _ in range(400):
        for number, version in enumerate(versions):
            before = len(laboratory.samples)
            laboratory.offer(version)
            if len(laboratory.samples) > before:
                turns.append(number)
                laboratory.now_s += 0.1
                await laboratory.end(cpu_s=0.1)
        laboratory.now_s += 0.1
    assert len(turns) >= 30
    assert min(turns.count(number) for number in range(3)) >= len(turns) / 4


async def test_while_one_is_examined_others_are_passed_over() -> None:
    laboratory = Laboratory()
    first, second = (laboratory.sampler.of("m", number) for number in (1, 2))
    laboratory.offer(first)
    laboratory.offer(second)
    assert len(laboratory.samples) == 1
    assert second.due_s == laboratory.now_s + 1 / RATE


async def test_a_version_that_never_can_be_is_not_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    laboratory = Laboratory()
    version = laboratory.sampler.of("m", 1)
    with caplog.at_level(logging.INFO, "smidgen_service"):
        laboratory.offer(version)
        await laboratory.end("it has no histograms")
    assert [record.message for record in caplog.records] == ["health_unavailable"]
    assert version.due_s == math.inf
    assert laboratory.counted("sampled_total") is None


async def test_a_failure_says_nothing_of_the_values(caplog: pytest.LogCaptureFixture) -> None:
    laboratory = Laboratory()
    version = laboratory.sampler.of("m", 1)
    with caplog.at_level(logging.INFO, "smidgen_service"):
        laboratory.offer(version)
        laboratory.running.set_exception(ValueError("secret 42.0"))
        await asyncio.sleep(0)
    (record,) = caplog.records
    assert record.message == "health_failed"
    assert "secret" not in str(record.__dict__)
    assert version.due_s == laboratory.now_s + 60
    laboratory.now_s += 60
    laboratory.offer(version)
    assert len(laboratory.samples) == 2


async def test_samples_that_are_too_large_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_SAMPLE_BYTES", 8)
    laboratory = Laboratory()
    version = laboratory.sampler.of("m", 1)
    laboratory.offer(version, shape=(3,))
    assert laboratory.samples == []
    laboratory.now_s = version.due_s
    laboratory.offer(version)
    assert len(laboratory.samples) == 1


async def test_answers_in_another_form_are_not_compared() -> None:
    laboratory = Laboratory()
    version = laboratory.sampler.of("m", 1)
    laboratory.offer(version, output=RawTensor("y", "bytes", (1, 1), b"\x03\0\0\x001:0"))
    laboratory.now_s += 1
    assert [sample.answer for sample in laboratory.samples] == [None]


async def test_an_answer_of_several_rows_a_sample_is_not_compared() -> None:
    laboratory = Laboratory()
    version = laboratory.sampler.of("m", 1)
    rows = raw_tensor("y", np.zeros((4, 3), np.float32))
    laboratory.offer(version, samples=2, output=rows)
    assert [len(sample.inputs["x"]) for sample in laboratory.samples] == [1]
    assert laboratory.samples[0].answer is None


async def test_inputs_of_different_numbers_of_samples_are_examined_whole() -> None:
    laboratory = Laboratory()
    version = laboratory.sampler.of("m", 1)
    arrays, computed = request(samples=2)
    arrays["z"] = np.zeros((5, 2), np.float32)
    record = VersionRecord("m", 1, "sha", 1, (*BATCH, replace(BATCH[0], name="z")), RESULTS, 0)
    laboratory.sampler.offer(version, record, arrays, computed)
    (sample,) = laboratory.samples
    assert {name: len(array) for name, array in sample.inputs.items()} == {"x": 2, "z": 5}
    assert sample.answer is not None
    assert len(sample.answer) == 2


async def test_what_is_found_of_a_deleted_model_is_dropped() -> None:
    laboratory = Laboratory()
    laboratory.offer(laboratory.sampler.of("m", 1))
    laboratory.metrics.forget_model("m")
    await laboratory.end()
    assert laboratory.counted("sampled_total") is None


async def test_what_is_found_of_a_deleted_model_is_not_of_one_with_its_name() -> None:
    laboratory = Laboratory()
    laboratory.offer(laboratory.sampler.of("m", 1))
    laboratory.metrics.forget_model("m")
    laboratory.sampler.of("m", 1)
    await laboratory.end()
    assert laboratory.counted("sampled_total") is None


def test_nothing_is_ever_due_without_a_rate() -> None:
    assert Laboratory(rate=0).sampler.of("m", 1) is NEVER
    assert NEVER.due_s == math.inf
