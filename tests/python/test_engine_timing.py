"""What the engine measures of itself and of the CPU."""

from __future__ import annotations

import pytest

from smidgen.engine import Engine, available_isas, measure_peak
from smidgen.errors import EngineError, InvalidTensorError
from tests.python.program.nets import THREADS
from tests.python.program.small_network import images, small_network


@pytest.mark.parametrize("threads", THREADS)
def test_timed_runs_and_steps(threads: int) -> None:
    program = small_network()
    engine = Engine(program, threads=threads)
    x = {"t0": images(2, 3, 20, 20)}
    runs = engine.time_runs(x, rounds=4)
    assert runs.shape == (4,)
    assert runs.sum() > 0
    steps = engine.time_steps(x, rounds=3)
    assert set(steps) <= {step.output for step in program.steps}
    assert program.outputs[0] in steps
    assert all(seconds.shape == (3,) for seconds in steps.values())
    assert 0 < sum(seconds.sum() for seconds in steps.values()) < 60
    assert engine.cached_plan_count == 1


def test_timing_takes_the_inputs_of_run() -> None:
    engine = Engine(small_network())
    with pytest.raises(InvalidTensorError, match="missing"):
        engine.time_runs({}, rounds=1)
    with pytest.raises(InvalidTensorError, match="missing"):
        engine.time_steps({}, rounds=1)


@pytest.mark.parametrize("isa", available_isas())
def test_the_peak_is_measured_for_every_level_with_vectors(isa: str) -> None:
    peak = measure_peak(isa)
    if isa == "portable":
        assert peak is None
    else:
        assert peak is not None
        assert 1e8 < peak < 1e14


def test_the_peak_of_an_unknown_level_is_refused() -> None:
    with pytest.raises(EngineError):
        measure_peak("avx9")
