"""What a running server drops by itself."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from smidgen_service.handlers.receiving import UploadReceiver
from smidgen_service.handlers.streams import StreamReader
from smidgen_service.store import idempotency, uploads
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.database import Database
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.store import Store
from smidgen_service.store.uploads import UploadFiles
from smidgen_service.threads import Threads
from smidgen_service.upkeep import REQUEST_ID_TTL_US, Upkeep
from tests.service.test_uploads import wait_until

SECOND = 1_000_000
TTL_S = 60
KEY = RequestKey("UploadModel", str(uuid.uuid4()), "0" * 64)


class Parts:
    """A store with its upkeep and a clock to set, in microseconds."""

    def __init__(self, root: Path, database: Database, threads: Threads) -> None:
        self.now = 10 * REQUEST_ID_TTL_US
        self.database = database
        self.files = UploadFiles(root / "uploads")
        self.store = Store(database, BlobStore(root / "blobs"), clock=lambda: self.now)
        receiver = UploadReceiver(
            database,
            self.files,
            threads,
            StreamReader(1.0, 1.0),
            ttl_s=TTL_S,
            most_broken=2,
            clock=lambda: self.now,
        )
        self.upkeep = Upkeep(self.store, receiver, clock=lambda: self.now, interval_s=0.01)

    async def begin(self, key: RequestKey) -> Path:
        """Leaves a broken upload behind."""
        expire_time = self.now + TTL_S * SECOND
        await self.database.write(
            lambda tx: uploads.begin(tx, key, total_bytes=9, now=self.now, expire_time=expire_time)
        )
        path = self.files.partial(uploads.key_of(key.request_id))
        path.write_bytes(b"part")
        return path


@pytest.fixture
def threads() -> Iterator[Threads]:
    with closing(Threads(1, "io")) as pool:
        yield pool


@pytest.fixture
async def parts(tmp_path: Path, threads: Threads) -> AsyncIterator[Parts]:
    database = await Database(tmp_path / "smidgen.db").open()
    yield Parts(tmp_path, database, threads)
    await database.close()


async def test_upload_goes_when_its_time_is_over(parts: Parts) -> None:
    path = await parts.begin(KEY)
    parts.now += TTL_S * SECOND
    await parts.upkeep.run_once()
    assert path.exists()
    parts.now += 1
    await parts.upkeep.run_once()
    assert not path.exists()
    assert await parts.database.read(lambda tx: uploads.find(tx, KEY.request_id)) is None


async def test_oldest_of_too_many_uploads_goes(parts: Parts) -> None:
    paths = []
    for number in range(3):
        parts.now += 1
        paths.append(await parts.begin(RequestKey("UploadModel", f"id-{number}", "0" * 64)))
    await parts.upkeep.run_once()
    assert [path.exists() for path in paths] == [False, True, True]


async def test_request_ids_are_forgotten_after_a_week(parts: Parts) -> None:
    await parts.database.write(lambda tx: idempotency.record(tx, KEY, "models/m", now=parts.now))
    parts.now += REQUEST_ID_TTL_US
    await parts.upkeep.run_once()
    assert await parts.database.read(lambda tx: idempotency.find(tx, KEY)) == "models/m"
    parts.now += 1
    await parts.upkeep.run_once()
    assert await parts.database.read(lambda tx: idempotency.find(tx, KEY)) is None


async def test_upkeep_goes_on_after_a_fault(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    async def fail_once() -> int:
        calls.append(len(calls))
        if len(calls) == 1:
            raise OSError(5, "input/output error")
        return 0

    monkeypatch.setattr(Store, "collect_all", lambda _: fail_once())
    parts.upkeep.start()
    await asyncio.to_thread(wait_until, lambda: len(calls) >= 2)
    await parts.upkeep.stop()
