"""Versions are warm before they serve, and gone after."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smidgen.artifact import encode_artifact
from smidgen.formats.model_file import ModelFormat
from smidgen.tensor_spec import TensorSpec
from smidgen_service.errors import ConflictError, DataLossError
from smidgen_service.handlers.admission import Admission
from smidgen_service.handlers.engines import EngineCache, EngineLimits
from smidgen_service.handlers.keeping import MOST_WARM_UPS, OwnKeeper
from smidgen_service.handlers.run_times import RunTimes, Shapes
from smidgen_service.handlers.runs import Runs
from smidgen_service.handlers.swapping import Swapper
from smidgen_service.metrics import Metrics
from smidgen_service.store import aliases, models
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.database import Database
from smidgen_service.store.records import AliasMove, ModelRecord, VersionRecord
from smidgen_service.store.references import unserved
from smidgen_service.store.tenancy import acting_for
from smidgen_service.threads import Threads
from tests.service.handlers.test_joining import EXAMPLE, IMAGE, PROGRAM
from tests.service.maintenance.filled_directory import put

SPECS = (TensorSpec(IMAGE, "float32", (None, *EXAMPLE.shape[1:])),)
OLD = VersionRecord("m", 1, "f" * 64, 1, SPECS, (), 0)


def shapes(samples: int) -> Shapes:
    return ((samples, *EXAMPLE.shape[1:]),)


class World:
    """A swapper, and an artifact that it may load."""

    def __init__(self, folder: Path, database: Database) -> None:
        blobs, metrics = BlobStore(folder / "blobs"), Metrics()
        self.threads = Threads(1, "test")
        limits = EngineLimits(9, None, 1, None, most_run_bytes=1 << 24, most_work=1 << 40)
        self.engines = EngineCache(blobs, self.threads, metrics, limits)
        self.run_times = RunTimes()
        admission = Admission(metrics, most_running=1, most_queued=0)
        self.runs = Runs(1)
        keeper = OwnKeeper(self.engines, admission, self.runs, self.run_times)
        self.swapper = Swapper(database, keeper)
        sha256 = put(blobs, folder, encode_artifact(PROGRAM))
        self.version = replace(OLD, version=2, sha256=sha256)

    async def plans(self) -> int:
        async with self.engines.using(self.version.sha256) as engine:
            return engine.cached_plan_count

    async def run(self, samples: int) -> None:
        values = np.zeros(shapes(samples)[0], np.float32)
        async with self.engines.using(self.version.sha256) as engine:
            engine.run({IMAGE: values})


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database(tmp_path / "db").open()
    yield opened
    await opened.close()


@pytest.fixture
async def world(tmp_path: Path, database: Database) -> AsyncIterator[World]:
    made = World(tmp_path, database)
    yield made
    made.runs.close()
    made.threads.close()


async def test_shapes_of_the_version_before_are_planned_ahead(world: World) -> None:
    for samples in (1, 3, 5):
        world.run_times.record_held(OLD.sha256, shapes(samples), 0.1)
    world.run_times.record_held(OLD.sha256, ((7, 7),), 0.1)  # of an input that is no more
    async with world.swapper.ready(world.version, like=OLD):
        assert await world.plans() == 3
        for samples in (1, 3, 5):
            await world.run(samples)
        assert await world.plans() == 3
        await world.run(2)
        assert await world.plans() == 4


async def test_one_sample_stands_for_what_is_not_known(world: World) -> None:
    async with world.swapper.ready(world.version, like=None):
        assert await world.plans() == 1
        await world.run(1)
        assert await world.plans() == 1


async def test_warm_up_is_bounded_and_takes_the_newest(world: World) -> None:
    for samples in range(1, MOST_WARM_UPS + 4):
        world.run_times.record_held(OLD.sha256, shapes(samples), 0.1)
    async with world.swapper.ready(world.version, like=OLD):
        assert await world.plans() == MOST_WARM_UPS
        await world.run(MOST_WARM_UPS + 3)
        assert await world.plans() == MOST_WARM_UPS


async def test_a_shape_that_the_engine_refuses_holds_nothing_up(world: World) -> None:
    world.run_times.record_held(OLD.sha256, shapes(1), 0.1)
    world.run_times.record_held(OLD.sha256, shapes(1 << 16), 0.1)  # beyond most_run_bytes
    async with world.swapper.ready(world.version, like=OLD):
        assert await world.plans() == 1


async def test_a_version_that_cannot_be_read_is_not_ready(world: World) -> None:
    with pytest.raises(DataLossError):
        async with world.swapper.ready(OLD, like=None):
            raise AssertionError("the block is not entered")


async def test_a_version_that_is_refused_in_the_end_goes(world: World) -> None:
    with pytest.raises(ConflictError):
        async with world.swapper.ready(world.version, like=None):
            raise ConflictError("somebody else was faster")
    assert not world.engines.has(world.version.sha256)


async def test_a_version_that_others_let_go_meanwhile_stays(world: World) -> None:
    async with world.swapper.ready(world.version, like=None):
        await world.swapper.let_go([world.version.sha256])
    assert world.engines.has(world.version.sha256)


async def test_what_comes_to_serve_while_it_is_looked_at_stays(
    world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = world.version.sha256
    await world.engines.load(sha256)
    looks = 0

    def insert(tx: sqlite3.Connection) -> None:
        models.insert(tx, MODEL)
        models.insert_version(tx, world.version)

    read = database.read

    async def read_late(work: Callable[[sqlite3.Connection], set[str]]) -> set[str]:
        nonlocal looks
        looks += 1
        found = await read(work)
        if looks == 1:
            await database.write(insert)
        return found

    monkeypatch.setattr(database, "read", read_late)
    await world.swapper.let_go([sha256])
    assert (looks, world.engines.has(sha256)) == (2, True)
    monkeypatch.undo()
    assert await database.read(lambda tx: unserved(tx, [sha256])) == set()


async def test_what_serves_stays_and_the_rest_goes(world: World, database: Database) -> None:
    def insert(tx: sqlite3.Connection) -> None:
        models.insert(tx, ModelRecord("m", "", ModelFormat.PT2, "0" * 64, 1, (), (), 0, 0, 0))
        models.insert_version(tx, replace(world.version, version=1))
        models.insert_version(tx, replace(OLD, version=2))

    await database.write(insert)
    sha256 = world.version.sha256
    move = AliasMove(1, None, is_rollback=False, time=0)
    await database.write(lambda tx: aliases.move(tx, "m", "live", move))
    await world.engines.load(sha256)
    await world.swapper.let_go([sha256])
    assert world.engines.has(sha256)
    await database.write(lambda tx: aliases.delete(tx, "m", "live"))
    await world.swapper.let_go([sha256])
    assert not world.engines.has(sha256)
    # One that comes back is kept, though it had been let go while it was used.
    async with world.engines.using(sha256):
        await world.swapper.let_go([sha256])
        async with world.swapper.ready(world.version, like=None):
            pass
    assert world.engines.has(sha256)


async def test_equal_artifacts_of_other_tenants_and_models_serve_on(database: Database) -> None:
    digests = ("1" * 64, "2" * 64, "3" * 64)

    def insert(tx: sqlite3.Connection) -> None:
        for model_id, numbers in (("m", (1, 2)), ("n", (3, 1))):
            models.insert(tx, replace(MODEL, id=model_id))
            for version, number in enumerate(numbers, start=1):
                digest = f"{number}" * 64
                record = replace(OLD, model_id=model_id, version=version, sha256=digest)
                models.insert_version(tx, record)

    await database.write(insert)
    # 2 and 1 are the newest of their models, 3 is not.
    assert await database.read(lambda tx: unserved(tx, digests)) == {"3" * 64}
    with acting_for("other"):
        await database.write(insert)
        move = AliasMove(1, None, is_rollback=False, time=0)
        await database.write(lambda tx: aliases.move(tx, "n", "live", move))
    assert await database.read(lambda tx: unserved(tx, digests)) == set()


MODEL = ModelRecord("m", "", ModelFormat.PT2, "0" * 64, 1, (), (), 0, 0, 0)
