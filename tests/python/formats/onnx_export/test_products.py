"""Nets of convolutions and matrix products give ONNX Runtime's bytes on the exported model.

Its int8 kernels are what counts, so the sessions optimize, and the tests look for the kernels.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.conversion import convert
from benchmarks.nets import NETS
from smidgen.engine import Engine
from smidgen.program import Add, DType, Program, TensorInfo, interpret
from smidgen.qparams import LARGEST_SCALE, SMALLEST_SCALE
from tests.python.formats.onnx_export.onnx_sessions import run, session
from tests.python.program.random_programs import RandomProgram

LARGEST_FLOAT = 3e38


class RandomProducts(RandomProgram):
    """A program of convolutions, linear layers, sums and steps that move values."""

    def _grow(self) -> None:
        source = self._source()
        if source.dtype is DType.FLOAT32:
            self._quantize(source)
            return
        rank = len(source.shape)
        rules = [self._reshape, self._add]
        rules += [self._linear] * 3 if rank == 2 else []
        rules += [self._convolve] * 6 if rank == 4 else []
        rules += [self._concat] if rank > 1 else []
        self._pick(*rules)(source)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
@example(seed=2863)
def test_random_products(seed: int) -> None:
    random = RandomProducts(seed)
    program = random.program()
    assume(all(has_exact_sum(program, step) for step in program.steps if isinstance(step, Add)))
    inputs = {name: finite(values) for name, values in random.inputs.items()}
    expected = interpret(program, inputs)
    for name, values in run(program, inputs).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


def has_exact_sum(program: Program, step: Add) -> bool:
    """Tells whether the operands have scales in units of the sum's; others are an Add in floats."""
    lhs, rhs, scale = (
        np.float32(program.tensor(name).scale) for name in (step.lhs, step.rhs, step.output)
    )
    return all(SMALLEST_SCALE <= ratio <= LARGEST_SCALE for ratio in (lhs / scale, rhs / scale))


def finite(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Replaces NaN and infinities, which ONNX does not define QuantizeLinear for."""
    if values.dtype != np.float32:
        return values
    return np.nan_to_num(values, posinf=LARGEST_FLOAT, neginf=-LARGEST_FLOAT)


def without_averages(program: Program) -> Program:
    """Returns the steps up to the first whose rounding ONNX leaves open."""
    open_steps = ("GlobalAveragePool",)
    kept = []
    for step in program.steps:
        if type(step).__name__ in open_steps:
            break
        kept.append(step)
    names = {*program.inputs, *(step.output for step in kept)}
    tensors: dict[str, TensorInfo] = {name: program.tensor(name) for name in names}
    return Program(program.inputs, (kept[-1].output,), tensors, tuple(kept), program.constants)


@pytest.mark.parametrize("name", ["digits", "mobilenet_v2"])
def test_a_net_runs_with_int8_kernels_and_gives_the_bytes(name: str, tmp_path: Path) -> None:
    net = NETS[name]
    program = without_averages(convert(net.random(), net.samples(4)))
    file = tmp_path / "optimized.onnx"
    inputs = net.samples(2, seed=1)
    assert tuple(inputs) == program.inputs
    values = session(program, optimized=str(file)).run(None, inputs)[0]
    kinds = Counter(node.op_type for node in onnx.load(file).graph.node)
    assert kinds["QLinearConv"] == sum(type(s).__name__ == "Conv2d" for s in program.steps)
    assert not kinds.keys() & {"Conv", "FusedConv", "Clip"}
    np.testing.assert_array_equal(values, Engine(program).run(inputs)[program.outputs[0]])
