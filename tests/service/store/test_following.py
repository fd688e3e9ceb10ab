"""The store of another process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from smidgen.formats.model_file import ModelFormat
from smidgen_service.handlers.batching import BatchPolicy
from smidgen_service.handlers.versions import VersionResolver
from smidgen_service.metrics import Metrics
from smidgen_service.store import models
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.database import Database
from smidgen_service.store.following import FollowingBlobs, FollowingDatabase
from smidgen_service.store.records import ModelRecord, VersionRecord

MODEL = ModelRecord("m", "", ModelFormat.PT2, "0" * 64, 1, (), (), 0, 0, 0)
VERSION = VersionRecord("m", 1, "1" * 64, 1, (), (), 0)


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database(tmp_path / "db").open()
    await opened.write(lambda tx: models.insert(tx, MODEL))
    await opened.write(lambda tx: models.insert_version(tx, VERSION))
    yield opened
    await opened.close()


@pytest.fixture
async def follower(writer: Database, tmp_path: Path) -> AsyncIterator[FollowingDatabase]:
    made = FollowingDatabase(tmp_path / "db")
    assert made.generation == made.generation
    opened = await made.open()
    yield opened
    await opened.close()


async def test_every_write_is_seen_at_once_and_only_then(
    writer: Database, follower: FollowingDatabase
) -> None:
    versions = VersionResolver(follower, Metrics(), BatchPolicy())
    seen = set()
    for number in range(2, 12):
        generation = follower.generation
        assert (await versions.resolve("m", None)).record.version == number - 1
        assert follower.generation == generation
        version = replace(VERSION, version=number)
        await writer.write(lambda tx, version=version: models.insert_version(tx, version))
        assert follower.generation != generation
        seen.add(generation)
    assert len(seen) == 10


async def test_nothing_is_written(follower: FollowingDatabase) -> None:
    with pytest.raises(RuntimeError):
        await follower.write(lambda tx: models.insert(tx, MODEL))
    with pytest.raises(Exception, match="readonly"):
        await follower.read(lambda tx: models.insert(tx, replace(MODEL, id="n")))


def test_pins_hold_in_other_processes(tmp_path: Path) -> None:
    own, others = FollowingBlobs(tmp_path / "blobs"), BlobStore(tmp_path / "blobs")
    with own.pinned("1" * 64):
        assert own.is_pinned("1" * 64)
        with others.deleting() as may_delete:
            assert not may_delete
    with others.deleting() as may_delete:
        assert may_delete
