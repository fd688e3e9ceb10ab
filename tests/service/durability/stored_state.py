"""What a data directory holds, as a client sees it: no times, and no ids that are drawn."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from smidgen_service.data_dir import DataDir
from smidgen_service.maintenance.fsck import check
from smidgen_service.store.blobs import BlobStore, file_sha256

State = Mapping[str, Any]


def stored_state(data_dir: DataDir) -> State:
    """Returns all that a server has stored, once it has stopped."""
    with closing(sqlite3.connect(data_dir.database)) as connection:

        def rows(statement: str) -> list[tuple[Any, ...]]:
            return connection.execute(statement).fetchall()

        return {
            "models": rows("SELECT id, sha256 FROM models ORDER BY id"),
            "versions": rows("SELECT model_id, version, sha256 FROM versions ORDER BY version"),
            "aliases": rows("SELECT model_id, id, version FROM aliases"),
            "alias_moves": rows(
                "SELECT version, previous_version, is_rollback FROM alias_moves ORDER BY sequence"
            ),
            "datasets": rows("SELECT id, sha256 FROM datasets ORDER BY id"),
            "files": rows("SELECT dataset_id, place, sha256 FROM dataset_files ORDER BY 1, 2"),
            "calibrations": rows("SELECT model_id, sha256 FROM calibrations"),
            "jobs": rows(
                "SELECT kind, state, result_sha256 FROM jobs WHERE failure IS NULL"
                " OR failure NOT LIKE '%STORAGE_FULL%' ORDER BY sequence"
            ),
            "curves": rows("SELECT count(*) FROM job_curves"),
            "requests": rows(
                "SELECT method, body_sha256 FROM requests WHERE method NOT LIKE 'Submitagain%'"
                " ORDER BY 1, 2"
            ),
            "uploads": rows("SELECT method FROM uploads"),
            "blobs": sorted(BlobStore(data_dir.blobs).digests()),
            "leftovers": sorted(
                str(path.relative_to(data_dir.root))
                for folder in (data_dir.uploads, data_dir.jobs)
                for path in folder.rglob("*")
            ),
        }


def faults_of(data_dir: DataDir) -> list[str]:
    """Returns what is wrong with a directory, in words: nothing in a sound one."""
    found = [
        f"{finding.problem}: {finding.subject}: {finding.detail}"
        for finding in check(data_dir.root).findings
        if finding.problem.is_damage
    ]
    with closing(sqlite3.connect(data_dir.database)) as connection:
        for job_id, last, count in connection.execute(
            "SELECT id, last_sequence, (SELECT count(*) FROM job_events WHERE job_id = jobs.id"
            " AND job_events.sequence <= jobs.last_sequence) FROM jobs"
        ):
            if last != count:
                found.append(f"job {job_id} has {count} events and its last is number {last}")
    return found


def lost(data_dir: DataDir, acknowledged: Sequence[Mapping[str, Any]], next_call: str) -> list[str]:
    """Returns what was acknowledged and is not there.

    Args:
        data_dir: A directory after a crash and a recovery.
        acknowledged: The results of calls, in order.
        next_call: The call that was under way; it may have had its effect.
    """
    deleted = {result["deleted"] for result in acknowledged if "deleted" in result}
    deleted |= {next_call.removeprefix("delete ")}
    has_alias = next_call != "delete alias" and not any("deleted alias" in r for r in acknowledged)
    completed = {result["dataset"] for result in acknowledged if "dataset" in result}
    missing = []
    with closing(sqlite3.connect(data_dir.database)) as connection:

        def has(table: str, key: str) -> bool:
            statement = f"SELECT 1 FROM {table} WHERE id = ?"
            return (
                connection.execute(statement, (key.rsplit("/", maxsplit=1)[-1],)).fetchone()
                is not None
            )

        for result in acknowledged:
            kind = next(iter(result))
            if kind == "upload":
                is_there = _committed(data_dir) >= result["committed"]
                is_there |= result["upload"] in completed or next_call == "continue upload"
            elif kind == "alias":
                if not has_alias:
                    continue
                moves = connection.execute("SELECT version FROM alias_moves ORDER BY sequence")
                versions = [row[0] for row in moves]
                is_there = versions[result["moves"] - 1 : result["moves"]] == [result["version"]]
            elif kind == "deleted alias":
                is_there = connection.execute("SELECT 1 FROM aliases").fetchone() is None
            elif kind == "deleted":
                is_there = not has("datasets", result["deleted"])
            elif kind == "dataset" and result["dataset"] in deleted:
                continue
            else:
                is_there = has(f"{kind}s", result[kind])
                if "files" in result:
                    statement = "SELECT count(*) FROM dataset_files WHERE dataset_id = ?"
                    found = connection.execute(statement, (result["dataset"],)).fetchone()
                    is_there &= found == (result["files"],)
                if "sha256" in result:
                    path = BlobStore(data_dir.blobs).path(result["sha256"])
                    is_there &= path.is_file() and file_sha256(path) == result["sha256"]
                if result.get("state") == "succeeded":
                    is_there &= ("succeeded",) in connection.execute(
                        "SELECT state FROM jobs WHERE id = ?", (result["job"],)
                    ).fetchall()
            if not is_there:
                missing.append(f"{result}")
    return missing


def _committed(data_dir: DataDir) -> int:
    return sum(path.stat().st_size for path in data_dir.uploads.glob("*.partial"))
