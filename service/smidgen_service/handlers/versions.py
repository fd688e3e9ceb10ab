"""Resolving the version that a name stands for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from smidgen_service import names
from smidgen_service.errors import FailedPreconditionError
from smidgen_service.handlers.batching import BatchLimits, BatchPolicy
from smidgen_service.handlers.layouts import KnownLayouts
from smidgen_service.handlers.sampling import NEVER, Sampling
from smidgen_service.inference_series import VersionSeries
from smidgen_service.metrics import Metrics
from smidgen_service.names import VersionChoice
from smidgen_service.store import aliases, models
from smidgen_service.store.database import Database
from smidgen_service.store.records import VersionRecord
from smidgen_service.store.tenancy import current_tenant, metric_label


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


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A version that answers requests, with what every request to it needs.

    Attributes:
        record: Its row.
        name: `models/{model}/versions/{version}`.
        label: What stands for its model in metrics.
        series: What is counted of its requests.
        limits: How its requests are joined; None where they are not.
        output_names: All of them, in the model's order.
        layouts: Those of tensors that are known to fit its inputs.
        sampling: When one of its requests may be looked at.
    """

    record: VersionRecord
    name: str
    label: str
    series: VersionSeries
    limits: BatchLimits | None
    output_names: tuple[str, ...]
    layouts: KnownLayouts
    sampling: Sampling = NEVER


class VersionResolver:
    """Resolves versions that answer requests, from memory as long as nothing was written since.

    Args:
        database: The rows.
        metrics: Has the series of versions.
        batching: Whose requests are joined.
        sampling: Returns when requests of a version may be looked at, by what stands for its model
            in metrics; None looks at none.
    """

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        batching: BatchPolicy,
        sampling: Callable[[str, int], Sampling] | None = None,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._batching = batching
        self._sampling = sampling
        self._generation = database.generation
        self._known: dict[tuple[str, str, VersionChoice], Served] = {}

    def known(self, model_id: str, version: VersionChoice) -> Served | None:
        """Returns what `resolve` returns if that needs no look into the database."""
        if self._generation != self._database.generation:
            self._generation = self._database.generation
            self._known.clear()
        return self._known.get((current_tenant(), model_id, version))

    async def resolve(self, model_id: str, version: VersionChoice) -> Served:
        """Returns a version, by number or alias, the newest one for None.

        Raises:
            NotFoundError: there is no such model, version or alias.
            FailedPreconditionError: the model has no version yet, or was taken out of service.
        """
        found = self.known(model_id, version)
        if found is not None:
            return found
        generation = self._generation
        record = await self._database.read(lambda tx: resolve_served(tx, model_id, version))
        found = self._served(record)
        if generation == self._database.generation == self._generation:
            self._known[current_tenant(), model_id, version] = found
        return found

    def _served(self, record: VersionRecord) -> Served:
        label = metric_label(current_tenant(), record.model_id)
        self._metrics.note_artifact(record.sha256, label)
        return Served(
            record,
            name=names.version_name(record.model_id, record.version),
            label=label,
            series=self._metrics.of_version(label, record.version),
            limits=self._batching.of(record.model_id, record.inputs, record.outputs),
            output_names=tuple(spec.name for spec in record.outputs),
            layouts=KnownLayouts(record.inputs),
            sampling=NEVER if self._sampling is None else self._sampling(label, record.version),
        )
