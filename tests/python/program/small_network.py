"""A network with every step that image classifiers need, and inputs for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smidgen.program import (
    Add,
    Conv2d,
    Dequantize,
    GlobalAveragePool,
    Linear,
    Program,
    Quantize,
    Reshape,
)
from tests.python.program.nets import Net


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
