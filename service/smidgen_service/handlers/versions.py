"""Resolving the version that a name stands for."""

from __future__ import annotations

import sqlite3

from smidgen_service import names
from smidgen_service.errors import FailedPreconditionError
from smidgen_service.names import VersionChoice
from smidgen_service.store import aliases, models
from smidgen_service.store.database import Database
from smidgen_service.store.records import VersionRecord
from smidgen_service.store.tenancy import current_tenant


def resolve_version(tx: sqlite3.Connection, model_id: str, version: VersionChoice) -> VersionRecord:
    """Returns a version, by number or alias, the newest one for None.

    Raises:
        NotFoundError: there is no such model, version or alias.
        FailedPreconditionError: the model has no version yet.
    """
    newest = models.get(tx, model_id).latest_version
    if isinstance(version, str):
        version = aliases.get(tx, model_id, version).version
    if version is not None:
        return models.get_version(tx, model_id, version)
    if newest is None:
        raise FailedPreconditionError(
            f"{names.model_name(model_id)} has no converted version; "
            "calibrate and convert it first",
            reason="MODEL_NOT_CONVERTED",
            resource_name=names.model_name(model_id),
        )
    return models.get_version(tx, model_id, newest)


def resolve_served(tx: sqlite3.Connection, model_id: str, version: VersionChoice) -> VersionRecord:
    """Returns the version that answers requests, by number or alias, the newest one for None.

    Raises:
        NotFoundError: there is no such model, version or alias.
        FailedPreconditionError: the model has no version yet, or was taken out of service.
    """
    record = resolve_version(tx, model_id, version)
    if models.is_unloaded(tx, model_id):
        raise FailedPreconditionError(
            f"{names.model_name(model_id)} was unloaded and takes no requests; load it first",
            reason="MODEL_UNLOADED",
            resource_name=names.model_name(model_id),
        )
    return record


class VersionResolver:
    """Resolves versions that answer requests, from memory as long as nothing was written since."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._generation = database.generation
        self._known: dict[tuple[str, str, VersionChoice], VersionRecord] = {}

    async def resolve(self, model_id: str, version: VersionChoice) -> VersionRecord:
        """Returns what resolve_served returns."""
        if self._generation != self._database.generation:
            self._generation = self._database.generation
            self._known.clear()
        key = (current_tenant(), model_id, version)
        found = self._known.get(key)
        if found is not None:
            return found
        generation = self._generation
        found = await self._database.read(lambda tx: resolve_served(tx, model_id, version))
        if generation == self._database.generation == self._generation:
            self._known[key] = found
        return found
