"""The queue in front of the engines."""

from __future__ import annotations

import asyncio

import pytest

from smidgen_service.errors import DeadlineError, OverloadedError
from smidgen_service.handlers.admission import Admission
from smidgen_service.metrics import Metrics


def gauges(metrics: Metrics) -> tuple[float | None, float | None]:
    get = metrics.registry.get_sample_value
    return get("smidgen_inflight_requests"), get("smidgen_queue_depth")


async def test_bounded_numbers_run_and_wait() -> None:
    metrics = Metrics()
    admission = Admission(metrics, most_running=1, most_queued=1)
    release = asyncio.Event()
    order: list[int] = []

    async def request(number: int) -> None:
        async with admission.place(None):
            order.append(number)
            await release.wait()

    running = asyncio.create_task(request(1))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(request(2))
    await asyncio.sleep(0)
    assert gauges(metrics) == (1, 1)
    with pytest.raises(OverloadedError) as caught:
        await request(3)
    assert caught.value.reason == "QUEUE_FULL"
    assert caught.value.retry_after_s > 0
    release.set()
    await asyncio.gather(running, waiting)
    assert order == [1, 2]
    assert gauges(metrics) == (0, 0)


async def test_late_requests_never_run() -> None:
    admission = Admission(Metrics(), most_running=1, most_queued=1)
    with pytest.raises(DeadlineError):
        async with admission.place(0.0):
            pytest.fail("a request ran after its deadline")


async def test_deadline_passes_in_the_queue() -> None:
    metrics = Metrics()
    admission = Admission(metrics, most_running=1, most_queued=1)
    async with admission.place(None):
        with pytest.raises(DeadlineError):
            async with admission.place(0.01):
                pytest.fail("two requests ran in one place")
        assert gauges(metrics) == (1, 0)
    async with admission.place(1.0):
        assert gauges(metrics) == (1, 0)


async def test_cancelled_request_leaves_its_place_to_others() -> None:
    admission = Admission(Metrics(), most_running=1, most_queued=2)
    async with admission.place(None):
        waiting = asyncio.create_task(admission.place(None).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with admission.place(1.0):
        pass
