"""Nets whose steps the engine fuses and places side by side give the interpreter's bytes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smidgen.engine import Engine, available_isas
from smidgen.plan_description import PlanDescription
from smidgen.program import interpret
from tests.python.program.random_image_nets import RandomImageNet

THREADS = (1, 2, 3)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
@example(seed=6049518)  # a window of even width over a part of a concatenation
def test_image_nets_give_the_bytes_of_the_interpreter(seed: int) -> None:
    random = RandomImageNet(seed)
    program, inputs = random.program(), random.inputs
    expected = interpret(program, inputs)
    for isa, threads in itertools.product(available_isas(), THREADS):
        engine = Engine(program, threads=threads, isa=isa)
        for _ in range(2):  # the second run finds what the first left in memory
            for name, values in engine.run(inputs, check_finite=False).items():
                np.testing.assert_array_equal(
                    values, expected[name], err_msg=f"{isa}, {threads}, {name}"
                )


@pytest.fixture(scope="module")
def plans() -> list[PlanDescription]:
    """Plans of many nets, always the same ones."""
    described = []
    for seed in range(60):
        random = RandomImageNet(seed)
        shapes = {name: values.shape for name, values in random.inputs.items()}
        described.append(Engine(random.program(), tune=False).describe_plan(shapes))
    return described


def test_image_nets_have_fused_steps(plans: list[PlanDescription]) -> None:
    assert sum(bool(step.absorbed) for plan in plans for step in plan.steps) > 10


def test_image_nets_have_borders_slices_and_aliases(plans: list[PlanDescription]) -> None:
    assert sum(len(plan.borders) for plan in plans) > 10
    assert sum(len(plan.slices) for plan in plans) > 10
    assert sum(len(plan.aliases) for plan in plans) > 1


def test_slices_may_have_borders(plans: list[PlanDescription]) -> None:
    assert any(plan.borders.keys() & plan.slices.keys() for plan in plans)
