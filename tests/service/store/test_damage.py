"""Two hundred damaged copies of each kind of stored bytes: every one is refused."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from smidgen_service.errors import DataLossError
from smidgen_service.handlers.engines import EngineCache, EngineLimits
from smidgen_service.maintenance.findings import Problem
from smidgen_service.maintenance.fsck import check
from smidgen_service.metrics import Metrics
from smidgen_service.store import calibrations
from smidgen_service.store.blobs import BlobStore
from smidgen_service.threads import Threads
from tests.service.durability.cheap_worker import ARTIFACT
from tests.service.maintenance.filled_directory import (
    KINDS,
    FilledDirectory,
    digest,
    fill,
    put,
)

COUNT = 200
Read = Callable[[], object]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> FilledDirectory:
    return fill(tmp_path_factory.mktemp("damage") / "store")


def damaged(content: bytes, seed: int) -> Iterator[bytes]:
    """Yields copies with a flipped bit, and copies that are cut off, half of each."""
    generator = random.Random(seed)
    for _ in range(COUNT // 2):
        flipped = bytearray(content)
        flipped[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        yield bytes(flipped)
        yield content[: generator.randrange(len(content))]


def refusals(path: Path, read: Read, seed: int) -> int:
    """Damages a file in many ways and returns how often reading it was refused."""
    content, count = path.read_bytes(), 0
    path.chmod(0o644)
    for copy in damaged(content, seed):
        path.write_bytes(copy)
        with pytest.raises(DataLossError):
            read()
        count += 1
    path.write_bytes(content)
    read()
    return count


@pytest.mark.parametrize("kind", list(KINDS))
def test_damaged_files_are_never_given_out(filled: FilledDirectory, kind: str) -> None:
    blobs = BlobStore(filled.data_dir.blobs)
    assert refusals(filled.blob(kind), lambda: blobs.verify(digest(KINDS[kind])), seed=1) == COUNT


def test_damaged_artifacts_are_never_computed_with(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    sha256 = put(blobs, tmp_path, ARTIFACT)
    with closing(Threads(1, "io")) as threads:

        def read() -> object:
            cache = EngineCache(
                blobs,
                threads,
                Metrics(),
                EngineLimits(
                    1, None, threads=1, isa=None, most_run_bytes=1 << 30, most_work=1 << 40
                ),
            )
            return asyncio.run(cache.load(sha256))

        assert refusals(blobs.path(sha256), read, seed=2) == COUNT


@pytest.mark.parametrize("table", ["calibrations", "calibration_statistics"])
def test_damaged_calibrations_are_never_given_out(filled: FilledDirectory, table: str) -> None:

    def read(tx: sqlite3.Connection) -> None:
        calibrations.get(tx, "c")
        calibrations.whole_profile(tx, "c")

    with closing(sqlite3.connect(filled.data_dir.database, isolation_level=None)) as tx:
        tx.row_factory = sqlite3.Row
        (content,) = tx.execute(f"SELECT profile FROM {table}").fetchone()
        count = 0
        for copy in damaged(content, seed=3):
            tx.execute(f"UPDATE {table} SET profile = ?", (copy,))
            with pytest.raises(DataLossError):
                read(tx)
            count += 1
        tx.execute(f"UPDATE {table} SET profile = ?", (content,))
        read(tx)
    assert count == COUNT


def test_fsck_finds_what_the_server_would(filled: FilledDirectory) -> None:
    """Ten of each kind: each check reads all that there is."""
    places = {kind: filled.blob(kind) for kind in KINDS} | {"checkpoint": filled.checkpoint}
    generator = random.Random(4)
    for path in places.values():
        content = path.read_bytes()
        path.chmod(0o644)
        for _ in range(10):
            flipped = bytearray(content)
            flipped[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
            path.write_bytes(flipped)
            (finding,) = check(filled.root).findings
            assert finding.subject == filled.subject(path)
            assert finding.problem in (Problem.BLOB_DAMAGED, Problem.CHECKPOINT_DAMAGED)
        path.write_bytes(content)
    assert check(filled.root).is_sound
