"""Batches that do not fit into the cache, whose first steps run sample by sample."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from smidgen.engine import Engine
from tests.python.program.random_image_nets import RandomImageNet

SAMPLES, PIECE = 90, 18


def nets_of_one_image() -> Iterator[RandomImageNet]:
    """Yields nets that take any number of float images at a time."""
    for seed in itertools.count():
        net = RandomImageNet(seed)
        program = net.program()
        if len(net.inputs) == 1 and len(program.steps) > 6:
            ((image, example),) = net.inputs.items()
            if program.tensor(image).shape[0] is None and example.dtype == np.float32:
                yield net


@pytest.mark.parametrize("net", list(itertools.islice(nets_of_one_image(), 3)), ids=["0", "1", "2"])
def test_a_large_batch_gives_the_bytes_of_smaller_ones(net: RandomImageNet) -> None:
    """In the first of them a step joins what later steps read with what they do not."""
    engine = Engine(net.program(), threads=2)
    ((name, example),) = net.inputs.items()
    values = np.random.default_rng(0).normal(size=(SAMPLES, *example.shape[1:])) * 50
    images = values.astype(np.float32)
    found = engine.run({name: images}, check_finite=False)
    pieces = [
        engine.run({name: images[at : at + PIECE]}, check_finite=False)
        for at in range(0, SAMPLES, PIECE)
    ]
    assert set(found) == set(pieces[0])
    for output, whole in found.items():
        np.testing.assert_array_equal(whole, np.concatenate([piece[output] for piece in pieces]))
