"""The check of a data directory: whatever is damaged is named, and put aside when asked."""

from __future__ import annotations

import contextvars
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from smidgen.formats.dataset import DatasetFormat
from smidgen_service.errors import DataDirectoryError
from smidgen_service.maintenance.findings import CheckReport, Problem
from smidgen_service.maintenance.fsck import check, repair
from smidgen_service.store import datasets
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.records import DatasetFile, DatasetRecord
from tests.service.maintenance.filled_directory import (
    INTERRUPTED,
    KINDS,
    FilledDirectory,
    digest,
    fill,
    put,
)


@pytest.fixture
def filled(tmp_path: Path) -> FilledDirectory:
    return fill(tmp_path / "store")


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def execute(filled: FilledDirectory, statement: str) -> None:
    connection = sqlite3.connect(filled.data_dir.database, isolation_level=None)
    connection.execute(statement)
    connection.close()


def problems(report: CheckReport) -> list[tuple[Problem, str]]:
    return [(finding.problem, finding.subject) for finding in report.findings]


def test_whole_directory_is_sound(filled: FilledDirectory) -> None:
    report = check(filled.root)
    assert report.findings == ()
    assert report.is_sound
    assert (report.row_count, report.blob_count, report.checkpoint_count) == (7, 4, 1)
    assert report.blob_bytes == sum(map(len, KINDS.values()))


@pytest.mark.parametrize(
    ("kind", "needed_by"),
    [
        ("model", "models/m"),
        ("artifact", "models/m/versions/1"),
        ("dataset", "datasets/d"),
        ("trained", "jobs/j-trained"),
    ],
)
def test_damaged_and_missing_files_are_named_with_what_needs_them(
    filled: FilledDirectory, kind: str, needed_by: str
) -> None:
    path = filled.blob(kind)
    overwrite(path, KINDS[kind][:-1])
    (finding,) = check(filled.root).findings
    assert (finding.problem, finding.subject) == (Problem.BLOB_DAMAGED, filled.subject(path))
    assert finding.needed_by == (needed_by,)
    path.unlink()
    report = check(filled.root)
    assert problems(report) == [(Problem.BLOB_MISSING, filled.subject(path))]
    assert report.findings[0].needed_by == (needed_by,)
    assert not report.is_sound


def test_damaged_shards_are_named_with_their_dataset(
    filled: FilledDirectory, tmp_path: Path
) -> None:
    before = check(filled.root)
    blobs = BlobStore(filled.data_dir.blobs)
    shards = tuple(
        DatasetFile(put(blobs, tmp_path, data), len(data)) for data in (b"first", b"second")
    )
    record = DatasetRecord("all", DatasetFormat.NPZ, "0" * 64, 11, 2, (), 1, shards)
    connection = sqlite3.connect(filled.data_dir.database, isolation_level=None)
    connection.row_factory = sqlite3.Row
    datasets.insert(connection, record)
    connection.close()
    report = check(filled.root)
    assert report.findings == ()
    assert report.row_count == before.row_count + 1
    assert report.blob_count == before.blob_count + 2
    path = blobs.path(shards[1].sha256)
    path.unlink()
    (finding,) = check(filled.root).findings
    assert (finding.problem, finding.subject) == (Problem.BLOB_MISSING, filled.subject(path))
    assert finding.needed_by == ("datasets/all",)


def test_damaged_rows_are_named(filled: FilledDirectory) -> None:
    execute(filled, "UPDATE calibrations SET profile = x'00'")
    execute(filled, "UPDATE models SET inputs = '{'")
    execute(filled, "UPDATE jobs SET state = 'asleep' WHERE id = 'j-trained'")
    found = problems(check(filled.root))
    assert (Problem.CALIBRATION_DAMAGED, "calibrations/c") in found
    assert (Problem.ROW_UNREADABLE, "models/m") in found
    assert (Problem.ROW_UNREADABLE, "jobs/j-trained") in found
    assert len(found) == 3


def test_damaged_statistics_of_a_calibration_are_named(filled: FilledDirectory) -> None:
    execute(filled, "UPDATE calibration_statistics SET profile = x'00'")
    assert problems(check(filled.root)) == [(Problem.CALIBRATION_DAMAGED, "calibrations/c")]


def test_broken_reference_between_rows_is_named(filled: FilledDirectory) -> None:
    for table in ("alias_moves", "aliases"):
        execute(filled, f"DELETE FROM {table}")
    execute(filled, "UPDATE versions SET model_id = 'other'")
    ((problem, subject),) = problems(check(filled.root))
    assert (problem, subject) == (Problem.REFERENCE_BROKEN, "smidgen.db:versions")


def test_alias_of_no_version_is_named(filled: FilledDirectory) -> None:
    execute(filled, "UPDATE aliases SET version = 9")
    ((problem, subject),) = problems(check(filled.root))
    assert (problem, subject) == (Problem.REFERENCE_BROKEN, "smidgen.db:aliases")


