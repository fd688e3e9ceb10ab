"""Pooling gives the bytes of the interpreter, or is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.engine import Engine
from smidgen.errors import InvalidTensorError
from smidgen.program import (
    AveragePool2d,
    GlobalAveragePool,
    MaxPool2d,
)
from tests.python.program.nets import (
    THREADS,
    Net,
    assert_equal_to_interpreter,
    channel_counts,
    scales,
    seeds,
    zero_points,
)


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
