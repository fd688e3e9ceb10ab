"""The layers of nets, and how much work they are."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.layers import Layer, every_layer_of, layers_of
from smidgen.engine import Engine
from smidgen.program.multiplications import total_multiplications


@pytest.mark.parametrize(
    ("net", "layers", "multiplications"),
    [
        ("resnet18", 21, 1_814_073_344),
        ("resnet50", 54, 4_089_184_256),
        ("mobilenet_v2", 53, 300_774_272),
        ("minilm_l6", 37, 1_359_101_952),
    ],
)
def test_nets_have_the_published_work(net: str, layers: int, multiplications: int) -> None:
    found = every_layer_of(net, 1)
    assert len(found) == layers
    assert sum(layer.multiplications for layer in found) == multiplications


def test_each_different_layer_is_listed_once_in_the_order_of_the_net() -> None:
    found = layers_of("resnet18", 1)
    assert len(set(found)) == len(found) == 12
    assert str(found[0]) == "7x7 3->64 @224 s2"
    assert str(found[-1]) == "linear 1x1000x512"


def test_batch_multiplies_the_work() -> None:
    one, eight = (sum(x.multiplications for x in layers_of("digits", n)) for n in (1, 8))
    assert eight == 8 * one


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (Layer(1, 3, 8, (9, 9), (3, 3), 2, 1), "stem"),
        (Layer(2, 16, 8, (5, 5)), "1x1"),
        (Layer(1, 16, 8, (6, 6), (3, 3), 1, 1), "window"),
        (Layer(1, 16, 16, (7, 7), (5, 5), 2, 2, groups=16), "depthwise"),
        (Layer(4, 16, 8, is_linear=True), "linear"),
    ],
)
def test_the_program_of_a_layer_does_the_work_of_the_layer(layer: Layer, kind: str) -> None:
    assert layer.kind == kind
    program = layer.program()
    assert total_multiplications(program, layer.batch) == layer.multiplications
    shape = (layer.batch, layer.inputs, *(() if layer.is_linear else layer.image))
    output = Engine(program, tune=False).run({"x": np.ones(shape, np.float32)})["y"]
    assert output.size == layer.rows * layer.outputs