def test_damaged_database_is_named_and_files_are_checked_all_the_same(
    filled: FilledDirectory,
) -> None:
    overwrite(filled.data_dir.database, b"garbage " * 1000)
    overwrite(filled.blob("model"), b"other")
    assert [problem for problem, _ in problems(check(filled.root))] == [
        Problem.DATABASE_DAMAGED,
        Problem.BLOB_DAMAGED,
    ]


def test_damaged_page_of_the_database_is_found(filled: FilledDirectory) -> None:
    execute(filled, "PRAGMA journal_mode = DELETE")
    data = filled.data_dir.database.read_bytes()
    overwrite(filled.data_dir.database, data[:8192] + b"\xff" * 4096 + data[12288:])
    assert Problem.DATABASE_DAMAGED in [problem for problem, _ in problems(check(filled.root))]


def test_orphans_and_strays_are_told_and_are_no_damage(filled: FilledDirectory) -> None:
    orphan = put(BlobStore(filled.data_dir.blobs), filled.root, b"nobody's")
    stray = filled.data_dir.blobs / "sha256" / "notes.txt"
    stray.write_text("x")
    report = check(filled.root)
    assert sorted(problem for problem, _ in problems(report)) == [
        Problem.ORPHAN_BLOB,
        Problem.STRAY_FILE,
    ]
    assert report.is_sound
    assert orphan == digest(b"nobody's")


def test_repair_moves_damaged_files_aside_and_deletes_nothing(filled: FilledDirectory) -> None:
    stray = filled.data_dir.blobs / "notes.txt"
    stray.write_text("x")
    overwrite(filled.blob("model"), b"damaged")
    overwrite(filled.checkpoint, b"cut")
    report = repair(filled.root)
    moved = {finding.subject: finding.quarantined_to for finding in report.findings}
    expected = {
        filled.subject(filled.blob("model")): b"damaged",
        filled.subject(filled.checkpoint): b"cut",
        filled.subject(stray): b"x",
    }
    assert moved.keys() == expected.keys()
    for subject, content in expected.items():
        assert not (filled.root / subject).exists()
        assert (filled.root / str(moved[subject])).read_bytes() == content
    (document,) = filled.data_dir.quarantine.glob("*/findings.json")
    assert {entry["subject"] for entry in json.loads(document.read_bytes())} == moved.keys()
    assert problems(repair(filled.root)) == [
        (Problem.BLOB_MISSING, filled.subject(filled.blob("model")))
    ]
    assert report.findings[-1].needed_by == (f"jobs/{INTERRUPTED}",)


def test_missing_file_comes_back_with_its_bytes(filled: FilledDirectory) -> None:
    filled.blob("model").unlink()
    assert not check(filled.root).is_sound
    put(BlobStore(filled.data_dir.blobs), filled.root, KINDS["model"])
    assert check(filled.root).findings == ()


def test_sound_directory_is_not_changed_by_repair(filled: FilledDirectory) -> None:
    assert repair(filled.root).findings == ()
    assert not filled.data_dir.quarantine.exists()


def test_check_works_beside_a_server_and_repair_does_not(filled: FilledDirectory) -> None:
    with filled.data_dir.locked():
        assert check(filled.root).is_sound
        with pytest.raises(DataDirectoryError) as caught:
            repair(filled.root)
    assert caught.value.reason == "DATA_DIRECTORY_IN_USE"


@pytest.mark.parametrize("run", [check, repair])
def test_other_directories_are_refused(tmp_path: Path, run: Callable[[Path], CheckReport]) -> None:
    with pytest.raises(DataDirectoryError) as caught:
        run(tmp_path)
    assert caught.value.reason == "NO_DATA_DIRECTORY"
    assert list(tmp_path.iterdir()) == []


def test_other_schema_is_refused(filled: FilledDirectory) -> None:
    execute(filled, "PRAGMA user_version = 99")
    with pytest.raises(DataDirectoryError, match="has schema 99") as caught:
        check(filled.root)
    assert caught.value.reason == "OTHER_SCHEMA"


def test_rows_of_all_tenants_are_checked(filled: FilledDirectory) -> None:
    tables = (
        "models", "versions", "aliases", "alias_moves", "datasets", "dataset_files",
        "calibrations", "jobs",
    )  # fmt: skip
    for table in tables:
        execute(filled, f"UPDATE {table} SET tenant = 'acme'")
    nobody = contextvars.Context()  # as in the command, which acts for no tenant
    report = nobody.run(check, filled.root)
    assert report.findings == ()
    assert report.row_count == 7
    filled.blob("artifact").unlink()
    (finding,) = nobody.run(check, filled.root).findings
    assert finding.needed_by == ("tenants/acme/models/m/versions/1",)
