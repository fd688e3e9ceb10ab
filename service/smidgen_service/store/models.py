"""Rows of the caller's models and their converted versions."""

from __future__ import annotations

import json
import sqlite3

from smidgen.formats.model_file import ModelFormat
from smidgen.report import QuantizationReport
from smidgen_service import names
from smidgen_service.errors import AlreadyExistsError, NotFoundError
from smidgen_service.store.paging import PageRequest, Slice, select_slice
from smidgen_service.store.records import (
    IndexEntry,
    ModelRecord,
    VersionRecord,
    decode_specs,
    encode_specs,
)
from smidgen_service.store.tenancy import current_tenant

_WITH_LATEST = (
    "(SELECT models.*, (SELECT MAX(version) FROM versions WHERE tenant = models.tenant"
    " AND model_id = models.id) AS latest_version FROM models)"
)


def insert(tx: sqlite3.Connection, model: ModelRecord) -> None:
    """Adds a model.

    Raises:
        AlreadyExistsError: the id is taken.
    """
    if exists(tx, model.id):
        raise AlreadyExistsError("model", names.model_name(model.id))
    tx.execute(
        "INSERT INTO models (tenant, id, display_name, format, sha256, size_bytes, inputs, outputs,"
        " parameter_count, parameter_bytes, create_time, warnings)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            current_tenant(),
            model.id,
            model.display_name,
            model.format.value,
            model.sha256,
            model.size_bytes,
            encode_specs(model.inputs),
            encode_specs(model.outputs),
            model.parameter_count,
            model.parameter_bytes,
            model.create_time,
            json.dumps(model.warnings),
        ),
    )


def exists(tx: sqlite3.Connection, model_id: str) -> bool:
    """Tells whether a model is stored."""
    row = tx.execute(
        "SELECT 1 FROM models WHERE tenant = ? AND id = ?", (current_tenant(), model_id)
    ).fetchone()
    return row is not None


def get(tx: sqlite3.Connection, model_id: str) -> ModelRecord:
    """Returns a model.

    Raises:
        NotFoundError: there is none.
    """
    row = tx.execute(
        f"SELECT * FROM {_WITH_LATEST} WHERE tenant = ? AND id = ?", (current_tenant(), model_id)
    ).fetchone()
    if row is None:
        raise NotFoundError("model", names.model_name(model_id))
    return _decode_model(row)


def select(tx: sqlite3.Connection, request: PageRequest) -> Slice[ModelRecord]:
    """Returns a page of models."""
    return select_slice(tx, _WITH_LATEST, request, _decode_model)


def delete(tx: sqlite3.Connection, model_id: str) -> set[str]:
    """Removes a model, its versions and calibrations, and what jobs trained from it.

    Returns:
        The digests of all blobs that it referred to.
    """
    model = {"tenant": current_tenant(), "id": model_id}
    digests = {
        row[0]
        for row in tx.execute(
            "SELECT sha256 FROM models WHERE tenant = :tenant AND id = :id"
            " UNION SELECT sha256 FROM versions WHERE tenant = :tenant AND model_id = :id"
            " UNION SELECT result_sha256 FROM jobs"
            " WHERE tenant = :tenant AND model_id = :id AND result_sha256 IS NOT NULL",
            model,
        )
    }
    tx.execute(
        "UPDATE jobs SET result_sha256 = NULL, result_bytes = 0"
        " WHERE tenant = :tenant AND model_id = :id",
        model,
    )
    tx.execute("DELETE FROM models WHERE tenant = :tenant AND id = :id", model)
    return digests


def next_version(tx: sqlite3.Connection, model_id: str) -> int:
    """Returns the number that the next version of a model gets."""
    newest = tx.execute(
        "SELECT COALESCE(MAX(version), 0) FROM versions WHERE tenant = ? AND model_id = ?",
        (current_tenant(), model_id),
    ).fetchone()[0]
    return int(newest) + 1


def insert_version(tx: sqlite3.Connection, version: VersionRecord) -> None:
    """Adds a converted version."""
    tx.execute(
        "INSERT INTO versions (tenant, model_id, version, sha256, size_bytes, inputs, outputs,"
        " job_id, calibration_id, train_job_id, report, create_time)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            current_tenant(),
            version.model_id,
            version.version,
            version.sha256,
            version.size_bytes,
            encode_specs(version.inputs),
            encode_specs(version.outputs),
            version.job_id,
            version.calibration_id,
            version.train_job_id,
            json.dumps(version.report.to_dict()) if version.report is not None else None,
            version.create_time,
        ),
    )


