"""Memory stays flat however long an engine serves: `make soak`."""

from __future__ import annotations

import resource
import threading
from pathlib import Path

import numpy as np
import pytest

from smidgen.engine import Engine
from tests.python.program.random_image_nets import RandomImageNet

RUNS = 100_000
SHAPES = 200
MIB = 1 << 20

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc"),
]


def resident_bytes() -> int:
    """The memory of this process that is not swapped out."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def image_net() -> RandomImageNet:
    """A small net of one image, for any number of images at a time."""
    for seed in range(1000):
        net = RandomImageNet(seed)
        program = net.program()
        if len(net.inputs) == 1 and len(program.steps) > 6:
            (image,) = net.inputs
            if program.tensor(image).shape[0] is None:
                return net
    raise AssertionError("no seed gives such a net")


@pytest.mark.parametrize("threads", [1, 2])
def test_memory_is_flat_over_many_runs(threads: int) -> None:
    net = image_net()
    engine = Engine(net.program(), threads=threads)

    def run(count: int) -> None:
        for _ in range(count):
            engine.run(net.inputs, check_finite=False)

    callers = [threading.Thread(target=run, args=(RUNS // 10,)) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    before = resident_bytes()
    run(RUNS)
    assert resident_bytes() - before < MIB
    assert engine.cached_plan_count <= 2


def test_memory_is_flat_over_many_shapes() -> None:
    net = image_net()
    engine = Engine(net.program())
    (name,) = net.inputs
    image = net.inputs[name][:1]

    def run_all_batches() -> None:
        for batch in range(1, SHAPES + 1):
            engine.run({name: np.repeat(image, batch, axis=0)}, check_finite=False)

    for _ in range(2):
        run_all_batches()
    before = resident_bytes()
    for _ in range(5):
        run_all_batches()
    assert resident_bytes() - before < 4 * MIB
    assert engine.cached_plan_count == 8


def test_memory_is_flat_over_many_engines() -> None:
    net = image_net()
    program = net.program()

    def load_and_run(count: int) -> None:
        for _ in range(count):
            Engine(program, threads=2).run(net.inputs, check_finite=False)

    load_and_run(200)
    before = resident_bytes()
    load_and_run(1000)
    assert resident_bytes() - before < 4 * MIB
