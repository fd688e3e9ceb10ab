"""Runs in threads that need nothing of the interpreter."""

from __future__ import annotations

import gc
import select
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smidgen.engine import Engine
from smidgen.errors import EngineError, InvalidTensorError
from smidgen.program import DType
from smidgen.run_queue import MOST_RUN_THREADS, NotFinite, QueuedRun, RunQueue
from tests.python.program.random_image_nets import RandomImageNet


def image_net() -> RandomImageNet:
    """Returns one that takes images in batches of any size."""
    for net in map(RandomImageNet, range(1000)):
        tensors = [net.program().tensor(name) for name in net.inputs]
        if all(tensor.shape[0] is None and tensor.dtype is DType.FLOAT32 for tensor in tensors):
            return net
    raise AssertionError("no seed gives such a net")


NET = image_net()
PROGRAM = NET.program()
WAIT_S = 60


def inputs(seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        name: random.normal(size=example.shape).astype(example.dtype)
        for name, example in NET.inputs.items()
    }


@pytest.fixture
def queue() -> Iterator[RunQueue]:
    made = RunQueue(2)
    yield made
    made.close()


def ended(queue: RunQueue, count: int) -> list[QueuedRun]:
    found: list[QueuedRun] = []
    while len(found) < count:
        assert select.select([queue.ended_file], [], [], WAIT_S)[0]
        found += queue.take_ended()
    assert not select.select([queue.ended_file], [], [], 0)[0]
    return found


