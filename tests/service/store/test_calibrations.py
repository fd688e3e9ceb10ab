"""Calibrations in the database: those of earlier versions, and their statistics."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from smidgen.config import CalibrationConfig
from smidgen.histogram import count_values
from smidgen.profile import ActivationRange, CalibrationProfile, make_profile
from smidgen.profile_file import decode_profile, encode_profile
from smidgen.statistics import ActivationStatistics
from smidgen_service.errors import DataLossError
from smidgen_service.store import calibrations
from smidgen_service.store.database import migrate
from smidgen_service.store.paging import PageRequest
from smidgen_service.store.records import CalibrationRecord
from smidgen_service.store.schema import MIGRATIONS

MODEL = (
    "INSERT INTO models (tenant, id, display_name, format, sha256, size_bytes, inputs, outputs,"
    " parameter_count, parameter_bytes, create_time)"
    " VALUES ('default', 'm', 'm', 'pt2', '', 1, '[]', '[]', 1, 4, 0)"
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    opened.row_factory = sqlite3.Row
    opened.execute("PRAGMA foreign_keys = ON")
    yield opened
    opened.close()


def profile() -> CalibrationProfile:
    values = np.array([-1.0, 0.5, 2.0], np.float32)
    found = ActivationStatistics(-1.0, 2.0, count_values(values, -1.0, 2.0))
    return make_profile("0" * 64, {"x": found}, CalibrationConfig(), 3, 1)


def insert(tx: sqlite3.Connection) -> CalibrationRecord:
    whole = profile()
    document = whole.without_statistics()
    sha256 = hashlib.sha256(document.to_json()).hexdigest()
    record = CalibrationRecord("c-1", "m", sha256, document, 7, ("c-0",))
    calibrations.insert(tx, record, encode_profile(whole))
    return record


def test_record_and_statistics_come_back(connection: sqlite3.Connection) -> None:
    migrate(connection)
    connection.execute(MODEL)
    record = insert(connection)
    assert calibrations.get(connection, "c-1") == record
    assert calibrations.select(connection, PageRequest(10, None)).items == (record,)
    whole = calibrations.whole_profile(connection, "c-1")
    assert whole is not None
    assert decode_profile(whole) == profile()


def test_statistics_go_with_the_model(connection: sqlite3.Connection) -> None:
    migrate(connection)
    connection.execute(MODEL)
    insert(connection)
    connection.execute("DELETE FROM models")
    count = connection.execute("SELECT count(*) FROM calibration_statistics").fetchone()[0]
    assert count == 0


def test_damaged_statistics_are_data_loss(connection: sqlite3.Connection) -> None:
    migrate(connection)
    connection.execute(MODEL)
    insert(connection)
    connection.execute("UPDATE calibration_statistics SET profile = x'00'")
    with pytest.raises(DataLossError):
        calibrations.whole_profile(connection, "c-1")


def test_huge_statistics_are_not_kept(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrations, "MOST_STATISTICS_BYTES", 100)
    migrate(connection)
    connection.execute(MODEL)
    record = insert(connection)
    assert calibrations.get(connection, "c-1") == record
    assert calibrations.whole_profile(connection, "c-1") is None


def test_calibrations_of_the_first_schema_are_read(connection: sqlite3.Connection) -> None:
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 1")
    connection.execute(MODEL.replace("tenant, ", "").replace("'default', ", ""))
    document = {
        "format_version": 1,
        "model_sha256": "0" * 64,
        "method": "min_max",
        "sample_count": 40,
        "batch_count": 2,
        "ranges": {"x": {"low": 0.0, "high": 2.5}},
        "warnings": [],
    }
    encoded = json.dumps(document).encode()
    connection.execute(
        "INSERT INTO calibrations (id, model_id, sha256, profile, create_time)"
        " VALUES ('c-0', 'm', ?, ?, 0)",
        (hashlib.sha256(encoded).hexdigest(), encoded),
    )
    migrate(connection)
    record = calibrations.get(connection, "c-0")
    assert record.profile.ranges == {"x": ActivationRange(0.0, 2.5)}
    assert record.bases == ()
    assert calibrations.whole_profile(connection, "c-0") is None
