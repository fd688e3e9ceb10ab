"""Programs of a few steps, built step by step, and what tests draw for them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from smidgen.engine import Engine, available_isas
from smidgen.program import (
    DType,
    Program,
    Step,
    TensorInfo,
    interpret,
)

ZERO_POINTS = (0, 1, 127, 128, 255)
CHANNELS = (1, 3, 7, 16, 17, 33, 64, 65)
THREADS = (1, 2, 3)

zero_points = st.sampled_from(ZERO_POINTS)
channel_counts = st.sampled_from(CHANNELS)
seeds = st.integers(0, 2**32 - 1)
scales = st.sampled_from([0.5, 0.02, 0.017, 1.0]).map(lambda s: float(np.float32(s)))


@st.composite
def clamps(draw: st.DrawFn) -> tuple[int, int]:
    low = draw(st.sampled_from([0, 0, 3, 100]))
    return low, draw(st.sampled_from([255, 255, 200, low]))


class LayerConstants(TypedDict):
    weight: str
    weight_scale: str
    bias: str


class Net:
    """A program under construction; every tensor and constant gets the next number as its name."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors: dict[str, TensorInfo] = {}
        self.constants: dict[str, NDArray[np.generic]] = {}
        self.steps: list[Step] = []

    def tensor(
        self,
        rank: int,
        channels: int | None = None,
        *,
        scale: float | None = 0.02,
        zero_point: int = 0,
        spatial: int | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> str:
        name = f"t{len(self.tensors)}"
        extents = shape or (None, channels, *(spatial,) * rank)[:rank]
        dtype = DType.FLOAT32 if scale is None else DType.UINT8
        rounded = None if scale is None else float(np.float32(scale))
        self.tensors[name] = TensorInfo(name, dtype, extents, rounded, zero_point)
        return name

    def constant(self, values: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = values
        return name

    def layer(self, shape: tuple[int, ...], *, extreme: bool = False) -> LayerConstants:
        """Weights, scales and biases such that outputs spread over the whole range."""
        outs, fan_in = shape[0], int(np.prod(shape[1:]))
        weight = self.rng.integers(-127, 128, shape) if not extreme else np.full(shape, -127)
        spread = 1.0 / (40.0 * np.sqrt(fan_in))
        return {
            "weight": self.constant(weight.astype(np.int8)),
            "weight_scale": self.constant(
                self.rng.uniform(0.5 * spread, spread, outs).astype(np.float32)
            ),
            "bias": self.constant(self.rng.integers(-2000, 2001, outs).astype(np.int32)),
        }

    def program(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Program:
        return Program(inputs, outputs, self.tensors, tuple(self.steps), self.constants)

    def values(self, *shape: int, full: bool = False) -> NDArray[np.uint8]:
        low = 255 if full else 0
        return self.rng.integers(low, 256, shape).astype(np.uint8)


def assert_equal_to_interpreter(
    program: Program, inputs: Mapping[str, NDArray[Any]], *, threads: tuple[int, ...] = (1, 2)
) -> None:
    expected = interpret(program, inputs)
    for isa, count in itertools.product(available_isas(), threads):
        found = Engine(program, threads=count, isa=isa).run_all(inputs, check_finite=False)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert found[name].dtype == values.dtype
            np.testing.assert_array_equal(found[name], values, err_msg=f"{isa}, {name}")
