"""How much of the server the caller's tenant uses."""

from __future__ import annotations

import sqlite3

from smidgen_service.store.tenancy import current_tenant

# Equal files are one file, whatever they are stored as; those of others are no matter here.
_FILES = """
    SELECT COALESCE(SUM(bytes), 0) FROM (
        SELECT sha256, MAX(size_bytes) AS bytes FROM (
            SELECT sha256, size_bytes FROM models WHERE tenant = :tenant
            UNION ALL SELECT sha256, size_bytes FROM versions WHERE tenant = :tenant
            UNION ALL SELECT sha256, size_bytes FROM dataset_files WHERE tenant = :tenant
            UNION ALL SELECT result_sha256, result_bytes FROM jobs
                WHERE tenant = :tenant AND result_sha256 IS NOT NULL
        ) GROUP BY sha256
    )
"""
_PROFILES = """
    SELECT COALESCE(SUM(LENGTH(calibrations.profile)), 0)
        + COALESCE(SUM(LENGTH(calibration_statistics.profile)), 0)
    FROM calibrations LEFT JOIN calibration_statistics ON calibration_id = calibrations.id
    WHERE tenant = :tenant
"""


def stored_bytes(tx: sqlite3.Connection) -> int:
    """Returns the bytes of the tenant's files and calibrations."""
    tenant = {"tenant": current_tenant()}
    return sum(int(tx.execute(query, tenant).fetchone()[0]) for query in (_FILES, _PROFILES))


def promised_bytes(tx: sqlite3.Connection) -> dict[str, int]:
    """Returns the sizes that uploads of the tenant will have which have begun, by request id."""
    rows = tx.execute(
        "SELECT request_id, total_bytes FROM uploads WHERE tenant = ?", (current_tenant(),)
    )
    return {row[0]: row[1] for row in rows}


def unfinished_jobs(tx: sqlite3.Connection) -> set[str]:
    """Returns the ids of the tenant's jobs that may have a checkpoint."""
    rows = tx.execute(
        "SELECT id FROM jobs WHERE tenant = ?"
        " AND state IN ('queued', 'running', 'cancelling', 'interrupted')",
        (current_tenant(),),
    )
    return {row[0] for row in rows}


def active_jobs(tx: sqlite3.Connection) -> int:
    """Returns how many jobs of the tenant are queued or running."""
    row = tx.execute(
        "SELECT COUNT(*) FROM jobs WHERE tenant = ?"
        " AND state IN ('queued', 'running', 'cancelling')",
        (current_tenant(),),
    ).fetchone()
    return int(row[0])
