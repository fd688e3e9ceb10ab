"""One computation for several requests, bit-equal to one for each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smidgen.engine import Engine
from smidgen.errors import SmidgenError
from smidgen_service.handlers.computation import (
    Arrays,
    Computed,
    Wanted,
    answer_of,
    compute,
    samples_of,
)
from smidgen_service.handlers.tensors import RawTensor, check_finite
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


def compute_joined(engine: Engine, requests: Sequence[Asked]) -> Joined:
    """Computes requests whose inputs have equal shapes beyond the first extent.

    A request with a value that is not finite takes no part. What the engine refuses as a whole
    (it may be too large) is computed one by one, so that nobody is refused for others.
    """
    started_s = time.perf_counter()
    outcomes: dict[int, Computed | SmidgenError] = {}
    for index, request in enumerate(requests):
        try:
            check_finite(request.arrays)
        except SmidgenError as error:
            outcomes[index] = error
    sound = [index for index in range(len(requests)) if index not in outcomes]
    found, runs = _compute_sound(engine, [requests[index] for index in sound], started_s)
    outcomes.update(zip(sound, found, strict=True))
    return Joined(tuple(outcomes[index] for index in range(len(requests))), runs)


def _compute_sound(
    engine: Engine, requests: Sequence[Asked], started_s: float
) -> tuple[list[Computed | SmidgenError], tuple[Run, ...]]:
    if len(requests) < 2:
        return _one_by_one(engine, requests)
    arrays = {
        name: np.concatenate([request.arrays[name] for request in requests])
        for name in requests[0].arrays
    }
    joined_s = time.perf_counter()
    try:
        results = engine.run_checked(arrays)
    except SmidgenError:
        return _one_by_one(engine, requests)
    computed_s = time.perf_counter()
    answers = []
    start = 0
    for request in requests:
        rows = slice(start, start + request.samples)
        answers.append(_answer({name: values[rows] for name, values in results.items()}, request))
        start += request.samples
    times = StageTimes(
        input_s=joined_s - started_s,
        compute_s=computed_s - joined_s,
        output_s=time.perf_counter() - computed_s,
    )
    outcomes: list[Computed | SmidgenError] = [
        answer
        if isinstance(answer, SmidgenError)
        else Computed(answer, request.samples, engine.isa, started_s, times)
        for answer, request in zip(answers, requests, strict=True)
    ]
    return outcomes, (Run(start, times),)


def _answer(results: Arrays, request: Asked) -> tuple[RawTensor, ...] | SmidgenError:
    try:
        return answer_of(results, request.wanted)
    except SmidgenError as error:
        return error


def _one_by_one(
    engine: Engine, requests: Sequence[Asked]
) -> tuple[list[Computed | SmidgenError], tuple[Run, ...]]:
    outcomes: list[Computed | SmidgenError] = []
    runs = []
    for request in requests:
        try:
            computed = compute(engine, request.arrays, request.wanted)
        except SmidgenError as error:
            outcomes.append(error)
            continue
        outcomes.append(computed)
        runs.append(Run(computed.samples, computed.times))
    return outcomes, tuple(runs)
