"""Which engines are kept in memory, and which give way."""

from __future__ import annotations

import asyncio
import resource
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smidgen.artifact import encode_artifact
from smidgen.engine import Engine
from smidgen.program import Program
from smidgen_service.errors import DataLossError, OverloadedError, TooLargeError
from smidgen_service.handlers import engines
from smidgen_service.handlers.engines import EngineCache, EngineLimits
from smidgen_service.metrics import Metrics
from smidgen_service.store.blobs import BlobStore
from smidgen_service.threads import Threads
from tests.python.test_engine_memory import wide_net
from tests.service.maintenance.filled_directory import put

FILE_BYTES = 100
NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")


@dataclass
class FakeProgram:
    """A program without steps, whose engine takes what the test says."""

    name: str
    steps: tuple[()] = ()


@dataclass
class FakeEngine:
    """An engine of which only the memory counts."""

    weights: int
    plans: int = 0
    isa: str = "portable"
    threads: int = 1

    @property
    def memory_bytes(self) -> int:
        return self.weights + self.plans

    @property
    def shareable_bytes(self) -> int:
        return self.weights - 100

    def drop_plans(self) -> None:
        self.plans = 0


@dataclass
class FakeWeights:
    """Shares some artifacts, and knows what is shared."""

    to_share: set[str] = field(default_factory=set)
    shared: list[str] = field(default_factory=list)

    async def share(self, sha256: str, _engine: Engine) -> bool:
        if sha256 not in self.to_share:
            return False
        self.shared.append(sha256)
        return True

    def let_go(self, sha256: str, _engine: Engine) -> None:
        self.shared.remove(sha256)


@dataclass
class World:
    """A cache, and artifacts `a` to `d`, whose engines take 1000 bytes unless said otherwise."""

    cache: EngineCache
    metrics: Metrics
    digests: dict[str, str]
    shared: FakeWeights
    weights: dict[str, int] = field(default_factory=dict)
    builds: list[str] = field(default_factory=list)

    def using(self, name: str) -> Any:
        return self.cache.using(self.digests[name])

    async def use(self, name: str, plans: int = 0) -> None:
        """Uses an engine once, which leaves it with plans."""
        async with self.using(name) as engine:
            cast(FakeEngine, engine).plans = plans

    @property
    def ready(self) -> str:
        return "".join(name for name, digest in self.digests.items() if self.cache.has(digest))

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"smidgen_{name}", labels)


@pytest.fixture
def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """One with the limits of count and bytes that the test asks for."""
    most, most_bytes = request.param
    blobs, threads, metrics = BlobStore(tmp_path / "blobs"), Threads(2, "io"), Metrics()
    limits = EngineLimits(most, most_bytes, 1, None, most_run_bytes=1 << 30, most_work=1 << 40)
    digests = {name: put(blobs, tmp_path, name.encode() * FILE_BYTES) for name in "abcd"}
    shared = FakeWeights()
    cache = EngineCache(blobs, threads, metrics, limits, shared)
    made = World(cache, metrics, digests, shared)

    def read(path: Path, _sha256: str) -> FakeProgram:
        return FakeProgram(path.read_text()[0])

    def build(program: FakeProgram) -> FakeEngine:
        made.builds.append(program.name)
        return FakeEngine(made.weights.get(program.name, 1000))

    monkeypatch.setattr(made.cache, "_read", read)
    monkeypatch.setattr(made.cache, "_build", build)
    yield made
    threads.close()


def limits(most: int, most_bytes: int | None) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("world", [(most, most_bytes)], indirect=True)


@limits(2, None)
async def test_the_one_unused_for_longest_gives_way_to_more_than_may_be(world: World) -> None:
    for name in "abac":
        await world.use(name)
    assert world.ready == "ac"
    assert "".join(world.builds) == "abc"
    assert world.metric("engine_evictions_total", reason="count") == 1
    assert world.metric("loaded_engines") == 2


@limits(2, None)
async def test_memory_is_told_of_models_that_had_requests(world: World) -> None:
    def memory() -> Mapping[tuple[str, ...], int]:
        return world.metrics.model_memory_bytes.values()

    await world.use("a")
    assert memory() == {}
    world.metrics.note_artifact(world.digests["a"], "one")
    world.metrics.note_artifact(world.digests["b"], "one")
    await world.use("b")
    assert memory() == {("one",): 2000}
    await world.use("c")  # a gives way
    assert memory() == {("one",): 1000}
    world.metrics.forget_model("one")
    assert memory() == {}


@limits(9, 2500)
async def test_unused_engines_make_room_by_their_memory(world: World) -> None:
    for name in "abc":
        await world.use(name)
    assert world.ready == "bc"
    assert world.cache.loaded_bytes == 2000
    assert world.metric("engine_bytes") == 2000
    assert world.metric("engine_loads_total") == 3
    assert world.metric("engine_evictions_total", reason="memory") == 1
    assert world.metric("engine_evictions_total", reason="count") == 0


