"""The models as a repository to infer from: what is there, what it looks like, load and unload."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smidgen.tensor_spec import TensorSpec
from smidgen_service import names
from smidgen_service.errors import FailedPreconditionError, NotFoundError
from smidgen_service.handlers.batching import BatchLimits, BatchPolicy
from smidgen_service.handlers.keeping import Keeper
from smidgen_service.handlers.tensors import item_bytes
from smidgen_service.handlers.versions import VersionResolver, resolve_served, resolve_version
from smidgen_service.names import VersionChoice
from smidgen_service.statistics import Counted, VersionStatistics
from smidgen_service.store import aliases, models
from smidgen_service.store.database import Database
from smidgen_service.store.records import IndexEntry, VersionRecord
from smidgen_service.store.references import unserved
from smidgen_service.store.tenancy import current_tenant, metric_label


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """A version that takes requests.

    Attributes:
        record: The version.
        numbers: All versions of its model, oldest first.
        most_samples: Most samples whose values fit into one message; 0 where the first extents
            are no batch.
        most_running: Requests computed at the same time, of all models together.
        batching: How its requests are joined; None if they are not.
    """

    record: VersionRecord
    numbers: tuple[int, ...]
    most_samples: int
    most_running: int
    batching: BatchLimits | None = None


@dataclass(frozen=True, slots=True)
class CountedVersion:
    """A version and what was counted for it."""

    model_id: str
    version: int
    statistics: VersionStatistics


class RepositoryHandler:
    """What the Open Inference Protocol asks beside inference.

    Args:
        database: The rows.
        versions: Shared with inference.
        keeper: Keeps versions ready.
        counted: Returns what inference counted.
        most_bytes: Most bytes of a message.
        most_running: Requests computed at the same time.
        batching: Which requests are joined.
    """

    def __init__(
        self,
        database: Database,
        versions: VersionResolver,
        keeper: Keeper,
        counted: Counted,
        *,
        most_bytes: int,
        most_running: int,
        batching: BatchPolicy,
    ) -> None:
        self._database = database
        self._versions = versions
        self._keeper = keeper
        self._counted = counted
        self._most_bytes = most_bytes
        self._most_running = most_running
        self._batching = batching

    async def is_ready(self, model_id: str, version: VersionChoice) -> bool:
        """Tells whether requests would be taken."""
        try:
            await self._versions.resolve(model_id, version)
        except (NotFoundError, FailedPreconditionError):
            return False
        return True

    async def describe(self, model_id: str, version: VersionChoice) -> ServedVersion:
        """Returns a version, the newest one for None.

        Raises:
            NotFoundError: there is no such model or version.
            FailedPreconditionError: the model has no version yet, or was taken out of service.
        """

        def work(tx: sqlite3.Connection) -> tuple[VersionRecord, tuple[int, ...]]:
            record = resolve_served(tx, model_id, version)
            return record, models.version_numbers(tx, model_id)

        record, numbers = await self._database.read(work)
        return ServedVersion(
            record,
            numbers,
            most_samples=most_samples(record.inputs, record.outputs, self._most_bytes),
            most_running=self._most_running,
            batching=self._batching.of(model_id, record.inputs, record.outputs),
        )

    async def index(self, *, is_ready_only: bool) -> tuple[IndexEntry, ...]:
        """Returns all versions of all models."""
        entries = await self._database.read(models.index)
        return tuple(_ready(entries)) if is_ready_only else entries

    async def statistics(
        self, model_id: str | None, version: VersionChoice
    ) -> tuple[CountedVersion, ...]:
        """Returns what was counted: for one version, for all of a model, or for all of all models.

        Raises:
            NotFoundError: there is no such model or version.
            FailedPreconditionError: the model has no version yet, or was taken out of service.
        """
        if model_id is not None:
            found = await self.describe(model_id, version)
            numbers = found.numbers if version is None else (found.record.version,)
            keys = [(model_id, number) for number in numbers]
        else:
            entries = await self.index(is_ready_only=True)
            keys = [(entry.model_id, entry.version) for entry in entries if entry.version]
        counted, tenant = await self._counted(), current_tenant()
        return tuple(
            CountedVersion(
                *key,
                statistics=counted.get((metric_label(tenant, key[0]), key[1]), VersionStatistics()),
            )
            for key in keys
        )

    async def load(self, model_id: str) -> None:
        """Puts a model into service, its newest version and those with aliases ready in memory.

        Raises:
            NotFoundError: there is no such model.
            FailedPreconditionError: it has no version yet.
            DataLossError: the stored file fails its digest.
        """

        def look(tx: sqlite3.Connection) -> tuple[set[str], bool]:
            versions = (None, *aliases.versions_of(tx, model_id))
            digests = {resolve_version(tx, model_id, version).sha256 for version in versions}
            return digests, models.is_unloaded(tx, model_id)

        digests, is_unloaded = await self._database.read(look)
        for sha256 in sorted(digests):
            await self._keeper.load(sha256)
        if is_unloaded:
            await self._database.write_reserved(lambda tx: models.mark_loaded(tx, model_id))

    async def unload(self, model_id: str) -> None:
        """Takes a model out of service and its engines out of memory.

        One that serves another model with the same artifact stays.

        Raises:
            NotFoundError: there is no such model.
        """

        def work(tx: sqlite3.Connection) -> set[str]:
            if not models.exists(tx, model_id):
                raise NotFoundError("model", names.model_name(model_id))
            models.mark_unloaded(tx, model_id)
            return unserved(tx, models.artifacts_of(tx, model_id))

        for sha256 in await self._database.write_reserved(work):
            self._keeper.retire(sha256)


def most_samples(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], most_bytes: int
) -> int:
    """Returns how many samples fit into a message of a size, in each direction; at least 1.

    0 where an input or output does not begin with a batch. Other extents that may differ count as
    1.
    """
    specs = (*inputs, *outputs)
    if not all(spec.shape and spec.shape[0] is None for spec in specs):
        return 0
    largest = max(_sample_bytes(inputs), _sample_bytes(outputs))
    return max(1, min(most_bytes // largest, 2**31 - 1))


def _sample_bytes(specs: Sequence[TensorSpec]) -> int:
    return sum(
        item_bytes(spec.dtype) * math.prod(extent or 1 for extent in spec.shape[1:])
        for spec in specs
    )


def _ready(entries: Iterable[IndexEntry]) -> Iterable[IndexEntry]:
    return (entry for entry in entries if entry.version is not None and not entry.is_unloaded)
