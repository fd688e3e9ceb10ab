"""Dynamic batching: requests to one version that wait together are computed together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from dataclasses import dataclass, field

from smidgen.engine import Engine
from smidgen.tensor_spec import TensorSpec
from smidgen_service.errors import DeadlineError
from smidgen_service.handlers.admission import Admission, late_in_queue
from smidgen_service.handlers.answers import Answers
from smidgen_service.handlers.computation import Computed
from smidgen_service.handlers.joining import Asked, Run, compute_joined
from smidgen_service.handlers.queue import Waiting
from smidgen_service.tracing.stages import CURRENT, InferenceStages, join

Recorder = Callable[[Run], None]
EngineSource = Callable[[], AbstractAsyncContextManager[Engine]]
"""Returns what holds the engine in memory for the time of a block."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How requests of a model are joined.

    Attributes:
        most_samples: Samples of one computation; a request with more is computed by itself.
        most_delay_s: How long the first request waits for others though a place may be free, in
            seconds.
    """

    most_samples: int
    most_delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """Which requests are joined.

    Attributes:
        default: The limits of models that are not named; None joins none of their requests.
        by_model: The limits of models by their ids.
    """

    default: BatchLimits | None = None
    by_model: Mapping[str, BatchLimits | None] = field(default_factory=dict)

    def of(
        self, model_id: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
    ) -> BatchLimits | None:
        """Returns the limits of a version; None if its requests are not joined.

        Values that do not begin with a batch could not be told apart again.
        """
        limits = self.by_model.get(model_id, self.default)
        is_batch = all(spec.shape and spec.shape[0] is None for spec in (*inputs, *outputs))
        return limits if is_batch else None


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    """A request that waits to be computed.

    Attributes:
        asked: What it has and wants.
        waiting: Its place in the queue.
        joined_s: When it came, by time.perf_counter.
        outcome: What becomes of it; done before that if the request was given up.
        stages: Its spans; None where it is not traced.
    """

    asked: Asked
    waiting: Waiting
    joined_s: float
    outcome: asyncio.Future[Computed | Exception]
    stages: InferenceStages | None = field(default_factory=CURRENT.get)

    def end(self, outcome: Computed | Exception) -> None:
        """Hands over what became of it, if anybody still waits for it."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Batcher:
    """Joins requests, for the event loop's thread alone."""

    def __init__(self, admission: Admission, answers: Answers) -> None:
        self._admission = admission
        self._answers = answers
        self._groups: dict[Hashable, _Group] = {}
        self._serving: set[asyncio.Task[None]] = set()

    async def run(
        self,
        key: Hashable,
        using: EngineSource,
        limits: BatchLimits,
        asked: Asked,
        *,
        waiting: Waiting,
        record: Recorder,
    ) -> Computed:
        """Computes one request, with others where these fit.

        Args:
            key: What requests have in common that may be joined, beside their shapes: the model of
                a tenant.
            using: Holds the engine, which the caller does too while it waits: a computation goes on
                when all its requests have been given up.
            limits: How many may be joined.
            asked: The request.
            waiting: Its place in the queue.
            record: Is told of each computation, once for all requests that are part of it.

        Raises:
            InvalidTensorError: a value is not finite, or the engine refuses the inputs.
            TooLargeError: the outputs do not fit into an answer.
            DeadlineError: the time was over before the computation.
            OverloadedError: the request waited for too long, or had to make room for a tenant that
                has fewer.
        """
        member = _Member(
            asked, waiting, time.perf_counter(), asyncio.get_running_loop().create_future()
        )
        shapes = tuple((name, array.shape[1:]) for name, array in asked.arrays.items())
        group = self._group((key, shapes), using, limits, tenant=waiting.tenant, record=record)
        group.add(member)
        waiting.on_refusal(member.end)
        left_s = None if waiting.ends_s is None else waiting.ends_s - time.perf_counter()
        try:
            async with asyncio.timeout(left_s):
                outcome = await member.outcome
        except TimeoutError:
            raise late_in_queue() from None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _group(
        self,
        key: Hashable,
        using: EngineSource,
        limits: BatchLimits,
        *,
        tenant: str,
        record: Recorder,
    ) -> _Group:
        group = self._groups.get(key)
        if group is None:
            group = _Group(
                self._admission,
                self._answers,
                using,
                limits,
                tenant=tenant,
                record=record,
            )
            self._groups[key] = group
            # In a context of its own: it does not belong to the call that happens to be first.
            task = asyncio.create_task(self._serve(key, group), context=Context())
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        return group

    async def _serve(self, key: Hashable, group: _Group) -> None:
        try:
            await group.serve()
        finally:
            del self._groups[key]