@limits(9, 2500)
async def test_shared_weights_count_in_full_and_are_let_go_with_their_engine(world: World) -> None:
    world.shared.to_share = {world.digests["a"], world.digests["c"]}
    for name in "ab":
        await world.use(name)
    assert world.metric("engine_bytes") == 2000
    assert world.metric("engine_shared_bytes") == 900
    await world.use("c")
    assert world.ready == "bc"
    assert world.shared.shared == [world.digests["c"]]
    assert world.metric("engine_shared_bytes") == 900
    for name in "bc":
        world.cache.retire(world.digests[name])
    assert not world.shared.shared
    assert world.metric("engine_shared_bytes") == 0


@limits(9, 2500)
async def test_engines_in_use_stay(world: World) -> None:
    async with world.using("a"), world.using("b"):
        with pytest.raises(OverloadedError, match=r"takes 1000 bytes .* 2000 of the 2500") as full:
            await world.use("c")
        assert full.value.reason == "ENGINE_MEMORY_FULL"
        assert full.value.retry_after_s == 1.0
        assert world.ready == "ab"
        assert world.cache.loaded_bytes == 2000
    await world.use("c")
    assert world.ready == "bc"


@limits(1, None)
async def test_the_count_waits_for_engines_in_use(world: World) -> None:
    async with world.using("a"), world.using("b"):
        assert world.ready == "ab"
    assert len(world.ready) == 1


@limits(9, 2500)
async def test_a_model_that_is_too_large_alone_is_refused(world: World) -> None:
    await world.use("a")
    world.weights["b"] = 2501
    with pytest.raises(TooLargeError, match=r"takes 2501 bytes .* may take 2500") as caught:
        await world.use("b")
    assert caught.value.reason == "ENGINE_TOO_LARGE"
    assert {key: caught.value.metadata[key] for key in ("found", "most")} == {
        "found": "2501",
        "most": "2500",
    }
    assert world.ready == "a"  # what is refused takes nothing from others


@limits(9, FILE_BYTES - 1)
async def test_a_file_that_is_too_large_is_not_even_loaded(world: World) -> None:
    with pytest.raises(TooLargeError, match=rf"takes {FILE_BYTES} bytes"):
        await world.use("a")
    assert (world.builds, world.ready) == ([], "")


async def test_a_weight_that_many_layers_share_is_not_packed_beyond_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = sharing_net()
    made: list[object] = []
    monkeypatch.setattr(engines, "Engine", lambda *_args, **_fields: made.append(1))
    refused = await refusal(tmp_path, net, most_bytes=4 << 20)
    taken = sum(value.nbytes for value in wide_net().constants.values())  # of six layers
    assert refused.metadata["found"] == str(taken)
    assert made == []


def sharing_net() -> Program:
    """Returns six layers that share one weight of 2.25 MiB."""
    net = wide_net()
    constants = {
        name: value
        for name, value in net.constants.items()
        if name == "t0.weight" or not name.endswith(".weight")
    }
    steps = tuple(replace(step, weight="t0.weight") for step in net.steps)
    return replace(net, steps=steps, constants=constants)


async def refusal(folder: Path, program: Program, most_bytes: int) -> TooLargeError:
    """Returns how a cache of so many bytes refuses an artifact of the program."""
    blobs, threads = BlobStore(folder / "blobs"), Threads(1, "io")
    limits = EngineLimits(9, most_bytes, 1, None, 1 << 30, 1 << 40)
    cache = EngineCache(blobs, threads, Metrics(), limits)
    data = encode_artifact(program)
    assert len(data) < most_bytes
    try:
        with pytest.raises(TooLargeError, match="--engine-memory-bytes") as caught:
            async with cache.using(put(blobs, folder, data)):
                pass
    finally:
        threads.close()
    assert (caught.value.reason, caught.value.metadata["most"]) == (
        "ENGINE_TOO_LARGE",
        str(most_bytes),
    )
    assert cache.loaded_bytes == 0
    return caught.value


async def test_weights_that_grow_when_they_are_packed_are_not_packed_beyond_the_limit(
    tmp_path: Path,
) -> None:
    net = wide_net()
    unpacked = sum(value.nbytes for value in net.constants.values())
    refused = await refusal(tmp_path, net, most_bytes=unpacked + 4096)
    assert "takes more than" in refused.message


async def test_a_model_that_is_being_packed_has_its_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, threads = BlobStore(tmp_path / "blobs"), Threads(2, "io")
    program, is_let_go = sharing_net(), threading.Event()
    other = replace(program, constants={**program.constants, "t0.bias": np.ones(512, np.int32)})
    limits = EngineLimits(9, 20 << 20, 1, None, 1 << 30, 1 << 40)  # room for one, as packed
    cache = EngineCache(blobs, threads, Metrics(), limits)

    def build(_program: Program) -> FakeEngine:
        is_let_go.wait(20)
        return FakeEngine(1000)

    monkeypatch.setattr(cache, "_build", build)
    first = asyncio.create_task(cache.load(put(blobs, tmp_path, encode_artifact(program))))
    while cache.loaded_bytes < 13 << 20:  # its file has 2.3 MiB
        await asyncio.sleep(0.001)
    with pytest.raises(OverloadedError) as full:
        await cache.load(put(blobs, tmp_path, encode_artifact(other)))
    assert full.value.reason == "ENGINE_MEMORY_FULL"
    is_let_go.set()
    await first
    threads.close()


