"""Blobs that nothing refers to: kept for a while, then deleted, and never while they are needed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from smidgen.formats.dataset import DatasetFormat
from smidgen_service.store import datasets, garbage
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.database import Database
from smidgen_service.store.records import DatasetRecord
from smidgen_service.store.store import Store

GRACE_S = 100
SECOND = 1_000_000


class SetClock:
    """A clock that stands where it is set, in seconds."""

    seconds = 1000

    def __call__(self) -> int:
        return self.seconds * SECOND


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def store(tmp_path: Path, clock: SetClock) -> AsyncIterator[Store]:
    database = await Database(tmp_path / "smidgen.db").open()
    yield Store(database, BlobStore(tmp_path / "blobs"), grace_s=GRACE_S, clock=clock)
    await database.close()


def put(store: Store, tmp_path: Path, data: bytes = b"content") -> str:
    source = tmp_path / "source"
    source.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    store.blobs.adopt(source, sha256)
    return sha256


async def refer(store: Store, sha256: str) -> None:
    record = DatasetRecord("d", DatasetFormat.NPZ, sha256, 1, 1, (), 0)
    await store.database.write(lambda tx: datasets.insert(tx, record))


async def release(store: Store) -> None:
    await store.database.write(lambda tx: datasets.delete(tx, "d"))


async def noted(store: Store) -> set[str]:
    return await store.database.read(garbage.noted)


async def test_blob_outlives_its_row_for_the_grace_period(
    store: Store, clock: SetClock, tmp_path: Path
) -> None:
    sha256 = put(store, tmp_path)
    await refer(store, sha256)
    assert await store.collect_all() == 0
    assert await noted(store) == set()
    await release(store)
    assert await store.collect({sha256}) == 0
    clock.seconds += GRACE_S - 1
    assert await store.collect_all() == 0
    assert store.blobs.digests() == {sha256} == await noted(store)
    clock.seconds += 1
    assert await store.collect_all() == 1
    assert store.blobs.digests() == set() == await noted(store)


async def test_new_reference_begins_a_new_period(
    store: Store, clock: SetClock, tmp_path: Path
) -> None:
    sha256 = put(store, tmp_path)
    assert await store.collect_all() == 0
    clock.seconds += GRACE_S - 1
    await refer(store, sha256)
    assert await store.collect({sha256}) == 0
    assert await noted(store) == set()
    await release(store)
    clock.seconds += GRACE_S - 1
    assert await store.collect_all() == 0
    assert store.blobs.digests() == {sha256}


async def test_clock_that_jumps_back_delays_and_never_hastens(
    store: Store, clock: SetClock, tmp_path: Path
) -> None:
    put(store, tmp_path)
    assert await store.collect_all() == 0
    clock.seconds -= 500
    assert await store.collect_all() == 0
    clock.seconds += GRACE_S - 1
    assert await store.collect_all() == 0
    clock.seconds += 1
    assert await store.collect_all() == 1


async def test_upload_of_the_same_bytes_at_the_same_time_keeps_its_file(
    store: Store, clock: SetClock, tmp_path: Path
) -> None:
    sha256 = put(store, tmp_path)
    await store.collect_all()
    clock.seconds += GRACE_S
    with store.blobs.pinned(sha256):
        # The file is moved in place and its row is still to come.
        put(store, tmp_path)
        assert await store.collect_all() == 0
        await refer(store, sha256)
    assert await store.collect_all() == 0
    assert store.blobs.verify(sha256).read_bytes() == b"content"


async def test_collecting_and_storing_at_once_lose_nothing(store: Store, tmp_path: Path) -> None:
    """Each round stores and releases the same bytes while another task collects."""
    store, is_over = replace(store, grace_s=0), False

    async def collect() -> int:
        collected = 0
        while not is_over:
            collected += await store.collect_all()
        return collected + await store.collect_all()

    collector = asyncio.create_task(collect())
    sha256 = hashlib.sha256(b"content").hexdigest()
    for _ in range(100):
        with store.blobs.pinned(sha256):
            await asyncio.to_thread(put, store, tmp_path)
            await refer(store, sha256)
        assert await asyncio.to_thread(store.blobs.verify, sha256)
        await release(store)
        await asyncio.sleep(0)
    is_over = True
    assert await collector > 0


async def test_nothing_is_deleted_while_a_process_keeps_all_blobs(
    store: Store, clock: SetClock, tmp_path: Path
) -> None:
    sha256 = put(store, tmp_path)
    await store.collect_all()
    clock.seconds += GRACE_S
    with BlobStore(tmp_path / "blobs").kept():
        assert await store.collect_all() == 0
        assert store.blobs.digests() == {sha256}
    assert await store.collect_all() == 1


async def test_note_about_a_missing_blob_goes(
    store: Store, clock: SetClock, tmp_path: Path
) -> None:
    sha256 = put(store, tmp_path)
    await store.collect_all()
    store.blobs.path(sha256).unlink()
    assert await noted(store) == {sha256}
    clock.seconds += GRACE_S
    await store.collect_all()
    assert await noted(store) == set()