def test_outputs_are_those_of_the_engine(queue: RunQueue) -> None:
    engine = Engine(PROGRAM)
    runs = [queue.submit(engine, [inputs(seed)]) for seed in range(20)]
    assert set(ended(queue, 20)) == set(runs)
    for seed, run in enumerate(runs):
        found = run.take_outputs()
        expected = engine.run(inputs(seed))
        assert list(found) == list(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
        assert run.not_finite == ()
        assert run.isa == engine.isa
        assert run.times.compute_s > 0


def test_runs_go_on_while_the_interpreter_is_busy(queue: RunQueue) -> None:
    """With one thread of Python that never waits, and never gives up the lock by itself."""
    engine = Engine(PROGRAM)
    queue.submit(engine, [inputs()])
    ended(queue, 1)
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        runs = [queue.submit(engine, [inputs(seed)]) for seed in range(10)]
        found: list[QueuedRun] = []
        while len(found) < len(runs):  # take_ended does not wait, and keeps the lock
            found += queue.take_ended()
    finally:
        sys.setswitchinterval(interval_s)
    assert set(found) == set(runs)


def test_arrays_are_kept_until_the_run_is_forgotten_and_outputs_beyond(queue: RunQueue) -> None:
    class Array(np.ndarray[Any, Any]):
        pass

    given = {name: values.view(Array) for name, values in inputs().items()}
    kept = [weakref.ref(values) for values in given.values()]
    engine = Engine(PROGRAM)
    expected = engine.run(inputs())
    run = queue.submit(engine, [given])
    del given
    ended(queue, 1)
    outputs = run.take_outputs()
    assert all(reference() is not None for reference in kept)
    del run
    gc.collect()
    assert all(reference() is None for reference in kept)
    for name, values in outputs.items():
        np.testing.assert_array_equal(values, expected[name])


def test_what_is_not_finite_is_named(queue: RunQueue) -> None:
    engine = Engine(PROGRAM)
    name = engine.input_names[-1]
    bad = inputs()
    bad[name].flat[5] = np.nan
    run = queue.submit(engine, [bad])
    ended(queue, 1)
    assert run.not_finite == (NotFinite(0, name, 5),)
    assert run.take_outputs() == {}


def test_a_withdrawn_run_does_not_end(queue: RunQueue) -> None:
    engine = Engine(PROGRAM)
    long = [inputs()] * 300
    runs = [queue.submit(engine, long) for _ in range(20)]
    assert queue.withdraw(runs[-1])
    assert set(ended(queue, 19)) == set(runs[:-1])
    assert not queue.withdraw(runs[0])


def test_a_run_has_results_when_it_has_ended_and_outputs_once(queue: RunQueue) -> None:
    engine = Engine(PROGRAM)
    long = [inputs()] * 300
    first, *_, last = [queue.submit(engine, long) for _ in range(5)]
    for ask in (last.take_outputs, lambda: last.times, lambda: last.not_finite):
        with pytest.raises(EngineError) as refused:
            ask()
        assert refused.value.reason == "RUN_NOT_ENDED"
    ended(queue, 5)
    assert first.take_outputs()
    with pytest.raises(EngineError) as taken:
        first.take_outputs()
    assert taken.value.reason == "RUN_TAKEN"


def test_a_child_of_fork_leaves_the_queue_of_its_parent_alone(queue: RunQueue) -> None:
    """It has none of the threads; the destructor waited for them for ever."""
    script = (
        "import os, sys\n"
        "from smidgen.errors import EngineError\n"
        "from smidgen.run_queue import RunQueue\n"
        "queue = RunQueue(1)\n"
        "if os.fork() == 0:\n"
        "    try:\n"
        "        queue.take_ended()\n"
        "    except EngineError as error:\n"
        "        print(error.reason, flush=True)\n"
        "    queue.close()\n"
        "    del queue\n"
        "    sys.exit(0)\n"
        "print(os.waitstatus_to_exitcode(os.wait()[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=WAIT_S, check=True
    )
    assert done.stdout == "RUN_QUEUE_FORKED\n0\n"


def test_an_unknown_run_loses_no_other(queue: RunQueue) -> None:
    engine = Engine(PROGRAM)
    engine.submit_to(queue._queue, [inputs()])
    known = queue.submit(engine, [inputs(1)])
    assert ended(queue, 1) == [known]


def test_what_does_not_fit_is_refused(queue: RunQueue) -> None:
    engine = Engine(PROGRAM)
    with pytest.raises(KeyError):
        queue.submit(engine, [{}])
    with pytest.raises(InvalidTensorError, match="no request"):
        queue.submit(engine, [])
    doubles = {name: values.astype(np.float64) for name, values in inputs().items()}
    with pytest.raises(InvalidTensorError, match="expected contiguous float32"):
        queue.submit(engine, [doubles])
    taller = {name: np.repeat(values, 2, axis=-1) for name, values in inputs().items()}
    with pytest.raises(InvalidTensorError, match="cannot be joined"):
        queue.submit(engine, [inputs(), taller])
    assert queue.take_ended() == []


def test_the_limits_of_the_engine_hold(queue: RunQueue) -> None:
    run = queue.submit(Engine(PROGRAM, most_bytes=16), [inputs()])
    ended(queue, 1)
    with pytest.raises(InvalidTensorError) as refused:
        run.take_outputs()
    assert refused.value.reason == "INFERENCE_TOO_LARGE"


@pytest.mark.parametrize("threads", [0, MOST_RUN_THREADS + 1])
def test_numbers_of_threads_are_checked(threads: int) -> None:
    with pytest.raises(EngineError, match=f"threads is {threads}, expected 1 to 4096"):
        RunQueue(threads)


def test_closing_waits_for_what_is_there_and_ends_the_threads() -> None:
    before = _thread_count()
    queue = RunQueue(3)
    assert _thread_count() == before + 3
    assert threading.active_count() < before + 3  # they are none of Python's
    engine = Engine(PROGRAM)
    runs = [queue.submit(engine, [inputs(seed)]) for seed in range(30)]
    queue.close()
    assert _thread_count() == before
    assert set(queue.take_ended()) == set(runs)
    with pytest.raises(EngineError) as refused:
        queue.submit(engine, [inputs()])
    assert refused.value.reason == "RUN_QUEUE_CLOSED"
    queue.close()


def _thread_count() -> int:
    return len(list(Path("/proc/self/task").iterdir()))
