"""Rows of calibrations."""

from __future__ import annotations

import hashlib
import sqlite3

from smidgen.profile import CalibrationProfile
from smidgen_service import names
from smidgen_service.errors import DataLossError, NotFoundError
from smidgen_service.store.paging import PageRequest, Slice, select_slice
from smidgen_service.store.records import CalibrationRecord


def insert(tx: sqlite3.Connection, calibration: CalibrationRecord) -> None:
    """Adds a calibration; its model must be stored."""
    tx.execute(
        "INSERT INTO calibrations (id, model_id, sha256, profile, create_time)"
        " VALUES (?, ?, ?, ?, ?)",
        (
            calibration.id,
            calibration.model_id,
            calibration.sha256,
            calibration.profile.to_json(),
            calibration.create_time,
        ),
    )


def get(tx: sqlite3.Connection, calibration_id: str) -> CalibrationRecord:
    """Returns a calibration.

    Raises:
        NotFoundError: there is none.
        DataLossError: the stored profile fails its digest.
    """
    row = tx.execute("SELECT * FROM calibrations WHERE id = ?", (calibration_id,)).fetchone()
    if row is None:
        raise NotFoundError("calibration", names.calibration_name(calibration_id))
    return _decode(row)


def select(tx: sqlite3.Connection, request: PageRequest) -> Slice[CalibrationRecord]:
    """Returns a page of calibrations."""
    return select_slice(tx, "calibrations", request, _decode)


def _decode(row: sqlite3.Row) -> CalibrationRecord:
    encoded: bytes = row["profile"]
    name = names.calibration_name(row["id"])
    if hashlib.sha256(encoded).hexdigest() != row["sha256"]:
        raise DataLossError(
            f"the stored profile of {name} fails its digest; calibrate again", resource_name=name
        )
    return CalibrationRecord(
        id=row["id"],
        model_id=row["model_id"],
        sha256=row["sha256"],
        profile=CalibrationProfile.from_json(encoded),
        create_time=row["create_time"],
    )