class _Group:
    """Requests that may be joined, in the order in which they came."""

    def __init__(
        self,
        admission: Admission,
        answers: Answers,
        using: EngineSource,
        limits: BatchLimits,
        *,
        tenant: str,
        record: Recorder,
    ) -> None:
        self._admission = admission
        self._answers = answers
        self._tenant = tenant
        self._using = using
        self._limits = limits
        self._record = record
        self._members: deque[_Member] = deque()
        self._computing: set[asyncio.Task[None]] = set()
        self._came = asyncio.Event()

    def add(self, member: _Member) -> None:
        """Adds a request behind the others."""
        self._members.append(member)
        self._came.set()

    async def serve(self) -> None:
        """Computes until nobody waits. Several computations may run at the same time."""
        while self._live():
            await self._fill()
            if not self._live():
                return
            has_taken = asyncio.Event()
            run = asyncio.create_task(self._run(has_taken))
            self._computing.add(run)
            run.add_done_callback(self._computing.discard)
            await has_taken.wait()

    async def _fill(self) -> None:
        """Waits for more requests, no longer than the first one may be held up."""
        while members := self._live():
            left_s = members[0].joined_s + self._limits.most_delay_s - time.perf_counter()
            samples = sum(member.asked.samples for member in members)
            if left_s <= 0 or samples >= self._limits.most_samples:
                return
            self._came.clear()
            try:
                async with asyncio.timeout(left_s):
                    await self._came.wait()
            except TimeoutError:
                return

    async def _run(self, has_taken: asyncio.Event) -> None:
        try:
            async with self._admission.shared_place(self._tenant, self._estimate_s()):
                members = self._take()
                has_taken.set()
                if members:
                    await self._compute(members)
        finally:
            has_taken.set()

    def _estimate_s(self) -> float:
        """Returns how long the next computation may take, as far as its requests are there."""
        samples, estimate_s = 0, 0.0
        for member in self._live():
            samples += member.asked.samples
            if estimate_s and samples > self._limits.most_samples:
                break
            estimate_s += member.waiting.estimate_s
        return estimate_s

    async def _compute(self, members: Sequence[_Member]) -> None:
        asked = [member.asked for member in members]
        try:
            async with self._using() as engine:
                joined = await compute_joined(self._answers, engine, asked)
        except Exception as error:  # whatever it is, each of them has to hear of it
            for member in members:
                member.end(error)
            return
        if len(joined.runs) == 1:
            join(member.stages for member in members)
        for run in joined.runs:
            self._record(run)
        for member, outcome in zip(members, joined.outcomes, strict=True):
            member.end(outcome)

    def _take(self) -> list[_Member]:
        """Takes requests out of the queue that fit into one computation."""
        taken: list[_Member] = []
        samples = 0
        while members := self._live():
            member = members[0]
            samples += member.asked.samples
            if taken and samples > self._limits.most_samples:
                break
            self._members.popleft()
            try:
                member.waiting.check()
            except DeadlineError as error:
                member.end(error)
                samples -= member.asked.samples
                continue
            member.waiting.leave()
            taken.append(member)
        return taken

    def _live(self) -> deque[_Member]:
        """Drops requests that were given up, and returns the others."""
        if any(member.outcome.done() for member in self._members):
            self._members = deque(one for one in self._members if not one.outcome.done())
        return self._members