@limits(9, 2500)
async def test_plans_count_and_go_before_the_engine(world: World) -> None:
    await world.use("a")
    await world.use("b", plans=400)
    assert (world.ready, world.cache.loaded_bytes) == ("ab", 2400)
    await world.use("b", plans=600)  # together too much: the other one goes
    assert (world.ready, world.cache.loaded_bytes) == ("b", 1600)
    await world.use("b", plans=2000)  # alone too much: it keeps its weights
    assert (world.ready, world.cache.loaded_bytes) == ("b", 1000)
    assert world.metric("engine_bytes") == 1000


@limits(9, None)
async def test_a_retired_engine_goes_when_its_last_user_has_ended(world: World) -> None:
    digest = world.digests["a"]
    async with world.using("a"):
        async with world.using("a"):
            world.cache.retire(digest)
        assert world.ready == "a"
    assert world.ready == ""
    assert world.metric("engine_bytes") == 0
    await world.use("a")
    world.cache.retire(digest)
    assert world.ready == ""
    world.cache.retire(digest)  # which is nothing new


@limits(9, None)
async def test_a_retired_engine_waits_for_requests_that_will_use_it(world: World) -> None:
    digest = world.digests["a"]
    await world.use("a")
    with world.cache.expecting(digest):
        with world.cache.expecting(digest):
            world.cache.retire(digest)
            await world.use("a")
        assert world.ready == "a"
    assert world.ready == ""
    with world.cache.expecting(digest):  # which loads nothing by itself
        pass
    assert world.builds == ["a"]


@limits(9, None)
async def test_an_engine_that_is_loaded_again_stays(world: World) -> None:
    async with world.using("a"):
        world.cache.retire(world.digests["a"])
        await world.cache.load(world.digests["a"])
    assert world.ready == "a"
    assert world.builds == ["a"]


@limits(9, None)
async def test_many_users_wait_for_one_load(world: World) -> None:
    calls = [asyncio.create_task(world.use("a")) for _ in range(8)]
    await asyncio.sleep(0)
    for call in calls[:7]:  # who gives up takes nothing from the others
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert [call.cancelled() for call in calls] == [True] * 7 + [False]
    assert world.builds == ["a"]
    world.cache.retire(world.digests["a"])
    assert world.ready == ""  # and is not counted any more


@limits(9, None)
async def test_a_damaged_file_leaves_nothing_behind(world: World) -> None:
    sha256 = "0" * 64
    with pytest.raises(DataLossError):
        async with world.cache.using(sha256):
            pass
    assert not world.cache.has(sha256)
    assert world.cache.loaded_bytes == 0


@NEEDS_PROC
async def test_memory_of_a_retired_engine_goes_back_to_the_system(tmp_path: Path) -> None:
    blobs, threads = BlobStore(tmp_path / "blobs"), Threads(1, "io")
    sha256 = put(blobs, tmp_path, encode_artifact(wide_net()))
    limits = EngineLimits(9, None, 1, None, most_run_bytes=1 << 30, most_work=1 << 40)
    cache = EngineCache(blobs, threads, Metrics(), limits)
    await cache.load(sha256)
    threads.close()  # which may still hold what it has made
    taken, before = cache.loaded_bytes, resident_bytes()
    assert taken > 12 << 20
    cache.retire(sha256)
    assert resident_bytes() < before - 0.8 * taken


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_the_fake_takes_what_an_engine_has() -> None:
    for name in ("memory_bytes", "drop_plans", "isa", "threads"):
        assert hasattr(Engine, name)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sampled_from("abcd"), st.integers(0, 1500)),
        st.tuples(st.just("end"), st.integers(0, 9)),
        st.tuples(st.just("retire"), st.sampled_from("abcd")),
    ),
    max_size=40,
)


@limits(3, 2500)
@given(steps=STEPS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_limits_hold_whatever_happens(world: World, steps: list[tuple[Any, ...]]) -> None:
    """Engines in use are there, and what is beyond a limit is in use."""

    async def run() -> None:
        uses: list[tuple[str, Any]] = []
        for kind, *values in [*steps, *[("end", 0)] * len(steps)]:
            if kind == "begin":
                name, plans = values
                use = world.using(name)
                try:
                    engine = await use.__aenter__()
                except OverloadedError:
                    assert uses  # nothing else refuses an engine of 1000 bytes
                    continue
                cast(FakeEngine, engine).plans = plans
                uses.append((name, use))
            elif kind == "retire":
                world.cache.retire(world.digests[values[0]])
            elif uses:
                _, use = uses.pop(values[0] % len(uses))
                await use.__aexit__(None, None, None)
            used = {name for name, _ in uses}
            assert used <= set(world.ready)
            if not uses:
                assert world.cache.loaded_bytes <= 2500
                assert len(world.ready) <= 3
        assert world.metric("loaded_engines") == len(world.ready)
        assert world.metric("engine_bytes") == world.cache.loaded_bytes

    asyncio.run(run())
