"""Engines ready in memory, by the digest of their artifact."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from pathlib import Path

from smidgen.artifact import load_artifact
from smidgen.engine import Engine
from smidgen.errors import ArtifactError, ProgramError
from smidgen_service.errors import DataLossError
from smidgen_service.logs import log
from smidgen_service.metrics import Metrics
from smidgen_service.store.blobs import BlobStore
from smidgen_service.threads import Threads


class EngineCache:
    """Loads engines on first use and keeps the most recently used ones.

    Args:
        most: Engines kept.
        threads_per_engine: Threads of one inference.
        isa: Highest instruction set; None for the best.
        most_bytes: Most memory for the activations of one inference.
        most_work: Most operations of one inference.
    """

    def __init__(
        self,
        blobs: BlobStore,
        threads: Threads,
        metrics: Metrics,
        *,
        most: int,
        threads_per_engine: int,
        isa: str | None,
        most_bytes: int,
        most_work: int,
    ) -> None:
        self._blobs = blobs
        self._threads = threads
        self._metrics = metrics
        self._most = most
        self._threads_per_engine = threads_per_engine
        self._isa = isa
        self._most_bytes = most_bytes
        self._most_work = most_work
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Engine]] = {}

    async def get(self, sha256: str) -> Engine:
        """Returns the engine of an artifact.

        Raises:
            DataLossError: the stored file fails its digest.
        """
        engine = self._engines.get(sha256)
        if engine is not None:
            self._engines.move_to_end(sha256)
            return engine
        task = self._loading.get(sha256)
        if task is None:
            task = asyncio.create_task(self._load(sha256))
            self._loading[sha256] = task
            task.add_done_callback(lambda done: self._loaded(sha256, done))
        # Shielded: others may wait for the same engine when this caller gives up.
        return await asyncio.shield(task)

    def drop(self, sha256: str) -> None:
        """Forgets an engine; runs in progress keep it until they end."""
        if self._engines.pop(sha256, None) is not None:
            self._metrics.loaded_engines.set(len(self._engines))

    async def _load(self, sha256: str) -> Engine:
        with self._blobs.pinned(sha256):
            path = await self._threads.run(self._blobs.verify, sha256)
            engine = await self._threads.run(self._build, path, sha256)
        self._engines[sha256] = engine
        while len(self._engines) > self._most:
            self._engines.popitem(last=False)
        self._metrics.loaded_engines.set(len(self._engines))
        self._metrics.kernel_info.labels(engine.isa, str(engine.threads)).set(1)
        log("engine_loaded", artifact=sha256, isa=engine.isa, threads=engine.threads)
        return engine

    def _loaded(self, sha256: str, task: asyncio.Task[Engine]) -> None:
        self._loading.pop(sha256, None)
        if not task.cancelled():
            task.exception()  # marks it as seen; whoever waits gets it as well

    def _build(self, path: Path, sha256: str) -> Engine:
        try:
            program = load_artifact(path)
        except (ArtifactError, ProgramError) as error:
            raise DataLossError(
                f"the stored artifact {sha256} cannot be read any more: {error.message}",
                sha256=sha256,
            ) from error
        return Engine(
            program,
            threads=self._threads_per_engine,
            isa=self._isa,
            most_bytes=self._most_bytes,
            most_work=self._most_work,
        )