def get_version(tx: sqlite3.Connection, model_id: str, version: int) -> VersionRecord:
    """Returns a version.

    Raises:
        NotFoundError: there is none.
    """
    row = tx.execute(
        "SELECT * FROM versions WHERE tenant = ? AND model_id = ? AND version = ?",
        (current_tenant(), model_id, version),
    ).fetchone()
    if row is None:
        raise NotFoundError("model_version", names.version_name(model_id, version))
    return _decode_version(row)


def select_versions(
    tx: sqlite3.Connection, model_id: str, request: PageRequest
) -> Slice[VersionRecord]:
    """Returns a page of a model's versions."""
    return select_slice(
        tx, "versions", request, _decode_version, where="model_id = ?", values=(model_id,)
    )


def artifact_sizes(tx: sqlite3.Connection) -> tuple[tuple[str, str, int, int], ...]:
    """Returns tenant, model, version and file size of every version of all tenants."""
    rows = tx.execute("SELECT tenant, model_id, version, size_bytes FROM versions").fetchall()
    return tuple((row[0], row[1], row[2], row[3]) for row in rows)


def version_numbers(tx: sqlite3.Connection, model_id: str) -> tuple[int, ...]:
    """Returns the numbers of a model's versions, oldest first."""
    query = "SELECT version FROM versions WHERE tenant = ? AND model_id = ? ORDER BY version"
    return tuple(row[0] for row in tx.execute(query, (current_tenant(), model_id)))


def artifacts_of(tx: sqlite3.Connection, model_id: str) -> set[str]:
    """Returns the digests of a model's artifact files."""
    rows = tx.execute(
        "SELECT sha256 FROM versions WHERE tenant = ? AND model_id = ?",
        (current_tenant(), model_id),
    )
    return {row[0] for row in rows}


def index(tx: sqlite3.Connection) -> tuple[IndexEntry, ...]:
    """Returns every version of every model, and models without versions, by id and number."""
    rows = tx.execute(
        "SELECT id, version, unloaded_models.model_id IS NOT NULL FROM models"
        " LEFT JOIN versions ON versions.tenant = models.tenant AND versions.model_id = id"
        " LEFT JOIN unloaded_models"
        " ON unloaded_models.tenant = models.tenant AND unloaded_models.model_id = id"
        " WHERE models.tenant = ? ORDER BY id, version",
        (current_tenant(),),
    )
    return tuple(IndexEntry(row[0], row[1], is_unloaded=bool(row[2])) for row in rows)


def is_unloaded(tx: sqlite3.Connection, model_id: str) -> bool:
    """Tells whether a model was taken out of service."""
    found = tx.execute(
        "SELECT 1 FROM unloaded_models WHERE tenant = ? AND model_id = ?",
        (current_tenant(), model_id),
    ).fetchone()
    return found is not None


def mark_unloaded(tx: sqlite3.Connection, model_id: str) -> None:
    """Takes a model out of service."""
    tx.execute("INSERT OR IGNORE INTO unloaded_models VALUES (?, ?)", (current_tenant(), model_id))


def mark_loaded(tx: sqlite3.Connection, model_id: str) -> None:
    """Puts a model back into service."""
    tx.execute(
        "DELETE FROM unloaded_models WHERE tenant = ? AND model_id = ?",
        (current_tenant(), model_id),
    )


def _decode_model(row: sqlite3.Row) -> ModelRecord:
    return ModelRecord(
        id=row["id"],
        display_name=row["display_name"],
        format=ModelFormat(row["format"]),
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        inputs=decode_specs(row["inputs"]),
        outputs=decode_specs(row["outputs"]),
        parameter_count=row["parameter_count"],
        parameter_bytes=row["parameter_bytes"],
        create_time=row["create_time"],
        latest_version=row["latest_version"],
        warnings=tuple(json.loads(row["warnings"])),
    )


def _decode_version(row: sqlite3.Row) -> VersionRecord:
    report = row["report"]
    return VersionRecord(
        model_id=row["model_id"],
        version=row["version"],
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        inputs=decode_specs(row["inputs"]),
        outputs=decode_specs(row["outputs"]),
        create_time=row["create_time"],
        job_id=row["job_id"],
        calibration_id=row["calibration_id"],
        train_job_id=row["train_job_id"],
        report=QuantizationReport.from_dict(json.loads(report)) if report is not None else None,
    )
