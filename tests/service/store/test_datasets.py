"""Datasets of several files: their rows, and what these keep."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from smidgen.formats.dataset import DatasetFormat
from smidgen_service.store import datasets, usage
from smidgen_service.store.database import migrate
from smidgen_service.store.paging import PageRequest
from smidgen_service.store.records import DatasetFile, DatasetRecord
from smidgen_service.store.references import is_referenced, references, referrers
from smidgen_service.store.schema import MIGRATIONS
from smidgen_service.store.tenancy import acting_for

A, B, JOINED = "a" * 64, "b" * 64, "c" * 64
SHARDS = (DatasetFile(B, 20), DatasetFile(A, 1), DatasetFile(B, 20))


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    opened.row_factory = sqlite3.Row
    opened.execute("PRAGMA foreign_keys = ON")
    migrate(opened)
    yield opened
    opened.close()


def record(name: str, *shards: DatasetFile, sha256: str = A) -> DatasetRecord:
    return DatasetRecord(name, DatasetFormat.NPZ, sha256, 1, 9, (), 0, shards)


def test_files_keep_their_order(tx: sqlite3.Connection) -> None:
    with acting_for("a"):
        whole, one = record("whole", *SHARDS, sha256=JOINED), record("one")
        datasets.insert(tx, whole)
        datasets.insert(tx, one)
        assert datasets.get(tx, "whole") == whole
        assert datasets.get(tx, "whole").files == SHARDS
        assert datasets.get(tx, "one") == one
        assert datasets.get(tx, "one").files == (DatasetFile(A, 1),)
        assert datasets.select(tx, PageRequest(9)).items == (one, whole)
    with acting_for("b"):
        datasets.insert(tx, record("whole"))
        assert datasets.get(tx, "whole").files == (DatasetFile(A, 1),)


def test_files_are_needed_and_the_digest_of_all_is_no_file(tx: sqlite3.Connection) -> None:
    with acting_for("a"):
        datasets.insert(tx, record("whole", *SHARDS, sha256=JOINED))
        datasets.insert(tx, record("one"))
        assert references(tx) == {A, B}
        assert not is_referenced(tx, JOINED)
        name = "tenants/a/datasets"
        assert sorted(referrers(tx)) == [
            (f"{name}/one", A),
            (f"{name}/whole", A),
            (f"{name}/whole", B),
        ]
        datasets.delete(tx, "one")
        assert references(tx) == {A, B}
        datasets.delete(tx, "whole")
        assert references(tx) == set()


def test_files_count_once(tx: sqlite3.Connection) -> None:
    with acting_for("a"):
        datasets.insert(tx, record("one"))
        assert usage.stored_bytes(tx) == 1
        datasets.insert(tx, record("whole", *SHARDS, sha256=JOINED))
        assert usage.stored_bytes(tx) == 21
    with acting_for("b"):
        assert usage.stored_bytes(tx) == 0


def test_datasets_from_before_there_were_shards_have_one_file(tx: sqlite3.Connection) -> None:
    with acting_for("a"):
        datasets.insert(tx, record("old"))
        number = next(
            number
            for number, statements in enumerate(MIGRATIONS)
            if "dataset_files" in statements[0]
        )
        tx.execute("DROP TABLE dataset_files")
        tx.execute(f"PRAGMA user_version = {number}")
        for statement in MIGRATIONS[number]:
            tx.execute(statement)
        assert datasets.get(tx, "old") == record("old")
        assert references(tx) == {A}
