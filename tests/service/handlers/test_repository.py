"""Versions of models as the Open Inference Protocol sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.formats.model_file import ModelFormat
from smidgen.tensor_spec import TensorSpec
from smidgen_service.errors import FailedPreconditionError, NotFoundError
from smidgen_service.handlers.batching import BatchPolicy
from smidgen_service.handlers.repository import RepositoryHandler, most_samples
from smidgen_service.handlers.versions import VersionResolver
from smidgen_service.metrics import Metrics
from smidgen_service.statistics import StageTimes
from smidgen_service.store import aliases, models
from smidgen_service.store.database import Database
from smidgen_service.store.records import AliasMove, IndexEntry, ModelRecord, VersionRecord
from smidgen_service.store.tenancy import acting_for

SPECS = (TensorSpec("x", "float32", (None, 4)),)
NUMBERS = tuple(range(1, 12))


class Engines:
    """Stands for the cache of engines, and knows what it was asked for."""

    def __init__(self) -> None:
        self.loaded: set[str] = set()

    async def load(self, sha256: str) -> None:
        self.loaded.add(sha256)

    def retire(self, sha256: str) -> None:
        self.loaded.discard(sha256)


def digest(version: int) -> str:
    return f"{version:064x}"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Holds model `m` with eleven versions, and `bare` with none."""
    opened = await Database(tmp_path / "db").open()
    for name in ("m", "bare"):
        model = ModelRecord(name, "", ModelFormat.PT2, "0" * 64, 1, SPECS, SPECS, 0, 0, 0)
        await opened.write(lambda tx, model=model: models.insert(tx, model))
    for number in NUMBERS:
        version = VersionRecord("m", number, digest(number), 1, SPECS, SPECS, 0)
        await opened.write(lambda tx, version=version: models.insert_version(tx, version))
    yield opened
    await opened.close()


@pytest.fixture
def engines() -> Engines:
    return Engines()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def handler(database: Database, engines: Engines, metrics: Metrics) -> RepositoryHandler:
    cache = cast(Any, engines)
    versions = VersionResolver(database, metrics, BatchPolicy())
    return RepositoryHandler(
        database,
        versions,
        cache,
        metrics.counted,
        most_bytes=1600,
        most_running=3,
        batching=BatchPolicy(),
    )


async def test_versions_are_described_one_by_one(handler: RepositoryHandler) -> None:
    newest = await handler.describe("m", None)
    assert (newest.record.version, newest.numbers) == (11, NUMBERS)
    assert (newest.most_samples, newest.most_running) == (100, 3)
    assert (await handler.describe("m", 2)).record.sha256 == digest(2)
    with pytest.raises(NotFoundError):
        await handler.describe("m", 12)


async def test_index_is_in_order(handler: RepositoryHandler) -> None:
    entries = await handler.index(is_ready_only=False)
    assert entries[0] == IndexEntry("bare", None, is_unloaded=False)
    assert [entry.version for entry in entries[1:]] == list(NUMBERS)
    assert await handler.index(is_ready_only=True) == entries[1:]


async def test_statistics_are_by_version(handler: RepositoryHandler, metrics: Metrics) -> None:
    metrics.of_version("m", 3).executed(5, StageTimes(0.1, 0.2, 0.3))
    counted = await handler.statistics("m", None)
    assert [entry.version for entry in counted] == list(NUMBERS)
    assert [entry.statistics.execution_count for entry in counted] == [0, 0, 1] + [0] * 8
    assert await handler.statistics(None, None) == counted
    assert await handler.statistics("m", 3) == counted[2:3]
    with pytest.raises(FailedPreconditionError):
        await handler.statistics("bare", None)


async def test_unloading_leaves_engines_that_serve_others(
    handler: RepositoryHandler, engines: Engines, database: Database
) -> None:
    with acting_for("other"):
        model = ModelRecord("n", "", ModelFormat.PT2, "0" * 64, 1, SPECS, SPECS, 0, 0, 0)
        await database.write(lambda tx: models.insert(tx, model))
        for number in (5, 11):  # of which the second is the newest
            version = VersionRecord("n", number, digest(number), 1, SPECS, SPECS, 0)
            await database.write(lambda tx, version=version: models.insert_version(tx, version))
    engines.loaded.update(digest(number) for number in NUMBERS)
    await handler.unload("m")
    assert engines.loaded == {digest(11)}
    with acting_for("other"):
        await handler.unload("n")
    assert engines.loaded == set()


async def test_unloading_is_of_all_versions_and_loading_of_the_newest(
    handler: RepositoryHandler, engines: Engines, database: Database
) -> None:
    engines.loaded = {digest(1), digest(11), "other"}
    assert await handler.is_ready("m", 1)
    await handler.unload("m")
    assert engines.loaded == {"other"}
    assert not await handler.is_ready("m", 1)
    assert await handler.index(is_ready_only=True) == ()
    assert await handler.statistics(None, None) == ()
    await handler.load("m")
    assert engines.loaded == {"other", digest(11)}
    assert await handler.is_ready("m", None)
    generation = database.generation
    await handler.load("m")  # writes nothing, and so what is known stays known
    assert database.generation == generation


async def test_versions_with_aliases_are_loaded_too(
    handler: RepositoryHandler, engines: Engines, database: Database
) -> None:
    for alias, number in (("live", 3), ("shadow", 7), ("old", 3)):
        move = AliasMove(number, None, is_rollback=False, time=0)
        await database.write(lambda tx, a=alias, m=move: aliases.move(tx, "m", a, m))
    await handler.load("m")
    assert engines.loaded == {digest(3), digest(7), digest(11)}


async def test_what_cannot_be_loaded_stays_as_it_is(handler: RepositoryHandler) -> None:
    with pytest.raises(FailedPreconditionError):
        await handler.load("bare")
    await handler.unload("bare")
    assert not await handler.is_ready("bare", None)
    for call in (handler.load, handler.unload):
        with pytest.raises(NotFoundError):
            await call("absent")


@settings(max_examples=50)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 100_000))
def test_samples_fit_into_a_message_and_one_more_does_not(
    inputs: int, outputs: int, most_bytes: int
) -> None:
    x = TensorSpec("x", "float32", (None, inputs, None))
    mask = TensorSpec("mask", "bool", (None,))
    y = TensorSpec("y", "int64", (None, outputs))
    found = most_samples((x, mask), (y,), most_bytes)
    largest = max(4 * inputs + 1, 8 * outputs)
    assert found >= 1
    assert found * largest <= most_bytes or found == 1
    assert (found + 1) * largest > most_bytes


def test_without_a_batch_there_are_no_samples() -> None:
    fixed = TensorSpec("y", "float32", (2, 3))
    scalar = TensorSpec("y", "float32", ())
    assert most_samples(SPECS, (fixed,), 100) == 0
    assert most_samples(SPECS, (scalar,), 100) == 0
    assert most_samples(SPECS, SPECS, 1 << 50) == 2**31 - 1
