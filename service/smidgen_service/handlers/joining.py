"""One computation for several requests, bit-equal to one for each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from smidgen.engine import Engine
from smidgen.errors import SmidgenError
from smidgen.run_queue import NotFinite
from smidgen_service.handlers.answers import Answers
from smidgen_service.handlers.computation import (
    Arrays,
    Computed,
    Wanted,
    answer_of,
    samples_of,
)
from smidgen_service.handlers.runs import EndedRun
from smidgen_service.handlers.tensors import RawTensor, not_finite
from smidgen_service.statistics import StageTimes


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request has and wants.

    Attributes:
        arrays: Its inputs, [N, ...] with the same N.
        wanted: What it wants of the results.
    """

    arrays: Arrays
    wanted: Wanted

    @property
    def samples(self) -> int:
        """N."""
        return samples_of(self.arrays)


@dataclass(frozen=True, slots=True)
class Run:
    """One computation: of how many samples, and how long it took."""

    samples: int
    times: StageTimes


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of several requests.

    Attributes:
        outcomes: What each got, or why it got nothing, in their order.
        runs: The computations.
    """

    outcomes: tuple[Computed | SmidgenError, ...]
    runs: tuple[Run, ...]


async def compute_joined(answers: Answers, engine: Engine, requests: Sequence[Asked]) -> Joined:
    """Computes requests whose inputs have equal shapes beyond the first extent.

    A request with a value that is not finite takes no part. What the engine refuses as a whole
    (it may be too large) is computed one by one, so that nobody is refused for others.
    """
    if len(requests) == 1:
        return await _compute_one(answers, engine, requests[0])
    try:
        run = await answers.runs.run(engine, [request.arrays for request in requests])
        if run.not_finite:
            return await _compute_sound(answers, engine, requests, run.not_finite)
        results = run.take_outputs()
    except SmidgenError:
        return await _one_by_one(answers, engine, requests)
    wanted = [request.wanted for request in requests]
    return await answers.made(results, wanted, _shared_out, run, results, requests)


async def _compute_sound(
    answers: Answers, engine: Engine, requests: Sequence[Asked], values: Sequence[NotFinite]
) -> Joined:
    """Computes the requests that have none of these values, and refuses the others."""
    refused = {
        found.request: not_finite(requests[found.request].arrays, found.name, found.index)
        for found in values
    }
    sound = [request for index, request in enumerate(requests) if index not in refused]
    joined = await compute_joined(answers, engine, sound) if sound else Joined((), ())
    computed = iter(joined.outcomes)
    outcomes = tuple(
        refused[index] if index in refused else next(computed) for index in range(len(requests))
    )
    return Joined(outcomes, joined.runs)


async def _one_by_one(answers: Answers, engine: Engine, requests: Sequence[Asked]) -> Joined:
    each = [await _compute_one(answers, engine, request) for request in requests]
    return Joined(
        tuple(one.outcomes[0] for one in each), tuple(run for one in each for run in one.runs)
    )


async def _compute_one(answers: Answers, engine: Engine, request: Asked) -> Joined:
    try:
        computed, _ = await answers.of(engine, request.arrays, request.wanted)
    except SmidgenError as error:
        return Joined((error,), ())
    return Joined((computed,), (Run(computed.samples, computed.times),))


def _shared_out(run: EndedRun, results: Arrays, requests: Sequence[Asked]) -> Joined:
    """Gives each request its rows of the results."""
    ended_s = time.perf_counter()
    answers = []
    start = 0
    for request in requests:
        rows = slice(start, start + request.samples)
        answers.append(_answer({name: values[rows] for name, values in results.items()}, request))
        start += request.samples
    times = StageTimes(
        run.times.input_s, run.times.compute_s, output_s=time.perf_counter() - ended_s
    )
    outcomes = tuple(
        answer
        if isinstance(answer, SmidgenError)
        else Computed(answer, request.samples, run.isa, run.times.started_s, times)
        for answer, request in zip(answers, requests, strict=True)
    )
    return Joined(outcomes, (Run(start, times),))


def _answer(results: Arrays, request: Asked) -> tuple[RawTensor, ...] | SmidgenError:
    try:
        return answer_of(results, request.wanted)
    except SmidgenError as error:
        return error
