"""Requests that are computed together get what each would get by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.engine import Engine
from smidgen.errors import InvalidTensorError
from smidgen_service.errors import TooLargeError
from smidgen_service.handlers.answers import Answers
from smidgen_service.handlers.computation import Computed, Wanted
from smidgen_service.handlers.joining import Asked, compute_joined
from smidgen_service.handlers.runs import Runs
from smidgen_service.threads import Threads
from tests.python.program.float_programs import float_step_program
from tests.python.program.random_image_nets import RandomImageNet
from tests.service.handlers.thread_runs import ThreadRuns

MOST = 1 << 20


def image_net() -> RandomImageNet:
    for seed in range(1000):
        net = RandomImageNet(seed)
        program = net.program()
        if len(net.inputs) == 1 and len(program.steps) > 6:
            (image,) = net.inputs
            if program.tensor(image).shape[0] is None:
                return net
    raise AssertionError("no seed gives such a net")


NET = image_net()
PROGRAM = NET.program()
ENGINE = Engine(PROGRAM, threads=1)
((IMAGE, EXAMPLE),) = NET.inputs.items()
WANTED = Wanted(tuple(PROGRAM.outputs), {}, MOST)


async def alone(answers: Answers, request: Asked) -> Computed:
    computed, _ = await answers.of(ENGINE, request.arrays, request.wanted)
    return computed


def asked(samples: int, seed: int = 0) -> Asked:
    values = np.random.default_rng(seed).normal(size=(samples, *EXAMPLE.shape[1:]))
    return Asked({IMAGE: values.astype(np.float32)}, WANTED)


class Refusing:
    """An engine that refuses more than some samples."""

    isa = "portable"

    def __init__(self, most: int) -> None:
        self._most = most

    def run_checked(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        values = next(iter(arrays.values()))
        if len(values) > self._most:
            raise InvalidTensorError("too many", reason="INFERENCE_TOO_LARGE", field="inputs")
        return {"y": values * 2}


def refusing(most: int) -> Engine:
    return cast(Engine, Refusing(most))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 99))
def test_answers_are_those_of_separate_runs(sizes: list[int], seed: int) -> None:
    async def check() -> None:
        runs, threads = Runs(1), Threads(1, "answers")
        answers = Answers(runs, threads)
        requests = [asked(size, seed + index) for index, size in enumerate(sizes)]
        joined = await compute_joined(answers, ENGINE, requests)
        for request, outcome in zip(requests, joined.outcomes, strict=True):
            assert isinstance(outcome, Computed)
            expected = await alone(answers, request)
            assert (outcome.outputs, outcome.samples) == (expected.outputs, expected.samples)
        assert [run.samples for run in joined.runs] == [sum(sizes)]
        runs.close()
        threads.close()

    asyncio.run(check())


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    runs, threads = Runs(1), Threads(1, "answers")
    yield Answers(runs, threads)
    runs.close()
    threads.close()


async def test_one_bad_request_takes_no_part(answers: Answers) -> None:
    bad = asked(2)
    cast(Any, bad.arrays[IMAGE])[1].flat[0] = np.nan
    good = [asked(1, 1), asked(3, 2)]
    joined = await compute_joined(answers, ENGINE, [good[0], bad, good[1]])
    assert isinstance(joined.outcomes[1], InvalidTensorError)
    assert joined.outcomes[1].reason == "TENSOR_NOT_FINITE"
    index = EXAMPLE[0].size
    assert str(joined.outcomes[1]).startswith(f"input {IMAGE!r} has nan at flat index {index};")
    for index, request in ((0, good[0]), (2, good[1])):
        outcome = joined.outcomes[index]
        assert isinstance(outcome, Computed)
        assert outcome.outputs == (await alone(answers, request)).outputs
    assert [run.samples for run in joined.runs] == [4]


async def test_bad_requests_alone_compute_nothing(answers: Answers) -> None:
    bad = asked(1)
    cast(Any, bad.arrays[IMAGE]).flat[3] = np.inf
    for requests in ([bad], [bad, bad]):
        joined = await compute_joined(answers, ENGINE, requests)
        assert [type(outcome) for outcome in joined.outcomes] == [InvalidTensorError] * len(
            requests
        )
        assert joined.runs == ()


async def test_an_index_that_selects_no_row_is_nobody_elses(answers: Answers) -> None:
    program = float_step_program()
    engine = Engine(program)
    wanted = Wanted(tuple(program.outputs), {}, MOST)
    ids = np.zeros((3, 6), np.int64)
    ids[1, 2] = 10**6
    requests = [
        Asked({"ids": row[np.newaxis], "mask": np.ones((1, 6), int)}, wanted) for row in ids
    ]
    joined = await compute_joined(answers, engine, requests)
    first, second, third = joined.outcomes
    assert isinstance(first, Computed)
    assert isinstance(second, InvalidTensorError)
    assert second.reason == "INDEX_OUT_OF_RANGE"
    assert isinstance(third, Computed)
    assert first.outputs == third.outputs
    assert [run.samples for run in joined.runs] == [1, 1]


@pytest.fixture
def request_of() -> Callable[..., Asked]:
    def make(samples: int, **fields: Any) -> Asked:
        wanted = Wanted(("y",), **{"class_counts": {}, "most_bytes": MOST, **fields})
        return Asked({"x": np.full((samples, 4), samples, np.float32)}, wanted)

    return make


@pytest.fixture
def own_answers() -> Iterator[Answers]:
    threads = Threads(1, "test")
    yield Answers(ThreadRuns(threads), threads)
    threads.close()


async def test_what_is_too_large_together_is_computed_apart(
    request_of: Callable[..., Asked], own_answers: Answers
) -> None:
    joined = await compute_joined(
        own_answers, refusing(3), [request_of(2), request_of(4), request_of(3)]
    )
    first, second, third = joined.outcomes
    assert isinstance(first, Computed)
    assert isinstance(third, Computed)
    assert isinstance(second, InvalidTensorError)
    np.testing.assert_array_equal(np.frombuffer(third.outputs[0].data, np.float32), [6.0] * 12)
    assert [run.samples for run in joined.runs] == [2, 3]


async def test_each_has_its_own_limits_and_outputs(
    request_of: Callable[..., Asked], own_answers: Answers
) -> None:
    joined = await compute_joined(
        own_answers,
        refusing(99),
        [request_of(2, most_bytes=31), request_of(1, class_counts={"y": 2})],
    )
    first, second = joined.outcomes
    assert isinstance(first, TooLargeError)
    assert isinstance(second, Computed)
    assert (second.outputs[0].dtype, second.outputs[0].shape) == ("bytes", (1, 2))
