"""Engines ready in memory, by the digest of their artifact."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from smidgen.artifact import load_artifact
from smidgen.engine import Engine
from smidgen.errors import ArtifactError, EngineError, ProgramError
from smidgen.program import Program, step_constants
from smidgen_service.errors import DataLossError, OverloadedError, TooLargeError
from smidgen_service.handlers.shared_weights import OWN_WEIGHTS, SharedWeights
from smidgen_service.logs import log
from smidgen_service.metrics import Metrics
from smidgen_service.store.blobs import BlobStore
from smidgen_service.threads import Threads

_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What engines may take.

    Attributes:
        most: Engines kept.
        most_bytes: Memory of all of them, for weights and plans; None for no limit.
        threads: Of one inference.
        isa: Highest instruction set; None for the best.
        most_run_bytes: Most memory for the activations of one inference.
        most_work: Most operations of one inference.
    """

    most: int
    most_bytes: int | None
    threads: int
    isa: str | None
    most_run_bytes: int
    most_work: int


@dataclass(slots=True, eq=False)
class _Slot:
    """An engine, or one that is being loaded.

    Attributes:
        bytes: What it takes; while it is loaded, at least that.
        users: Those that run it or wait for it.
        is_retired: Whether it goes as soon as nobody uses it.
        is_shared: Whether other processes may have the same weights in the same memory.
    """

    sha256: str
    engine: Engine | None = None
    bytes: int = 0
    users: int = 0
    is_retired: bool = False
    is_shared: bool = False
    loading: asyncio.Task[None] | None = field(default=None, repr=False)


class EngineUse:
    """Holds an engine in memory for the time of a block, which gets the engine."""

    __slots__ = ("_cache", "_sha256", "_slot")

    def __init__(self, cache: EngineCache, sha256: str) -> None:
        self._cache = cache
        self._sha256 = sha256

    async def __aenter__(self) -> Engine:
        """Waits until the engine is there.

        Raises:
            DataLossError: the stored file fails its digest.
            TooLargeError: the engine alone takes more than all may.
            OverloadedError: engines in use leave no room for it.
        """
        self._slot = await self._cache.acquire(self._sha256)
        assert self._slot.engine is not None
        return self._slot.engine

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cache.release(self._slot)


