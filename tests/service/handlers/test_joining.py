"""Requests that are computed together get what each would get by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.engine import Engine
from smidgen.errors import InvalidTensorError
from smidgen_service.errors import TooLargeError
from smidgen_service.handlers.computation import Computed, Wanted, compute
from smidgen_service.handlers.joining import Asked, compute_joined
from tests.python.program.random_image_nets import RandomImageNet

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
    requests = [asked(size, seed + index) for index, size in enumerate(sizes)]
    joined = compute_joined(ENGINE, requests)
    for request, outcome in zip(requests, joined.outcomes, strict=True):
        alone = compute(ENGINE, request.arrays, WANTED)
        assert isinstance(outcome, Computed)
        assert (outcome.outputs, outcome.samples) == (alone.outputs, alone.samples)
    assert [run.samples for run in joined.runs] == [sum(sizes)]


def test_one_bad_request_takes_no_part() -> None:
    bad = asked(2)
    cast(Any, bad.arrays[IMAGE])[1].flat[0] = np.nan
    good = [asked(1, 1), asked(3, 2)]
    joined = compute_joined(ENGINE, [good[0], bad, good[1]])
    assert isinstance(joined.outcomes[1], InvalidTensorError)
    assert joined.outcomes[1].reason == "TENSOR_NOT_FINITE"
    for index, request in ((0, good[0]), (2, good[1])):
        outcome = joined.outcomes[index]
        assert isinstance(outcome, Computed)
        assert outcome.outputs == compute(ENGINE, request.arrays, WANTED).outputs
    assert [run.samples for run in joined.runs] == [4]


@pytest.fixture
def request_of() -> Callable[..., Asked]:
    def make(samples: int, **fields: Any) -> Asked:
        wanted = Wanted(("y",), **{"class_counts": {}, "most_bytes": MOST, **fields})
        return Asked({"x": np.full((samples, 4), samples, np.float32)}, wanted)

    return make


def test_what_is_too_large_together_is_computed_apart(request_of: Callable[..., Asked]) -> None:
    joined = compute_joined(refusing(3), [request_of(2), request_of(4), request_of(3)])
    first, second, third = joined.outcomes
    assert isinstance(first, Computed)
    assert isinstance(third, Computed)
    assert isinstance(second, InvalidTensorError)
    np.testing.assert_array_equal(np.frombuffer(third.outputs[0].data, np.float32), [6.0] * 12)
    assert [run.samples for run in joined.runs] == [2, 3]


def test_each_has_its_own_limits_and_outputs(request_of: Callable[..., Asked]) -> None:
    joined = compute_joined(
        refusing(99), [request_of(2, most_bytes=31), request_of(1, class_counts={"y": 2})]
    )
    first, second = joined.outcomes
    assert isinstance(first, TooLargeError)
    assert isinstance(second, Computed)
    assert (second.outputs[0].dtype, second.outputs[0].shape) == ("bytes", (1, 2))
