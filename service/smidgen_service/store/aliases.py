"""Rows of the aliases of the caller's models, and of their moves."""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import replace

from smidgen_service import names
from smidgen_service.errors import NotFoundError
from smidgen_service.store.paging import PageRequest, Slice, select_slice
from smidgen_service.store.records import AliasMove, AliasRecord
from smidgen_service.store.tenancy import current_tenant

MOST_MOVES = 32
"""Moves of an alias that are kept; of more, the oldest are dropped."""

_OF_ALIAS = "tenant = :tenant AND model_id = :model_id AND alias_id = :alias_id"


def find(tx: sqlite3.Connection, model_id: str, alias_id: str) -> AliasRecord | None:
    """Returns an alias, None if there is none."""
    row = tx.execute(
        "SELECT * FROM aliases WHERE tenant = ? AND model_id = ? AND id = ?",
        (current_tenant(), model_id, alias_id),
    ).fetchone()
    return None if row is None else _decode(tx, row)


def get(tx: sqlite3.Connection, model_id: str, alias_id: str) -> AliasRecord:
    """Returns an alias.

    Raises:
        NotFoundError: there is none.
    """
    found = find(tx, model_id, alias_id)
    if found is None:
        raise NotFoundError("alias", names.alias_name(model_id, alias_id))
    return found


def select(tx: sqlite3.Connection, model_id: str, request: PageRequest) -> Slice[AliasRecord]:
    """Returns a page of a model's aliases."""
    return select_slice(
        tx,
        "aliases",
        request,
        lambda row: _decode(tx, row),
        where="model_id = ?",
        values=(model_id,),
    )


def names_of(tx: sqlite3.Connection, model_id: str) -> tuple[str, ...]:
    """Returns the ids of a model's aliases, in order."""
    rows = tx.execute(
        "SELECT id FROM aliases WHERE tenant = ? AND model_id = ? ORDER BY id",
        (current_tenant(), model_id),
    )
    return tuple(row[0] for row in rows)


def versions_of(tx: sqlite3.Connection, model_id: str) -> tuple[int, ...]:
    """Returns the numbers of the versions that a model's aliases point at, each once, in order."""
    rows = tx.execute(
        "SELECT DISTINCT version FROM aliases WHERE tenant = ? AND model_id = ? ORDER BY version",
        (current_tenant(), model_id),
    )
    return tuple(row[0] for row in rows)


def move(tx: sqlite3.Connection, model_id: str, alias_id: str, made: AliasMove) -> AliasRecord:
    """Points an alias at a version, makes it if it is new, and notes the move."""
    alias = {"tenant": current_tenant(), "model_id": model_id, "alias_id": alias_id}
    tx.execute(
        "INSERT INTO aliases"
        " (tenant, model_id, id, version, etag, create_time, update_time)"
        " VALUES (:tenant, :model_id, :alias_id, :version, :etag, :time, :time)"
        " ON CONFLICT (tenant, model_id, id) DO UPDATE"
        " SET version = :version, etag = :etag, update_time = :time",
        # Drawn, since counters would tell tenants how much others do.
        {**alias, "version": made.version, "etag": secrets.token_hex(8), "time": made.time},
    )
    tx.execute(
        "INSERT INTO alias_moves (tenant, model_id, alias_id, version, previous_version,"
        " is_rollback, time, caller, max_drop, measured_drop) VALUES (:tenant, :model_id,"
        " :alias_id, :version, :previous, :is_rollback, :time, :caller, :max_drop, :drop)",
        {
            **alias,
            "version": made.version,
            "previous": made.previous_version,
            "is_rollback": made.is_rollback,
            "time": made.time,
            "caller": made.caller,
            "max_drop": made.max_drop,
            "drop": made.measured_drop,
        },
    )
    tx.execute(
        f"DELETE FROM alias_moves WHERE {_OF_ALIAS} AND sequence <= (SELECT sequence"
        f" FROM alias_moves WHERE {_OF_ALIAS} ORDER BY sequence DESC LIMIT 1 OFFSET {MOST_MOVES})",
        alias,
    )
    return get(tx, model_id, alias_id)


def delete(tx: sqlite3.Connection, model_id: str, alias_id: str) -> None:
    """Removes an alias with its moves; the version stays."""
    tx.execute(
        "DELETE FROM aliases WHERE tenant = ? AND model_id = ? AND id = ?",
        (current_tenant(), model_id, alias_id),
    )


def _decode(tx: sqlite3.Connection, row: sqlite3.Row) -> AliasRecord:
    alias = AliasRecord(
        model_id=row["model_id"],
        id=row["id"],
        version=row["version"],
        etag=row["etag"],
        create_time=row["create_time"],
        update_time=row["update_time"],
    )
    return replace(alias, moves=_moves(tx, alias))


def _moves(tx: sqlite3.Connection, alias: AliasRecord) -> tuple[AliasMove, ...]:
    rows = tx.execute(
        f"SELECT * FROM alias_moves WHERE {_OF_ALIAS} ORDER BY sequence DESC",
        {"tenant": current_tenant(), "model_id": alias.model_id, "alias_id": alias.id},
    )
    return tuple(
        AliasMove(
            version=row["version"],
            previous_version=row["previous_version"],
            is_rollback=bool(row["is_rollback"]),
            time=row["time"],
            caller=row["caller"],
            max_drop=row["max_drop"],
            measured_drop=row["measured_drop"],
        )
        for row in rows
    )
