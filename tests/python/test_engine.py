"""The engine gives the bytes of the interpreter, at every level and thread count."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from smidgen.engine import Engine, available_isas, first_not_finite, measure_peak
from smidgen.errors import EngineError, InvalidTensorError, ProgramError
from smidgen.program import (
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    Dequantize,
    DType,
    GlobalAveragePool,
    Linear,
    Lookup,
    MaxPool2d,
    Multiply,
    Program,
    Quantize,
    Reshape,
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


def test_portable_is_the_first_level() -> None:
    assert available_isas()[0] == "portable"


@settings(max_examples=80, deadline=None)
@given(
    seed=seeds,
    channels=channel_counts,
    outs=channel_counts,
    kernel=st.sampled_from([(1, 1), (3, 3), (5, 5), (7, 7), (1, 3), (2, 1)]),
    stride=st.sampled_from([(1, 1), (2, 2), (1, 2), (3, 1)]),
    padding=st.sampled_from([(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 1, 0), (3, 3, 3, 3), (4, 0, 0, 5)]),
    dilation=st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2)]),
    input_zero_point=zero_points,
    output_zero_point=zero_points,
    clamp=clamps(),
    extreme=st.booleans(),
)
def test_convolution(
    seed: int,
    channels: int,
    outs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    input_zero_point: int,
    output_zero_point: int,
    clamp: tuple[int, int],
    extreme: bool,
) -> None:
    net = Net(seed)
    x = net.tensor(4, channels, zero_point=input_zero_point)
    y = net.tensor(4, outs, zero_point=output_zero_point)
    net.steps.append(
        Conv2d(
            x,
            y,
            **net.layer((outs, channels, *kernel), extreme=extreme),
            stride=stride,
            padding=padding,
            dilation=dilation,
            qmin=clamp[0],
            qmax=clamp[1],
        )
    )
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    height, width = (int(net.rng.integers(span, span + 7)) for span in spans)
    values = net.values(2, channels, height, width, full=extreme)
    assert_equal_to_interpreter(net.program((x,), (y,)), {x: values})


@settings(max_examples=50, deadline=None)
@given(
    seed=seeds,
    groups=st.sampled_from([2, 3, 16, 33, 65]),
    group_channels=st.sampled_from([1, 1, 1, 2, 5]),
    multiplier=st.sampled_from([1, 1, 1, 2, 3]),
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.sampled_from([1, 2]),
    padding=st.sampled_from([(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 0)]),
    dilation=st.sampled_from([1, 2]),
    zero_point=zero_points,
)
def test_grouped_and_depthwise_convolution(
    seed: int,
    groups: int,
    group_channels: int,
    multiplier: int,
    kernel: int,
    stride: int,
    padding: tuple[int, int, int, int],
    dilation: int,
    zero_point: int,
) -> None:
    net = Net(seed)
    channels, outs = groups * group_channels, groups * multiplier
    x = net.tensor(4, channels, zero_point=zero_point)
    y = net.tensor(4, outs, zero_point=100)
    net.steps.append(
        Conv2d(
            x,
            y,
            **net.layer((outs, group_channels, kernel, kernel)),
            stride=(stride, stride),
            padding=padding,
            dilation=(dilation, dilation),
            groups=groups,
        )
    )
    span = dilation * (kernel - 1) + 1
    height, width = (int(n) for n in net.rng.integers(span, span + 8, 2))
    values = net.values(2, channels, height, width)
    assert_equal_to_interpreter(net.program((x,), (y,)), {x: values}, threads=THREADS)


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    rows=st.integers(1, 20),
    features=st.sampled_from([1, 2, 3, 4, 5, 64, 127, 400]),
    outs=channel_counts,
    zero_point=zero_points,
    clamp=clamps(),
)
def test_linear(
    seed: int, rows: int, features: int, outs: int, zero_point: int, clamp: tuple[int, int]
) -> None:
    net = Net(seed)
    x = net.tensor(2, features, zero_point=zero_point)
    y = net.tensor(2, outs, zero_point=128)
    net.steps.append(Linear(x, y, **net.layer((outs, features)), qmin=clamp[0], qmax=clamp[1]))
    program = net.program((x,), (y,))
    assert_equal_to_interpreter(program, {x: net.values(rows, features)}, threads=THREADS)


def test_ties_round_to_even() -> None:
    """The multiplier is one half, so every odd accumulator is a tie."""
    net = Net(0)
    x = net.tensor(2, 1, scale=1.0)
    y = net.tensor(2, 1, scale=1.0, zero_point=3)
    constants: LayerConstants = {
        "weight": net.constant(np.array([[1]], np.int8)),
        "weight_scale": net.constant(np.array([0.5], np.float32)),
        "bias": net.constant(np.array([0], np.int32)),
    }
    net.steps.append(Linear(x, y, **constants))
    program = net.program((x,), (y,))
    values = np.arange(8, dtype=np.uint8).reshape(-1, 1)
    for isa in available_isas():
        found = Engine(program, isa=isa).run({x: values})[y]
        assert found.ravel().tolist() == [3, 3, 4, 5, 5, 5, 6, 7]


def test_accumulators_beyond_the_exact_floats() -> None:
    """Above 2**24, the conversion to float32 rounds; it must round alike everywhere."""
    net = Net(0)
    x = net.tensor(2, 3000, scale=0.001, zero_point=255)
    y = net.tensor(2, 17, scale=1000.0)
    net.steps.append(Linear(x, y, **net.layer((17, 3000), extreme=True)))
    values = np.concatenate([net.values(2, 3000), np.zeros((1, 3000), np.uint8)])
    assert_equal_to_interpreter(net.program((x,), (y,)), {x: values}, threads=THREADS)


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    shape=st.sampled_from([(1, 7), (3, 65), (2, 3, 5), (1, 17, 3, 4), (2, 64, 9, 9), (5,)]),
    lhs=st.tuples(scales, zero_points),
    rhs=st.tuples(scales, zero_points),
    output=st.tuples(scales, zero_points),
    clamp=clamps(),
)
def test_add(
    seed: int,
    shape: tuple[int, ...],
    lhs: tuple[float, int],
    rhs: tuple[float, int],
    output: tuple[float, int],
    clamp: tuple[int, int],
) -> None:
    net = Net(seed)
    a, b, y = (
        net.tensor(len(shape), scale=scale, zero_point=zero_point)
        for scale, zero_point in (lhs, rhs, output)
    )
    net.steps.append(Add(a, b, y, qmin=clamp[0], qmax=clamp[1]))
    inputs = {a: net.values(*shape), b: net.values(*shape)}
    assert_equal_to_interpreter(net.program((a, b), (y,)), inputs)


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    shapes=st.sampled_from(
        [
            ((3, 65), (3, 65)),
            ((2, 3, 5), (2, 3, 5)),
            ((2, 17, 3, 4), (2, 17, 3, 4)),
            ((2, 1, 9, 4), (2, 1, 1, 1)),
            ((2, 33, 1, 5), (2, 33, 1, 1)),
            ((3, 64, 9, 9), (3, 64, 1, 1)),
            ((1, 70, 1, 1), (1, 70, 1, 1)),
        ]
    ),
    is_factor_first=st.booleans(),
    qparams=st.tuples(*[st.tuples(scales, zero_points)] * 3),
    clamp=clamps(),
)
def test_multiply(
    seed: int,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    is_factor_first: bool,
    qparams: tuple[tuple[float, int], ...],
    clamp: tuple[int, int],
) -> None:
    net = Net(seed)
    lhs, rhs = shapes[::-1] if is_factor_first else shapes
    a, b, y = (
        net.tensor(len(lhs), scale=scale, zero_point=zero_point, shape=shape)
        for (scale, zero_point), shape in zip(qparams, (lhs, rhs, shapes[0]), strict=True)
    )
    net.steps.append(Multiply(a, b, y, qmin=clamp[0], qmax=clamp[1]))
    inputs = {a: net.values(*lhs), b: net.values(*rhs)}
    assert_equal_to_interpreter(net.program((a, b), (y,)), inputs, threads=THREADS)


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    channels=channel_counts,
    kernel=st.sampled_from([(1, 1), (2, 2), (3, 3), (5, 4)]),
    stride=st.sampled_from([(1, 1), (2, 2), (3, 1)]),
    padded=st.booleans(),
    dilation=st.sampled_from([(1, 1), (2, 2)]),
    count_include_pad=st.booleans(),
    zero_point=zero_points,
    output=st.tuples(scales, zero_points),
)
def test_pooling(
    seed: int,
    channels: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padded: bool,
    dilation: tuple[int, int],
    count_include_pad: bool,
    zero_point: int,
    output: tuple[float, int],
) -> None:
    net = Net(seed)
    x = net.tensor(4, channels, zero_point=zero_point)
    largest = net.tensor(4, channels, zero_point=zero_point)
    mean, overall = (net.tensor(4, scale=output[0], zero_point=output[1]) for _ in range(2))
    half = (kernel[0] // 2, kernel[1] // 2) if padded else (0, 0)
    padding = (half[0], half[1], half[0], half[1] // 2)
    net.steps += [
        MaxPool2d(x, largest, kernel, stride, padding, dilation),
        AveragePool2d(x, mean, kernel, stride, padding, count_include_pad),
        GlobalAveragePool(x, overall, qmin=2, qmax=240),
    ]
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    height, width = (int(net.rng.integers(span, span + 7)) for span in spans)
    values = net.values(2, channels, height, width)
    program = net.program((x,), (largest, mean, overall))
    assert_equal_to_interpreter(program, {x: values}, threads=THREADS)


@pytest.mark.parametrize(
    "shape", [(1, 3), (2, 17, 5), (3, 7, 4, 5), (2, 64, 1, 1), (1, 2, 3, 4, 5)]
)
def test_concatenation_and_lookup(shape: tuple[int, ...]) -> None:
    net = Net(7)
    rank = len(shape)
    other = (shape[0], shape[1] + 4, *shape[2:])
    a, b, joined, y = (net.tensor(rank, zero_point=9) for _ in range(4))
    table = net.rng.permutation(256).astype(np.uint8)
    net.steps += [Concat((a, b, a), joined), Lookup(joined, y, net.constant(table))]
    inputs = {a: net.values(*shape), b: net.values(*other)}
    assert_equal_to_interpreter(net.program((a, b), (y,)), inputs)


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((2, 3, 4, 5), (0, -1)),
        ((2, 3, 4, 5), (0, 5, -1, 2)),
        ((2, 3, 4, 5), (2, 4, 3, 5)),
        ((2, 3, 4, 5), (-1,)),
        ((2, 60), (0, 3, 4, 5)),
        ((2, 60), (0, 1, 6, 10)),
        ((1, 1, 4, 5), (1, 20)),
        ((2, 6, 1, 1), (0, 6)),
        ((2, 3, 4), (0, 12, 1)),
    ],
)
@pytest.mark.parametrize("scale", [0.5, None])
def test_reshape_keeps_the_logical_order(
    shape: tuple[int, ...], target: tuple[int, ...], scale: float | None
) -> None:
    net = Net(1)
    x = net.tensor(len(shape), scale=scale, shape=shape)
    y = net.tensor(len(target), scale=scale)
    net.steps.append(Reshape(x, y, target))
    values = net.values(*shape)
    inputs = {x: values if scale else values.astype(np.float32)}
    assert_equal_to_interpreter(net.program((x,), (y,)), inputs)


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    shape=st.sampled_from(
        [(5,), (3, 17), (2, 3, 9, 31), (1, 1, 8, 8), (2, 33, 1, 1), (1, 16, 20, 20)]
    ),
    scale=scales,
    zero_point=zero_points,
)
def test_quantize_and_dequantize(
    seed: int, shape: tuple[int, ...], scale: float, zero_point: int
) -> None:
    net = Net(seed)
    rank = len(shape)
    x, q, y = (
        net.tensor(rank, scale=s, zero_point=z)
        for s, z in ((None, 0), (scale, zero_point), (None, 0))
    )
    net.steps += [Quantize(x, q), Dequantize(q, y)]
    values = (net.rng.normal(0, 100 * scale, shape)).astype(np.float32)
    special = np.array(
        [np.nan, np.inf, -np.inf, 0.5 * scale, 1.5 * scale, -0.5 * scale, 1e-42, -0.0, 3e38],
        np.float32,
    )
    places = net.rng.integers(0, values.size, special.size)
    values.reshape(-1)[places] = special
    assert_equal_to_interpreter(net.program((x,), (q, y)), {x: values})


def small_network(seed: int = 0) -> Program:
    net = Net(seed)
    x = net.tensor(4, 3, scale=None)
    q = net.tensor(4, 3, scale=0.02, zero_point=128)
    stem = net.tensor(4, 24)
    deep = net.tensor(4, 24, zero_point=5)
    point = net.tensor(4, 24, zero_point=120)
    total = net.tensor(4, 24, scale=0.04, zero_point=60)
    pooled = net.tensor(4, 24, zero_point=60, spatial=1)
    flat = net.tensor(2, 24, zero_point=60)
    classes = net.tensor(2, 10, zero_point=128)
    y = net.tensor(2, 10, scale=None)
    net.steps += [
        Quantize(x, q),
        Conv2d(q, stem, **net.layer((24, 3, 3, 3)), stride=(2, 2), padding=(0, 0, 1, 1)),
        Conv2d(stem, deep, **net.layer((24, 1, 3, 3)), padding=(1, 1, 1, 1), groups=24, qmin=5),
        Conv2d(deep, point, **net.layer((24, 24, 1, 1))),
        Add(stem, point, total),
        GlobalAveragePool(total, pooled),
        Reshape(pooled, flat, (0, 24)),
        Linear(flat, classes, **net.layer((10, 24))),
        Dequantize(classes, y),
    ]
    return net.program((x,), (y,))


def images(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


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


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 3, 12, 12), np.float64),
        np.zeros((1, 3, 12, 12), ">f4"),
        np.zeros((1, 3, 12, 24), np.float32)[..., ::2],
    ],
    ids=["type", "byte-order", "gaps"],
)
def test_inputs_that_were_not_checked_after_all_are_refused(array: NDArray[Any]) -> None:
    engine = Engine(small_network())
    engine.run({"t0": images(1, 3, 12, 12)})
    for run in (engine.run_checked, engine.run_planned):
        with pytest.raises(InvalidTensorError, match=r"input 0 is .*expected contiguous float32"):
            run({"t0": array})


@pytest.mark.parametrize("shape", [(1, 2, 12, 12), (1, 3, 12), (0, 3, 12, 12)])
def test_checked_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    engine = Engine(small_network())
    with pytest.raises(InvalidTensorError):
        engine.run_checked({"t0": np.zeros(shape, np.float32)})


@given(
    hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=40), elements=st.floats(width=32))
)
def test_values_that_are_not_finite_are_found_as_numpy_finds_them(
    values: NDArray[np.float32],
) -> None:
    wrong = np.flatnonzero(~np.isfinite(values))
    assert first_not_finite(values) == (int(wrong[0]) if wrong.size else None)


def test_a_global_average_whose_sum_leaves_int32_is_refused() -> None:
    net = Net(0)
    x = net.tensor(4, 1)
    y = net.tensor(4, 1, spatial=1)
    net.steps.append(GlobalAveragePool(x, y))
    engine = Engine(net.program((x,), (y,)))
    with pytest.raises(InvalidTensorError, match="may leave int32"):
        engine.run({x: np.zeros((1, 1, 3000, 3000), np.uint8)})
    full = np.full((1, 1, 2900, 2900), 255, np.uint8)
    assert engine.run({x: full})[y].tolist() == [[[[255]]]]


def test_an_input_may_be_an_output() -> None:
    net = Net(0)
    x, q = net.tensor(4, 2, scale=None), net.tensor(4, 2)
    net.steps.append(Quantize(x, q))
    program = net.program((x,), (q, x))
    values = images(1, 2, 3, 4)
    found = Engine(program).run({x: values})
    np.testing.assert_array_equal(found[x], values)
    assert not np.shares_memory(found[x], values)


def test_inputs_need_not_be_contiguous() -> None:
    program = small_network()
    x = images(2, 20, 20, 3).transpose(0, 3, 1, 2)
    assert not x.flags.c_contiguous
    found = Engine(program).run({"t0": x})
    np.testing.assert_array_equal(found["t9"], interpret(program, {"t0": x})["t9"])


def test_inputs_need_not_be_aligned() -> None:
    program = small_network()
    x = images(1, 3, 8, 8)
    shifted = np.frombuffer(b"." + x.tobytes(), np.float32, offset=1).reshape(x.shape)
    assert not shifted.flags.aligned
    found = Engine(program).run({"t0": shifted})
    np.testing.assert_array_equal(found["t9"], interpret(program, {"t0": x})["t9"])


@pytest.mark.parametrize(
    ("inputs", "reason", "metadata"),
    [
        ({}, "INPUT_MISSING", {"expected": "t0"}),
        (
            {"t0": images(1, 3, 8, 8), "extra": images(1)},
            "INPUT_UNKNOWN",
            {"found": "extra", "expected": "t0"},
        ),
        (
            {"t0": images(1, 3, 8, 8).astype(np.float64)},
            "TENSOR_DTYPE_MISMATCH",
            {"found": "float64", "expected": "float32"},
        ),
        (
            {"t0": images(1, 4, 8, 8)},
            "TENSOR_SHAPE_MISMATCH",
            {"found": "[1, 4, 8, 8]", "expected": "[?, 3, ?, ?]"},
        ),
        ({"t0": images(1, 3, 8)}, "TENSOR_SHAPE_MISMATCH", {"found": "[1, 3, 8]"}),
        ({"t0": images(0, 3, 8, 8)}, "TENSOR_SHAPE_MISMATCH", {"found": "[0, 3, 8, 8]"}),
        ({"t0": images(1, 3, 1, 8)}, "TENSOR_SHAPE_MISMATCH", {}),
        ({"t0": np.full((1, 3, 8, 8), np.inf, np.float32)}, "TENSOR_NOT_FINITE", {"tensor": "t0"}),
    ],
)
def test_bad_inputs_are_refused(
    inputs: Mapping[str, NDArray[Any]], reason: str, metadata: Mapping[str, str]
) -> None:
    engine = Engine(small_network())
    with pytest.raises(InvalidTensorError) as caught:
        engine.run(inputs)
    assert caught.value.reason == reason
    assert metadata.items() <= caught.value.metadata.items()


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


def test_unverified_programs_are_refused() -> None:
    net = Net(0)
    x, q = net.tensor(4, 2, scale=None), net.tensor(4, 2)
    net.steps += [Quantize(x, q), Quantize(x, q)]
    with pytest.raises(ProgramError):
        Engine(net.program((x,), (q,)))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"isa": "sse9"}, "ISA_UNKNOWN"),
        ({"threads": 0}, "THREADS_OUT_OF_RANGE"),
        ({"threads": 1000}, "THREADS_OUT_OF_RANGE"),
    ],
)
def test_impossible_engines_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(EngineError) as caught:
        Engine(small_network(), **options)
    assert caught.value.reason == reason


def test_levels_that_the_cpu_lacks_are_refused_by_name() -> None:
    for isa in {"avx2", "avxvnni", "avx512vnni", "amx"} - set(available_isas()):
        with pytest.raises(EngineError, match=isa) as caught:
            Engine(small_network(), isa=isa)
        assert caught.value.reason == "ISA_UNAVAILABLE"


def test_the_environment_caps_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_ISA", "portable")
    assert Engine(small_network()).isa == "portable"
    assert Engine(small_network(), isa=available_isas()[-1]).isa == available_isas()[-1]
    monkeypatch.setenv("SMIDGEN_ISA", "nonsense")
    with pytest.raises(EngineError, match="nonsense"):
        Engine(small_network())
    monkeypatch.delenv("SMIDGEN_ISA")
    assert Engine(small_network(), threads=3).isa == available_isas()[-1]


def test_the_engine_does_not_import_torch() -> None:
    code = "import sys, smidgen.engine; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
