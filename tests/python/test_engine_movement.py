"""Steps that move or look up bytes give those of the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.program import (
    Concat,
    Lookup,
    Reshape,
)
from tests.python.program.nets import Net, assert_equal_to_interpreter


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
