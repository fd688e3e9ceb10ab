"""Convolutions and linear layers give the interpreter's bytes, at every level and thread count."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.engine import Engine, available_isas
from smidgen.program import (
    Conv2d,
    Linear,
)
from tests.python.program.nets import (
    THREADS,
    LayerConstants,
    Net,
    assert_equal_to_interpreter,
    channel_counts,
    clamps,
    seeds,
    zero_points,
)


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
