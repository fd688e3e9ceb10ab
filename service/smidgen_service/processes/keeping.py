"""Versions that all fronts keep ready."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from smidgen_service.processes.fleet import Fleet
from smidgen_service.processes.numbers import JoinedNumbers
from smidgen_service.statistics import VersionKey, VersionStatistics
from smidgen_service.store.records import VersionRecord
from smidgen_service.store.tenancy import current_tenant


class FleetKeeper:
    """Has all fronts do what a Keeper does. Orders reach each front in the order of the calls."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._holds = itertools.count()

    @asynccontextmanager
    async def ready(
        self, version: VersionRecord, like: VersionRecord | None
    ) -> AsyncIterator[None]:
        """Does what a Keeper does, in all fronts; it is ready once the last of them has it."""
        hold = next(self._holds)
        is_kept = False
        try:
            await self._fleet.ask_all(
                "hold",
                hold=hold,
                tenant=current_tenant(),
                model=version.model_id,
                version=version.version,
                like=None if like is None else like.version,
            )
            yield
            is_kept = True
        finally:
            if not is_kept:
                self._fleet.tell_all("settle", hold=hold, is_kept=False)
        await self._fleet.ask_all("settle", hold=hold, is_kept=True)

    async def load(self, sha256: str) -> None:
        """Does what a Keeper does, in all fronts."""
        await self._fleet.ask_all("load", sha256=sha256)

    def retire(self, sha256: str) -> None:
        """Does what a Keeper does, in all fronts."""
        self._fleet.tell_all("retire", sha256=sha256)


class FleetCounts:
    """Knows what all fronts have counted."""

    def __init__(self, fleet: Fleet, numbers: JoinedNumbers) -> None:
        self._fleet = fleet
        self._numbers = numbers

    async def counted(self) -> Mapping[VersionKey, VersionStatistics]:
        """Returns it as of now."""
        await self._fleet.count()
        return self._numbers.statistics()
