"""Versions that are kept ready: in this process, or wherever requests are answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import numpy as np

from smidgen.engine import Engine
from smidgen.errors import InvalidTensorError
from smidgen_service.handlers.admission import Admission
from smidgen_service.handlers.computation import Arrays
from smidgen_service.handlers.engines import EngineCache
from smidgen_service.handlers.run_times import RunTimes, Shapes
from smidgen_service.handlers.runs import Computes
from smidgen_service.logs import log
from smidgen_service.store.records import VersionRecord

MOST_WARM_UPS = 8
"""Shapes that a version is run with before it serves; engines keep as many plans."""
_NOBODY = ""
"""In whose name versions are warmed up: they take turns with tenants as one more of them."""


class Keeper(Protocol):
    """Keeps versions ready where requests are answered."""

    def ready(
        self, version: VersionRecord, like: VersionRecord | None
    ) -> AbstractAsyncContextManager[None]:
        """Keeps a version in memory for the time of the block, and runs it once for each shape.

        After a block that raises nothing it stays.

        Args:
            version: The version.
            like: The one that it takes the place of, whose requests tell which shapes will come.

        Raises:
            DataLossError: the stored file fails its digest.
            TooLargeError: the engine alone takes more than all may.
            OverloadedError: engines in use leave no room for it.
        """

    async def load(self, sha256: str) -> None:
        """Gets an artifact ready, to be kept even if it was retired before. Raises as `ready`."""

    def retire(self, sha256: str) -> None:
        """Gives an artifact's memory back once nobody uses or expects it."""


class OwnKeeper:
    """Keeps versions ready in this process.

    Args:
        engines: Shared with inference.
        admission: Shared with inference, whose places warm-up takes too.
        runs: Those of inference.
        run_times: Knows the shapes of requests.
    """

    def __init__(
        self, engines: EngineCache, admission: Admission, runs: Computes, run_times: RunTimes
    ) -> None:
        self._engines = engines
        self._admission = admission
        self._runs = runs
        self._run_times = run_times

    @asynccontextmanager
    async def ready(
        self, version: VersionRecord, like: VersionRecord | None
    ) -> AsyncIterator[None]:
        """Does what a Keeper does."""
        async with self._engines.using(version.sha256) as engine:
            for arrays in self._examples(version, like):
                await self._warm(engine, arrays, version)
            yield
            # Last, since another call may have let it go before it served.
            self._engines.keep(version.sha256)

    async def load(self, sha256: str) -> None:
        """Does what a Keeper does."""
        await self._engines.load(sha256)

    def retire(self, sha256: str) -> None:
        """Does what a Keeper does."""
        self._engines.retire(sha256)

    async def _warm(self, engine: Engine, arrays: Arrays, version: VersionRecord) -> None:
        try:
            async with self._admission.shared_place(_NOBODY, 0.0):
                run = await self._runs.run(engine, (arrays,))
            run.take_outputs()
        except InvalidTensorError as error:  # zeros of such a shape are no example
            log("warm_up_refused", artifact=version.sha256, reason=error.reason)

    def _examples(self, version: VersionRecord, like: VersionRecord | None) -> Iterator[Arrays]:
        """Yields zeros of the shapes that came of late, and of one sample where none fit."""
        known = self._run_times.shapes_of(version.sha256)
        if like is not None:
            known += self._run_times.shapes_of(like.sha256)
        fitting = [shapes for shapes in dict.fromkeys(known) if _fit(version, shapes)]
        single = tuple(
            tuple(1 if extent is None else extent for extent in spec.shape)
            for spec in version.inputs
        )
        for shapes in fitting[:MOST_WARM_UPS] or [single]:
            yield {
                spec.name: np.zeros(shape, spec.dtype)
                for spec, shape in zip(version.inputs, shapes, strict=True)
            }


def _fit(version: VersionRecord, shapes: Shapes) -> bool:
    return len(shapes) == len(version.inputs) and all(
        spec.accepts_shape(shape) for spec, shape in zip(version.inputs, shapes, strict=True)
    )
