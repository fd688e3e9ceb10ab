"""Backups: taken beside a server, whole or refused, and restored to the same bytes."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from smidgen.formats.dataset import DatasetFormat
from smidgen_service.data_dir import DataDirIncompleteError
from smidgen_service.errors import DataDirectoryError, DataLossError
from smidgen_service.maintenance import backup
from smidgen_service.maintenance.backup import back_up, restore
from smidgen_service.maintenance.fsck import check
from smidgen_service.store import datasets
from smidgen_service.store.blobs import BlobStore, file_sha256
from smidgen_service.store.database import Database
from smidgen_service.store.records import DatasetRecord
from smidgen_service.store.store import Store
from smidgen_service.store.tenancy import DEFAULT_TENANT, act_for
from tests.service.maintenance.filled_directory import FilledDirectory, fill, put

LEFT_BEHIND = {"lock", "blobs/lock"}


@pytest.fixture
def filled(tmp_path: Path) -> FilledDirectory:
    return fill(tmp_path / "store")


def rows(database: Path) -> list[str]:
    connection = sqlite3.connect(database)
    lines = list(connection.iterdump())
    connection.close()
    return lines


def files(root: Path) -> dict[str, str]:
    """Returns the digests of all files but the database and locks, by path."""
    return {
        str(path.relative_to(root)): file_sha256(path)
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith("smidgen.db")
    }


def test_restored_directory_is_the_one_that_was_lost(
    filled: FilledDirectory, tmp_path: Path
) -> None:
    before, rows_before = files(filled.root), rows(filled.data_dir.database)
    copied = back_up(filled.root, tmp_path / "backup", clock=lambda: 5)
    assert copied.file_count == 7  # database, four blobs, checkpoint, key
    manifest = json.loads((tmp_path / "backup" / "manifest.json").read_bytes())
    assert manifest["create_time"] == 5
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700
    shutil.rmtree(filled.root)

    assert restore(tmp_path / "backup", filled.root) == copied
    after = files(filled.root)
    assert {path: after[path] for path in before.keys() - LEFT_BEHIND} == {
        path: before[path] for path in before.keys() - LEFT_BEHIND
    }
    assert after.keys() - LEFT_BEHIND == before.keys() - LEFT_BEHIND
    assert rows(filled.data_dir.database) == rows_before
    report = check(filled.root)
    assert report.findings == ()
    assert (report.row_count, report.blob_count, report.checkpoint_count) == (7, 4, 1)
    assert filled.data_dir.key.stat().st_mode & 0o777 == 0o600
    assert filled.blob("model").stat().st_mode & 0o777 == 0o444
    filled.data_dir.check_complete()


def test_backup_beside_writers_is_whole(filled: FilledDirectory, tmp_path: Path) -> None:
    """Datasets come and go, and their files are collected at once, while backups are taken."""
    is_over = threading.Event()

    async def churn() -> int:
        act_for(DEFAULT_TENANT)
        database = await Database(filled.data_dir.database).open()
        store = Store(database, BlobStore(filled.data_dir.blobs))
        round_number = 0
        while not is_over.is_set():
            round_number += 1
            data = b"%d" % round_number
            sha256 = put(store.blobs, tmp_path, data)
            record = DatasetRecord(f"n{round_number}", DatasetFormat.NPZ, sha256, 1, 1, (), 0)
            await database.write(lambda tx, record=record: datasets.insert(tx, record))
            if round_number % 3:
                await database.write(lambda tx, record=record: datasets.delete(tx, record.id))
                await store.collect_all()
        await database.close()
        return round_number

    rounds: list[int] = []
    writer = threading.Thread(target=lambda: rounds.append(asyncio.run(churn())))
    writer.start()
    try:
        for number in range(4):
            back_up(filled.root, tmp_path / f"backup-{number}")
    finally:
        is_over.set()
        writer.join()
    assert rounds[0] > 4
    for number in range(4):
        restore(tmp_path / f"backup-{number}", tmp_path / f"store-{number}")
        report = check(tmp_path / f"store-{number}")
        assert report.findings == ()
        assert report.row_count >= 6


def test_damaged_store_is_not_backed_up_as_if_it_were_whole(
    filled: FilledDirectory, tmp_path: Path
) -> None:
    path = filled.blob("dataset")
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    with pytest.raises(DataLossError, match="run fsck"):
        back_up(filled.root, tmp_path / "backup")
    path.unlink()
    with pytest.raises(DataLossError) as caught:
        back_up(filled.root, tmp_path / "other")
    assert caught.value.reason == "STORED_BYTES_MISSING"
    for name in ("backup", "other"):
        with pytest.raises(DataDirectoryError) as refused:
            restore(tmp_path / name, tmp_path / "restored")
        assert refused.value.reason == "NO_BACKUP"


@pytest.mark.parametrize("damage", ["missing", "flipped", "manifest", "escaping"])
def test_damaged_backup_is_refused(filled: FilledDirectory, tmp_path: Path, damage: str) -> None:
    back_up(filled.root, tmp_path / "backup")
    copy = tmp_path / "backup" / filled.subject(filled.blob("trained"))
    manifest = tmp_path / "backup" / "manifest.json"
    if damage == "missing":
        copy.unlink()
    elif damage == "flipped":
        data = bytearray(copy.read_bytes())
        data[100] ^= 4
        copy.write_bytes(data)
    elif damage == "manifest":
        manifest.write_text("[]")
    else:
        manifest.write_text(manifest.read_text().replace('"secret.key"', '"../secret.key"'))
    with pytest.raises((DataLossError, DataDirectoryError)) as caught:
        restore(tmp_path / "backup", tmp_path / "restored")
    if damage in ("missing", "flipped"):
        assert isinstance(caught.value, DataLossError)
        with pytest.raises(DataDirIncompleteError, match="restore it again"):
            FilledDirectory(
                filled.data_dir.__class__(tmp_path / "restored")
            ).data_dir.check_complete()
    else:
        assert caught.value.reason == "BACKUP_DAMAGED"
        assert not (tmp_path / "restored").exists()


def test_folders_that_hold_something_are_refused(filled: FilledDirectory, tmp_path: Path) -> None:
    back_up(filled.root, tmp_path / "backup")
    for run in (
        lambda: back_up(filled.root, tmp_path / "backup"),
        lambda: restore(tmp_path / "backup", filled.root),
    ):
        with pytest.raises(DataDirectoryError) as caught:
            run()
        assert caught.value.reason == "FOLDER_NOT_EMPTY"
    assert check(filled.root).is_sound


def test_copy_is_named_only_once_it_is_whole(
    filled: FilledDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(backup, "_copy_database", fail)
    with pytest.raises(OSError, match="no space"):
        back_up(filled.root, tmp_path / "backup")
    assert list((tmp_path / "backup").iterdir()) == []
