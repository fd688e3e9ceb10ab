"""Which requests are computed together, and when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import numpy as np
import pytest

from smidgen.engine import Engine
from smidgen.tensor_spec import TensorSpec
from smidgen_service.errors import DeadlineError, OverloadedError
from smidgen_service.handlers.admission import Admission
from smidgen_service.handlers.answers import Answers
from smidgen_service.handlers.batching import Batcher, BatchLimits, BatchPolicy
from smidgen_service.handlers.computation import Computed, Wanted
from smidgen_service.handlers.joining import Asked, Run
from smidgen_service.metrics import Metrics
from smidgen_service.store.tenancy import acting_for
from smidgen_service.threads import Threads
from tests.service.handlers.thread_runs import ThreadRuns

LIMITS = BatchLimits(4)


class SlowEngine:
    """Doubles its input when it is allowed to, and knows the sizes of its runs."""

    isa = "portable"

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.gate = threading.Event()
        self.fault: Exception | None = None

    def run_checked(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        assert self.gate.wait(10)
        if self.fault is not None:
            raise self.fault
        values = next(iter(arrays.values()))
        self.sizes.append(len(values))
        return {"y": values * 2}


class Bench:
    """A batcher with one place to compute, and what it recorded."""

    def __init__(self, threads: Threads, most_queued: int = 99) -> None:
        self.engine = SlowEngine()
        self.metrics = Metrics()
        self.admission = Admission(self.metrics, most_running=1, most_queued=most_queued)
        self.batcher = Batcher(self.admission, Answers(ThreadRuns(threads), threads))
        self.runs: list[Run] = []
        self.users = 0

    @asynccontextmanager
    async def using(self) -> AsyncIterator[Engine]:
        self.users += 1
        try:
            yield cast(Engine, self.engine)
        finally:
            self.users -= 1

    async def ask(
        self,
        value: float,
        samples: int = 1,
        *,
        width: int = 2,
        limits: BatchLimits = LIMITS,
        deadline_s: float | None = None,
    ) -> float:
        values = np.full((samples, width), value, np.float32)
        asked = Asked({"x": values}, Wanted(("y",), {}, 1 << 20))
        with self.admission.waiting(deadline_s, 0.0) as waiting:
            computed = await self.batcher.run(
                "key",
                self.using,
                limits,
                asked,
                waiting=waiting,
                record=self.runs.append,
            )
        assert isinstance(computed, Computed)
        assert computed.outputs[0].shape == (samples, width)
        (result,) = set(np.frombuffer(computed.outputs[0].data, np.float32).tolist())
        return float(result)

    def queued(self) -> float | None:
        return self.metrics.registry.get_sample_value("smidgen_queue_depth")


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    pool = Threads(2, "test")
    yield pool
    pool.close()


async def started(bench: Bench, *tasks: asyncio.Task[float]) -> None:
    """Lets the first request be taken for computation, and the others queue."""
    for _ in range(8):
        await asyncio.sleep(0)
    assert bench.queued() == len(tasks)


async def test_what_waits_for_a_place_is_computed_together(threads: Threads) -> None:
    bench = Bench(threads)
    first = asyncio.create_task(bench.ask(1))
    await started(bench)
    others = [asyncio.create_task(bench.ask(value)) for value in (2, 3, 4, 5, 6)]
    await started(bench, *others)
    bench.engine.gate.set()
    assert await first == 2
    assert await asyncio.gather(*others) == [4, 6, 8, 10, 12]
    assert bench.engine.sizes == [1, 4, 1]
    assert [run.samples for run in bench.runs] == [1, 4, 1]
    assert bench.queued() == 0


async def test_other_shapes_and_larger_requests_are_not_joined(threads: Threads) -> None:
    bench = Bench(threads)
    first = asyncio.create_task(bench.ask(1))
    await started(bench)
    others = [
        asyncio.create_task(bench.ask(2, 3)),
        asyncio.create_task(bench.ask(3, 2)),
        asyncio.create_task(bench.ask(4, 9)),
        asyncio.create_task(bench.ask(5, 1, width=3)),
    ]
    await started(bench, *others)
    bench.engine.gate.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10]
    assert sorted(bench.engine.sizes) == [1, 1, 2, 3, 9]


async def test_the_given_up_and_the_late_are_not_computed(threads: Threads) -> None:
    bench = Bench(threads)
    first = asyncio.create_task(bench.ask(1))
    await started(bench)
    cancelled = asyncio.create_task(bench.ask(2))
    late = asyncio.create_task(bench.ask(3, deadline_s=0.02))
    patient = asyncio.create_task(bench.ask(4, deadline_s=30.0))
    await started(bench, cancelled, late, patient)
    cancelled.cancel()
    with suppress(asyncio.CancelledError):
        await cancelled
    assert bench.queued() == 2
    with pytest.raises(DeadlineError):
        await late
    assert bench.queued() == 1
    bench.engine.gate.set()
    assert await asyncio.gather(first, patient) == [2, 8]
    assert bench.engine.sizes == [1, 1]


async def test_the_engine_is_held_while_it_computes_what_nobody_waits_for(
    threads: Threads,
) -> None:
    bench = Bench(threads)
    given_up = asyncio.create_task(bench.ask(1))
    await started(bench)
    given_up.cancel()
    with suppress(asyncio.CancelledError):
        await given_up
    assert bench.users == 1
    later = asyncio.create_task(bench.ask(2))
    await started(bench, later)
    bench.engine.gate.set()
    assert await later == 4
    assert bench.engine.sizes == [1, 1]
    assert bench.users == 0


async def test_the_queue_is_bounded_whatever_is_joined(threads: Threads) -> None:
    bench = Bench(threads, most_queued=2)
    first = asyncio.create_task(bench.ask(1))
    await started(bench)
    others = [asyncio.create_task(bench.ask(value)) for value in (2, 3)]
    await started(bench, *others)
    with pytest.raises(OverloadedError):
        await bench.ask(4)
    bench.engine.gate.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6]


async def test_a_delay_waits_for_others_until_there_are_enough(threads: Threads) -> None:
    bench = Bench(threads)
    bench.engine.gate.set()
    patient = BatchLimits(3, most_delay_s=30.0)
    asked = [bench.ask(value, limits=patient) for value in (1, 2, 3)]
    assert await asyncio.gather(*asked) == [2, 4, 6]
    assert bench.engine.sizes == [3]
    short = BatchLimits(3, most_delay_s=0.01)
    assert await bench.ask(5, width=5, limits=short) == 10
    assert bench.engine.sizes == [3, 1]


async def test_a_fault_is_everybodys(threads: Threads) -> None:
    bench = Bench(threads)
    bench.engine.fault = RuntimeError("out of order")
    bench.engine.gate.set()
    found = await asyncio.gather(bench.ask(1), bench.ask(2), return_exceptions=True)
    assert [type(one) for one in found] == [RuntimeError, RuntimeError]
    bench.engine.fault = None
    assert await bench.ask(3) == 6


def test_only_batches_are_joined_and_models_have_limits_of_their_own() -> None:
    batch, fixed = TensorSpec("x", "float32", (None, 4)), TensorSpec("x", "float32", (1, 4))
    small, large = BatchLimits(2), BatchLimits(8, 0.5)
    policy = BatchPolicy(small, {"a": large, "b": None})
    found = [policy.of(name, (batch,), (batch,)) for name in ("a", "b", "c")]
    assert found == [large, None, small]
    assert policy.of("a", (batch,), (fixed,)) is None
    assert BatchPolicy().of("a", (batch,), (batch,)) is None


async def test_a_request_that_makes_room_for_another_tenant_is_told(threads: Threads) -> None:
    bench = Bench(threads, most_queued=2)
    first = asyncio.create_task(bench.ask(1))
    await started(bench)
    kept, displaced = [asyncio.create_task(bench.ask(value)) for value in (2, 3)]
    await started(bench, kept, displaced)
    with (
        acting_for("other"),
        bench.admission.waiting(None, 0.0),
        pytest.raises(OverloadedError, match="no more may"),
    ):
        await displaced
    bench.engine.gate.set()
    assert await asyncio.gather(first, kept) == [2, 4]
    assert bench.engine.sizes == [1, 1]


async def test_a_request_that_is_displaced_before_it_joins_is_told(threads: Threads) -> None:
    bench = Bench(threads, most_queued=2)
    with bench.admission.waiting(None, 0.0) as waiting:
        waiting.refuse(lambda: OverloadedError("full", retry_after_s=1.0))
        told = []
        waiting.on_refusal(told.append)
    assert [str(error) for error in told] == ["full"]
