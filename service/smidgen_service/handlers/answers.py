"""Answers to requests: runs of engines, and what is made of their outputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from smidgen.engine import Engine
from smidgen_service.handlers.computation import Arrays, Computed, Wanted, answer_of, samples_of
from smidgen_service.handlers.runs import Computes, EndedRun
from smidgen_service.handlers.tensors import not_finite
from smidgen_service.statistics import StageTimes
from smidgen_service.threads import Threads

P = ParamSpec("P")
T = TypeVar("T")

_BRIEF_BYTES = 1 << 20
"""Copying so much takes some 0.1 ms."""


class Answers:
    """Makes answers, for the event loop's thread alone.

    Attributes:
        runs: Computes.

    Args:
        threads: Make those that take long. Who is cancelled meanwhile holds its place to the end.
    """

    def __init__(self, runs: Computes, threads: Threads) -> None:
        self.runs = runs
        self._threads = threads

    async def of(self, engine: Engine, arrays: Arrays, wanted: Wanted) -> tuple[Computed, float]:
        """Answers one request; returns for how many seconds the event loop would have stood, too.

        Raises:
            InvalidTensorError: a value is not finite, or the engine refuses the inputs.
            TooLargeError: the outputs do not fit into an answer.
        """
        run = await self.runs.run(engine, [arrays])
        for found in run.not_finite:
            raise not_finite(arrays, found.name, found.index)
        results = run.take_outputs()
        computed = await self.made(results, [wanted], _computed, run, results, arrays, wanted)
        return computed, run.times.cpu_s + computed.times.output_s

    async def made(
        self,
        results: Arrays,
        wanted: Sequence[Wanted],
        make: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Returns what a function makes of results that are wanted so."""
        # The greatest values are sorted out, of outputs that may be images.
        is_sorted = any(one.class_counts for one in wanted)
        if is_sorted or sum(values.nbytes for values in results.values()) > _BRIEF_BYTES:
            return await self._threads.run(make, *args, **kwargs)
        return make(*args, **kwargs)

    def close(self) -> None:
        """Waits for those that are being made, and makes no more that take long."""
        self._threads.close()


def _computed(run: EndedRun, results: Arrays, arrays: Arrays, wanted: Wanted) -> Computed:
    began_s = time.perf_counter()
    outputs = answer_of(results, wanted)
    times = StageTimes(
        run.times.input_s, run.times.compute_s, output_s=time.perf_counter() - began_s
    )
    return Computed(outputs, samples_of(arrays), run.isa, run.times.started_s, times)
