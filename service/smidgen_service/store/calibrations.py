"""Rows of the caller's calibrations."""

from __future__ import annotations

import hashlib
import json
import sqlite3

from smidgen.profile import CalibrationProfile
from smidgen_service import names
from smidgen_service.errors import DataLossError, NotFoundError
from smidgen_service.store.paging import PageRequest, Slice, select_slice
from smidgen_service.store.records import CalibrationRecord
from smidgen_service.store.tenancy import current_tenant

MOST_STATISTICS_BYTES = 64 << 20


def insert(tx: sqlite3.Connection, calibration: CalibrationRecord, whole: bytes) -> None:
    """Adds a calibration; its model must be stored.

    Args:
        tx: The transaction.
        calibration: The calibration.
        whole: What encode_profile gives. Beyond MOST_STATISTICS_BYTES it is not kept.
    """
    tx.execute(
        "INSERT INTO calibrations (tenant, id, model_id, sha256, profile, create_time, bases)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            current_tenant(),
            calibration.id,
            calibration.model_id,
            calibration.sha256,
            calibration.profile.to_json(),
            calibration.create_time,
            json.dumps(calibration.bases),
        ),
    )
    if len(whole) <= MOST_STATISTICS_BYTES:
        tx.execute(
            "INSERT INTO calibration_statistics (calibration_id, sha256, profile) VALUES (?, ?, ?)",
            (calibration.id, hashlib.sha256(whole).hexdigest(), whole),
        )


def get(tx: sqlite3.Connection, calibration_id: str) -> CalibrationRecord:
    """Returns a calibration.

    Raises:
        NotFoundError: there is none.
        DataLossError: the stored profile fails its digest.
    """
    row = tx.execute(
        "SELECT * FROM calibrations WHERE tenant = ? AND id = ?",
        (current_tenant(), calibration_id),
    ).fetchone()
    if row is None:
        raise NotFoundError("calibration", names.calibration_name(calibration_id))
    return _decode(row)


def whole_profile(tx: sqlite3.Connection, calibration_id: str) -> bytes | None:
    """Returns what encode_profile gave, or None where no statistics were kept.

    Raises:
        DataLossError: the stored bytes fail their digest.
    """
    row = tx.execute(
        "SELECT * FROM calibration_statistics WHERE calibration_id ="
        " (SELECT id FROM calibrations WHERE tenant = ? AND id = ?)",
        (current_tenant(), calibration_id),
    ).fetchone()
    if row is None:
        return None
    whole: bytes = row["profile"]
    _check_digest(whole, row["sha256"], calibration_id)
    return whole


def select(tx: sqlite3.Connection, request: PageRequest) -> Slice[CalibrationRecord]:
    """Returns a page of calibrations."""
    return select_slice(tx, "calibrations", request, _decode)


def _decode(row: sqlite3.Row) -> CalibrationRecord:
    encoded: bytes = row["profile"]
    _check_digest(encoded, row["sha256"], row["id"])
    return CalibrationRecord(
        id=row["id"],
        model_id=row["model_id"],
        sha256=row["sha256"],
        profile=CalibrationProfile.from_json(encoded),
        create_time=row["create_time"],
        bases=tuple(json.loads(row["bases"])),
    )


def _check_digest(encoded: bytes, sha256: str, calibration_id: str) -> None:
    if hashlib.sha256(encoded).hexdigest() != sha256:
        name = names.calibration_name(calibration_id)
        raise DataLossError(
            f"the stored profile of {name} fails its digest; calibrate again", resource_name=name
        )
