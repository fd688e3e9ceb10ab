"""Which calibrations belong to which model."""

from __future__ import annotations

import sqlite3

from smidgen_service import names
from smidgen_service.errors import FailedPreconditionError
from smidgen_service.store import calibrations
from smidgen_service.store.records import CalibrationRecord, ModelRecord


def calibration_of(
    tx: sqlite3.Connection, model: ModelRecord, calibration_id: str
) -> CalibrationRecord:
    """Returns a calibration, which must be this model's.

    Raises:
        NotFoundError: there is none.
        FailedPreconditionError: it belongs to another model, or to one that had the same name.
    """
    calibration = calibrations.get(tx, calibration_id)
    if (calibration.model_id, calibration.profile.model_sha256) != (model.id, model.sha256):
        raise FailedPreconditionError(
            f"{names.calibration_name(calibration_id)} belongs to "
            f"{names.model_name(calibration.model_id)}, not to {names.model_name(model.id)}; "
            "calibrate this model",
            reason="CALIBRATION_OF_OTHER_MODEL",
            resource_name=names.calibration_name(calibration_id),
        )
    return calibration