class EngineCache:
    """Loads engines on first use and keeps the most recently used ones.

    What makes room is unused: an engine that computes, or is waited for, stays. For the event
    loop's thread alone.

    Args:
        blobs: The artifacts.
        threads: For reading and packing them.
        metrics: Tell what is loaded.
        limits: What all engines may take.
        weights: Has what other processes have packed.
    """

    def __init__(
        self,
        blobs: BlobStore,
        threads: Threads,
        metrics: Metrics,
        limits: EngineLimits,
        weights: SharedWeights = OWN_WEIGHTS,
    ) -> None:
        self._blobs = blobs
        self._threads = threads
        self._metrics = metrics
        self._limits = limits
        self._weights = weights
        self._slots: OrderedDict[str, _Slot] = OrderedDict()  # used for longest ago first
        self._expected: Counter[str] = Counter()
        metrics.model_memory_bytes.before_reading(self._show_models)

    def using(self, sha256: str) -> EngineUse:
        """Returns what holds the engine of an artifact: `async with cache.using(...) as engine`."""
        return EngineUse(self, sha256)

    def ready(self, sha256: str) -> Engine | None:
        """Returns an engine to be used before anything else happens; None if it is not there."""
        slot = self._slots.get(sha256)
        if slot is None or slot.engine is None:
            return None
        self._slots.move_to_end(sha256)
        return slot.engine

    @contextmanager
    def expecting(self, sha256: str) -> Iterator[None]:
        """Counts a request that will use an engine, so that the engine is not retired before.

        Requests wait for their turn before they hold engines.
        """
        self._expected[sha256] += 1
        try:
            yield
        finally:
            self._expected[sha256] -= 1
            if not self._expected[sha256]:
                del self._expected[sha256]
                slot = self._slots.get(sha256)
                if slot is not None and slot.is_retired:
                    self._tidy(slot)

    async def load(self, sha256: str) -> None:
        """Gets an engine ready, to be kept even if it was retired before.

        Raises:
            DataLossError: the stored file fails its digest.
            TooLargeError: the engine alone takes more than all may.
            OverloadedError: engines in use leave no room for it.
        """
        async with self.using(sha256):
            self.keep(sha256)

    def keep(self, sha256: str) -> None:
        """Takes back that an engine in use was retired."""
        self._slots[sha256].is_retired = False

    def retire(self, sha256: str) -> None:
        """Gives an engine's memory back once nobody uses or expects it."""
        slot = self._slots.get(sha256)
        if slot is not None:
            slot.is_retired = True
            self._tidy(slot)

    def has(self, sha256: str) -> bool:
        """Tells whether an engine is ready, or being loaded."""
        return sha256 in self._slots

    @property
    def loaded_bytes(self) -> int:
        """What all engines take."""
        return sum(slot.bytes for slot in self._slots.values())

    async def acquire(self, sha256: str) -> _Slot:
        """Counts a user of an engine, which is loaded if need be."""
        slot = self._slots.get(sha256)
        if slot is None:
            slot = self._slots[sha256] = _Slot(sha256)
            slot.loading = asyncio.create_task(self._load(slot))
            slot.loading.add_done_callback(_look_at)
        slot.users += 1
        self._slots.move_to_end(sha256)
        if slot.engine is None:
            assert slot.loading is not None
            try:
                # Shielded: others may wait for the same engine when this caller gives up.
                await asyncio.shield(slot.loading)
            except BaseException:
                self.release(slot)
                raise
        return slot

    def release(self, slot: _Slot) -> None:
        """Counts a user less, and looks at what its runs have left: plans take memory too."""
        slot.users -= 1
        if slot.engine is None or slot.users:
            return
        self._measure(slot)
        self._tidy(slot)

    async def _load(self, slot: _Slot) -> None:
        try:
            with self._blobs.pinned(slot.sha256):
                path = await self._threads.run(self._blobs.verify, slot.sha256)
                slot.bytes = path.stat().st_size  # weights take this much at least
                self._check_room(slot)
                engine = await self._pack(slot, path)
            slot.bytes = engine.memory_bytes
            self._check_room(slot)
            slot.is_shared = await self._weights.share(slot.sha256, engine)
        except BaseException:
            del self._slots[slot.sha256]
            self._show()
            raise
        slot.engine = engine
        self._metrics.engine_loads.inc()
        self._metrics.kernel_info.labels(engine.isa, str(engine.threads)).set(1)
        self._show()
        log(
            "engine_loaded",
            artifact=slot.sha256,
            isa=engine.isa,
            threads=engine.threads,
            bytes=slot.bytes,
            shared_bytes=_shared_bytes(slot),
        )
        self._tidy(slot)

    async def _pack(self, slot: _Slot, path: Path) -> Engine:
        program = await self._threads.run(self._read, path, slot.sha256)
        slot.bytes = max(slot.bytes, _weight_bytes(program))
        self._check_room(slot)
        return await self._threads.run(self._build, program)

    def _check_room(self, slot: _Slot) -> None:
        """Makes room for an engine that is being loaded.

        Raises:
            TooLargeError: it alone takes more than all may.
            OverloadedError: engines in use leave no room for it.
        """
        most = self._limits.most_bytes
        if most is None:
            return
        if slot.bytes > most:
            raise _too_large(f"{slot.bytes} bytes", slot.bytes, most)
        self._evict_beyond(most)
        used = self.loaded_bytes
        if used > most:
            others = used - slot.bytes
            raise OverloadedError(
                f"the model takes {slot.bytes} bytes of memory; engines in use take {others} of "
                f"the {most} that all may take; try again later, or ask the operator for more "
                "(--engine-memory-bytes)",
                retry_after_s=_RETRY_AFTER_S,
                reason="ENGINE_MEMORY_FULL",
                found=slot.bytes,
                used=others,
                most=most,
            )

    def _measure(self, slot: _Slot) -> None:
        assert slot.engine is not None
        found = slot.engine.memory_bytes
        if found != slot.bytes:
            slot.bytes = found
            self._show()

    def _tidy(self, slot: _Slot) -> None:
        """Puts an engine in order that may have been used just now."""
        if slot.is_retired and self._is_idle(slot) and slot.sha256 not in self._expected:
            self._unload(slot)
        self._evict_surplus()
        most = self._limits.most_bytes
        if most is None or self.loaded_bytes <= most:
            return
        self._evict_beyond(most, but=slot)
        if self.loaded_bytes > most and self._is_idle(slot):
            assert slot.engine is not None
            slot.engine.drop_plans()  # better than loading it again
            self._measure(slot)

    def _evict_surplus(self) -> None:
        while len(self._slots) > self._limits.most and (idle := self._idle()):
            self._evict(idle[0], "count")

    def _evict_beyond(self, most_bytes: int, but: _Slot | None = None) -> None:
        for slot in self._idle():
            if self.loaded_bytes <= most_bytes:
                return
            if slot is not but:
                self._evict(slot, "memory")

    def _evict(self, slot: _Slot, reason: str) -> None:
        self._unload(slot)
        self._metrics.engine_evictions.labels(reason).inc()

    def _unload(self, slot: _Slot) -> None:
        del self._slots[slot.sha256]
        if slot.is_shared:
            assert slot.engine is not None
            self._weights.let_go(slot.sha256, slot.engine)
        self._show()
        log("engine_unloaded", artifact=slot.sha256, bytes=slot.bytes)

    def _idle(self) -> list[_Slot]:
        return [slot for slot in self._slots.values() if self._is_idle(slot)]

    def _is_idle(self, slot: _Slot) -> bool:
        is_kept = self._slots.get(slot.sha256) is slot
        return is_kept and slot.engine is not None and not slot.users

    def _show(self) -> None:
        ready = [slot for slot in self._slots.values() if slot.engine is not None]
        self._metrics.loaded_engines.set(len(ready))
        self._metrics.engine_bytes.set(sum(slot.bytes for slot in ready))
        self._metrics.engine_shared_bytes.set(sum(map(_shared_bytes, ready)))

    def _show_models(self) -> None:
        """Shows what models take, on behalf of the thread that serves metrics."""
        found: dict[tuple[str, ...], int] = {}
        for slot in list(self._slots.values()):
            model = self._metrics.model_of(slot.sha256)
            if slot.engine is not None and model is not None:
                found[model,] = found.get((model,), 0) + slot.bytes
        self._metrics.model_memory_bytes.show(found)

    def _read(self, path: Path, sha256: str) -> Program:
        try:
            return load_artifact(path)
        except (ArtifactError, ProgramError) as error:
            raise DataLossError(
                f"the stored artifact {sha256} cannot be read any more: {error.message}",
                sha256=sha256,
            ) from error

    def _build(self, program: Program) -> Engine:
        most = self._limits.most_bytes
        try:
            return Engine(
                program,
                threads=self._limits.threads,
                isa=self._limits.isa,
                most_bytes=self._limits.most_run_bytes,
                most_work=self._limits.most_work,
                most_weight_bytes=most,
            )
        except EngineError as error:
            if most is None or error.reason != "ENGINE_TOO_LARGE":
                raise
            # Packing ended there: how much more it would have been is not known.
            raise _too_large(f"more than {most} bytes", most + 1, most) from error


def _too_large(needed: str, found: int, most: int) -> TooLargeError:
    return TooLargeError(
        f"the model takes {needed} of memory, and all engines together may take {most}; make it "
        "smaller, or ask the operator for more (--engine-memory-bytes)",
        reason="ENGINE_TOO_LARGE",
        found=found,
        most=most,
    )


def _weight_bytes(program: Program) -> int:
    """Returns what packed weights take at least: each step has its own, also of a shared constant.

    A file of a megabyte may have thousands of steps that share one.
    """
    return sum(
        program.constants[name].nbytes for step in program.steps for name in step_constants(step)
    )


def _shared_bytes(slot: _Slot) -> int:
    return slot.engine.shareable_bytes if slot.is_shared and slot.engine is not None else 0


def _look_at(task: asyncio.Task[None]) -> None:
    """Marks an error as seen; whoever waits gets it as well."""
    if not task.cancelled():
        task.exception()
