"""Coroutines wait for runs in the engine's threads, and hold what these need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from smidgen.engine import Engine
from smidgen.errors import EngineError, InvalidTensorError
from smidgen.run_queue import Arrays
from smidgen_service.handlers.runs import Runs
from tests.python.open_files import count_open_files
from tests.service.handlers.test_joining import ENGINE, EXAMPLE, IMAGE, PROGRAM


def arrays(samples: int, seed: int = 0) -> Arrays:
    values = np.random.default_rng(seed).normal(size=(samples, *EXAMPLE.shape[1:]))
    return {IMAGE: values.astype(np.float32)}


@pytest.fixture
async def runs() -> AsyncIterator[Runs]:
    made = Runs(1)
    yield made
    made.close()


async def test_a_run_gives_what_the_engine_gives(runs: Runs) -> None:
    found = await asyncio.gather(*(runs.run(ENGINE, [arrays(2, seed)]) for seed in range(9)))
    for seed, run in enumerate(found):
        outputs = run.take_outputs()
        for name, expected in ENGINE.run(arrays(2, seed)).items():
            np.testing.assert_array_equal(outputs[name], expected)
            assert outputs[name].dtype == expected.dtype


async def test_who_is_cancelled_before_the_run_begins_goes_at_once(runs: Runs) -> None:
    long = [asyncio.create_task(runs.run(ENGINE, [arrays(200, seed)])) for seed in range(9)]
    last = asyncio.create_task(runs.run(ENGINE, [arrays(1)]))
    await asyncio.sleep(0)
    last.cancel()
    with pytest.raises(asyncio.CancelledError):
        await last
    assert not any(task.done() for task in long)
    await asyncio.gather(*long)


async def test_who_is_cancelled_while_it_runs_stays_until_it_has_ended(runs: Runs) -> None:
    engine = Engine(PROGRAM)
    await runs.run(engine, [arrays(400)])
    assert engine.cached_plan_count == 1
    plans: list[int] = []
    task = asyncio.create_task(runs.run(engine, [arrays(400)]))
    task.add_done_callback(lambda _: plans.append(engine.cached_plan_count))
    while engine.cached_plan_count:  # a run that has begun has the plan
        await asyncio.sleep(0)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert plans == [1]


async def test_stopping_waits_for_those_who_wait_and_for_what_runs_on_without_them(
    runs: Runs,
) -> None:
    waiting = asyncio.create_task(runs.run(ENGINE, [arrays(200)]))
    given_up = asyncio.create_task(runs.run(ENGINE, [arrays(200, 1)]))
    await asyncio.sleep(0)
    given_up.cancel()
    stopping = asyncio.create_task(runs.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    await stopping
    assert (await waiting).take_outputs()
    assert given_up.done()
    with pytest.raises(EngineError, match="closed"):
        await runs.run(ENGINE, [arrays(1)])


async def test_closing_tells_those_who_wait(runs: Runs) -> None:
    waiting = [asyncio.create_task(runs.run(ENGINE, [arrays(50, seed)])) for seed in range(3)]
    await asyncio.sleep(0)
    runs.close()
    assert all(run.take_outputs() for run in await asyncio.gather(*waiting))


def test_another_event_loop_is_refused_before_anything_runs() -> None:
    runs = Runs(1)

    async def run() -> None:
        await runs.run(ENGINE, [arrays(1)])

    asyncio.run(run())
    with pytest.raises(RuntimeError, match="another event loop's"):
        asyncio.run(run())
    runs.close()


async def test_what_the_engine_refuses_is_raised_where_outputs_are_taken(runs: Runs) -> None:
    small = Engine(PROGRAM, most_bytes=64)
    run = await runs.run(small, [arrays(1)])
    with pytest.raises(InvalidTensorError) as refused:
        run.take_outputs()
    assert refused.value.reason == "INFERENCE_TOO_LARGE"


async def test_inputs_that_do_not_fit_are_refused_at_once(runs: Runs) -> None:
    with pytest.raises(InvalidTensorError, match="expected contiguous float32"):
        await runs.run(ENGINE, [{IMAGE: np.zeros(EXAMPLE.shape, np.float64)}])
    wide = {IMAGE: np.zeros((1, *(1 + extent for extent in EXAMPLE.shape[1:])), np.float32)}
    with pytest.raises(InvalidTensorError, match="input 0 of request 1 has shape"):
        await runs.run(ENGINE, [arrays(1), wide])
    assert (await runs.run(ENGINE, [arrays(1)])).take_outputs()


async def test_a_closed_one_takes_no_more_and_leaves_no_file() -> None:
    before = count_open_files()
    runs = Runs(2)
    await runs.run(ENGINE, [arrays(1)])
    runs.close()
    with pytest.raises(EngineError, match="closed"):
        await runs.run(ENGINE, [arrays(1)])
    del runs
    assert count_open_files() <= before
