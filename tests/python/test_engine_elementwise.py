"""Sums, products and conversions give the bytes of the interpreter."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.program import (
    Add,
    Dequantize,
    Multiply,
    Quantize,
)
from tests.python.program.nets import (
    THREADS,
    Net,
    assert_equal_to_interpreter,
    clamps,
    scales,
    seeds,
    zero_points,
)


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
