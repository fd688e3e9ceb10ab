"""What a request holds while it computes, and when it gives it back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from smidgen.program import Program
from smidgen.tensor_spec import TensorSpec
from smidgen_service.errors import DeadlineError, OverloadedError
from smidgen_service.handlers.admission import Admission
from smidgen_service.handlers.answers import Answers
from smidgen_service.handlers.batching import BatchLimits
from smidgen_service.handlers.engines import EngineCache, EngineLimits
from smidgen_service.handlers.images import ImageInputs, RawImages
from smidgen_service.handlers.inference import InferenceHandler, InferenceRequest
from smidgen_service.handlers.layouts import KnownLayouts
from smidgen_service.handlers.run_times import RunTimes
from smidgen_service.handlers.tensors import raw_tensor
from smidgen_service.handlers.versions import Served, VersionResolver
from smidgen_service.metrics import Metrics
from smidgen_service.names import VersionChoice
from smidgen_service.quotas import Quotas, TenantLimits
from smidgen_service.rejections import Rejections
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.records import VersionRecord
from smidgen_service.threads import Threads
from tests.service.handlers.thread_runs import ThreadRuns
from tests.service.maintenance.filled_directory import put

ENGINE_BYTES = 1000
SPECS = (TensorSpec("x", "float32", (None, 2)),)
RESULTS = (TensorSpec("y", "float32", (None, 2)),)


class GatedEngine:
    """Doubles its input when it is allowed to."""

    isa, threads, memory_bytes, preprocessing = "portable", 1, ENGINE_BYTES, None

    def __init__(self) -> None:
        self.begun, self.gate = threading.Event(), threading.Event()

    def run_checked(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        self.begun.set()
        assert self.gate.wait(10)
        return {"y": next(iter(arrays.values())) * 2}


class Versions:
    """Stands for the resolver: every model has the version of its name."""

    def __init__(
        self, digests: Mapping[str, str], metrics: Metrics, limits: BatchLimits | None
    ) -> None:
        self._served = {
            model_id: Served(
                VersionRecord(model_id, 1, digest, 1, SPECS, RESULTS, 0),
                name=f"models/{model_id}/versions/1",
                label=model_id,
                series=metrics.of_version(model_id, 1),
                limits=limits,
                output_names=("y",),
                layouts=KnownLayouts(SPECS),
            )
            for model_id, digest in digests.items()
        }

    def known(self, model_id: str, _version: VersionChoice) -> Served:
        return self._served[model_id]


class Images:
    """Makes the input of images, and tells that it did."""

    def __init__(self) -> None:
        self.has_made = asyncio.Event()

    async def arrays(self, *_request: object) -> dict[str, Any]:
        self.has_made.set()
        return {"x": np.full((1, 2), 5, np.float32)}


class World:
    """Models `a` and `b` of which one fits into memory, and one place to compute."""

    def __init__(self, folder: Path, limits: BatchLimits | None) -> None:
        blobs = BlobStore(folder / "blobs")
        self.threads = Threads(2, "test")
        self.metrics = Metrics()
        self.engine = GatedEngine()
        self.cache = EngineCache(
            blobs,
            self.threads,
            self.metrics,
            EngineLimits(9, ENGINE_BYTES, 1, None, most_run_bytes=1 << 30, most_work=1 << 40),
        )
        self.admission = Admission(self.metrics, most_running=1, most_queued=4)
        self.images = Images()
        digests = {name: put(blobs, folder, name.encode()) for name in "ab"}
        self.handler = InferenceHandler(
            cast(VersionResolver, Versions(digests, self.metrics, limits)),
            self.cache,
            self.admission,
            Answers(ThreadRuns(self.threads), self.threads),
            run_times=RunTimes(),
            quotas=Quotas(lambda _tenant: TenantLimits()),
            rejections=Rejections(self.metrics),
            images=cast(ImageInputs, self.images),
            most_answer_bytes=1 << 20,
        )
        self.digests = digests

    async def infer(
        self, model_id: str, *, image: bytes | None = None, deadline_s: float | None = None
    ) -> list[float]:
        values = raw_tensor("x", np.full((1, 2), 3, np.float32))
        images = None if image is None else RawImages([image], None)
        request = InferenceRequest(model_id, None, [values], (), images)
        answer = await self.handler.infer(request, deadline_s=deadline_s)
        found: list[float] = np.frombuffer(answer.outputs[0].data, np.float32).tolist()
        return found

    @property
    def running(self) -> float | None:
        return self.metrics.registry.get_sample_value("smidgen_inflight_requests")


@pytest.fixture(params=[None, BatchLimits(4)], ids=["single", "joined"])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    made = World(tmp_path, request.param)
    monkeypatch.setattr(made.cache, "_read", lambda *_args: Program((), (), {}, (), {}))
    monkeypatch.setattr(made.cache, "_build", lambda *_args: made.engine)
    yield made
    made.engine.gate.set()
    made.threads.close()


async def test_a_given_up_computation_keeps_its_engine_and_its_place(world: World) -> None:
    given_up = asyncio.create_task(world.infer("a"))
    await asyncio.to_thread(world.engine.begun.wait, 10)
    given_up.cancel()
    await asyncio.sleep(0.01)
    assert world.running == 1
    with pytest.raises(OverloadedError, match=f"in use take {ENGINE_BYTES} of") as full:
        await world.cache.load(world.digests["b"])
    assert full.value.reason == "ENGINE_MEMORY_FULL"
    waiting = asyncio.create_task(world.infer("a"))
    await asyncio.sleep(0.01)
    assert not waiting.done()

    world.engine.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert await waiting == [6, 6]
    assert world.running == 0
    await world.cache.load(world.digests["b"])
    assert not world.cache.has(world.digests["a"])


async def test_images_are_made_while_others_compute(world: World) -> None:
    first = asyncio.create_task(world.infer("a"))
    await asyncio.to_thread(world.engine.begun.wait, 10)
    second = asyncio.create_task(world.infer("a", image=b"image"))
    async with asyncio.timeout(10):
        await world.images.has_made.wait()
    assert world.running == 1
    assert world.metrics.registry.get_sample_value("smidgen_queue_depth") == 1
    world.engine.gate.set()
    assert await first == [6, 6]
    assert await second == [10, 10]
    assert world.running == 0
    assert world.metrics.registry.get_sample_value("smidgen_queue_depth") == 0


async def test_what_waits_is_told_of_its_version_until_it_computes(world: World) -> None:
    metrics = world.metrics

    def waiting() -> tuple[int, float]:
        oldest = metrics.registry.get_sample_value("smidgen_queue_oldest_timestamp_seconds")
        return metrics.pending_requests.values()["a", "1"], oldest or 0.0

    before_s = time.time()
    first = asyncio.create_task(world.infer("a"))
    await asyncio.to_thread(world.engine.begun.wait, 10)
    assert waiting() == (0, 0)
    second = asyncio.create_task(world.infer("a"))
    third = asyncio.create_task(world.infer("a"))
    await asyncio.sleep(0.01)
    assert waiting()[0] == 2
    assert before_s <= waiting()[1] <= time.time()
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)
    assert waiting()[0] == 1
    with pytest.raises(OverloadedError):
        await asyncio.gather(*(world.infer("a") for _ in range(4)))
    name = "smidgen_admission_rejected_total"
    assert metrics.registry.get_sample_value(name, {"reason": "queue_full"}) == 1
    world.engine.gate.set()
    assert [await first, await second] == [[6, 6], [6, 6]]
    async with asyncio.timeout(10):
        while waiting() != (0, 0):
            await asyncio.sleep(0.01)


async def test_an_image_whose_time_is_over_gives_its_turn_back(world: World) -> None:
    first = asyncio.create_task(world.infer("a"))
    await asyncio.to_thread(world.engine.begun.wait, 10)
    with pytest.raises(DeadlineError, match="while the request waited"):
        await world.infer("a", image=b"image", deadline_s=0.05)
    world.engine.gate.set()
    assert await first == [6, 6]
    assert await world.infer("a", image=b"image") == [10, 10]
    assert world.running == 0
