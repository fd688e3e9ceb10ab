"""Runs of a whole network give the bytes of the interpreter, again and beside each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from smidgen.engine import Engine, available_isas
from smidgen.program import (
    Quantize,
    interpret,
)
from tests.python.program.nets import THREADS, Net, assert_equal_to_interpreter
from tests.python.program.small_network import images, small_network


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (3, 3, 17, 40)])
def test_a_whole_network(shape: tuple[int, ...]) -> None:
    program = small_network()
    assert_equal_to_interpreter(program, {"t0": images(*shape)}, threads=THREADS)


@pytest.mark.parametrize("isa", available_isas())
def test_run_gives_the_outputs_only_and_the_same_bytes_again(isa: str) -> None:
    program = small_network()
    engine = Engine(program, threads=2, isa=isa)
    x = {"t0": images(2, 3, 20, 20)}
    expected = interpret(program, x)
    for _ in range(3):
        found = engine.run(x)
        assert list(found) == list(program.outputs)
        np.testing.assert_array_equal(found["t9"], expected["t9"])
    assert engine.cached_plan_count == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_concurrent_runs(threads: int) -> None:
    program = small_network()
    engine = Engine(program, threads=threads)
    batches = [images(1 + i % 3, 3, 16 + 4 * (i % 2), 16, seed=i) for i in range(24)]
    expected = [interpret(program, {"t0": x})["t9"] for x in batches]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda x: engine.run({"t0": x})["t9"], batches))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_plans_are_kept_up_to_a_limit() -> None:
    program = small_network()
    engine = Engine(program)
    for width in range(8, 30):
        engine.run({"t0": images(1, 3, 8, width)})
    assert engine.cached_plan_count == 8
    x = {"t0": images(1, 3, 8, 8)}
    np.testing.assert_array_equal(engine.run(x)["t9"], interpret(program, x)["t9"])


def test_memory_is_that_of_weights_and_kept_plans() -> None:
    program = small_network()
    engine = Engine(program)
    weights = sum(c.nbytes for c in program.constants.values() if c.dtype == np.int8)
    alone = engine.memory_bytes
    assert weights <= alone < 64 * weights  # small layers are padded to whole tiles
    expected = alone
    for count in (1, 3):
        x = images(count, 3, 20, 20)
        before = engine.run({"t0": x})["t9"]
        plan = engine.describe_plan({"t0": x.shape})
        expected += plan.arena_bytes + plan.scratch_bytes
        assert engine.memory_bytes == expected
    engine.drop_plans()
    assert (engine.memory_bytes, engine.cached_plan_count) == (alone, 0)
    np.testing.assert_array_equal(engine.run({"t0": x})["t9"], before)


@pytest.mark.parametrize("threads", [1, 2])
def test_checked_inputs_give_what_run_gives(threads: int) -> None:
    engine = Engine(small_network(), threads=threads)
    batch = images(2, 3, 12, 12)
    assert engine.run_planned({"t0": batch}) is None  # no plan yet
    expected = engine.run({"t0": batch})
    planned = engine.run_planned({"t0": batch})
    assert planned is not None
    for found in (planned, engine.run_checked({"t0": batch})):
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
    assert engine.run_planned({"t0": images(1, 3, 12, 12)}) is None
    engine.drop_plans()
    assert engine.run_planned({"t0": batch}) is None


def test_an_input_may_be_an_output() -> None:
    net = Net(0)
    x, q = net.tensor(4, 2, scale=None), net.tensor(4, 2)
    net.steps.append(Quantize(x, q))
    program = net.program((x,), (q, x))
    values = images(1, 2, 3, 4)
    found = Engine(program).run({x: values})
    np.testing.assert_array_equal(found[x], values)
    assert not np.shares_memory(found[x], values)
