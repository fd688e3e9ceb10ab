"""Rows of training curves, apart from the jobs, because lists of jobs read whole rows."""

from __future__ import annotations

import json
import sqlite3

from smidgen.qat.curve import TrainingCurve
from smidgen_service.store.tenancy import current_tenant

MOST_POINTS = 2000
"""A stored curve has no more points, and no more evaluations; a longer one is thinned out."""


def insert(tx: sqlite3.Connection, job_id: str, curve: TrainingCurve) -> None:
    """Adds the curve of a job that has none yet."""
    document = curve.thinned(MOST_POINTS).to_document()
    encoded = json.dumps(document, separators=(",", ":"))
    tx.execute("INSERT INTO job_curves (job_id, curve) VALUES (?, ?)", (job_id, encoded))


def find(tx: sqlite3.Connection, job_id: str) -> TrainingCurve | None:
    """Returns the curve of a job, or None where none was kept."""
    row = tx.execute(
        "SELECT curve FROM job_curves WHERE job_id ="
        " (SELECT id FROM jobs WHERE tenant = ? AND id = ?)",
        (current_tenant(), job_id),
    ).fetchone()
    if row is None:
        return None
    return TrainingCurve.from_document(json.loads(row["curve"]))
