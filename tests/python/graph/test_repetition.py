"""Constants that are repeated for each sample take part as the constants that they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smidgen.graph.arguments import Activation, Constant, Weight
from smidgen.graph.operations import (
    Add,
    Binary,
    Cast,
    Compare,
    Concat,
    Conv2d,
    Expand,
    MatMul,
    Operation,
    OpKind,
    Reshape,
    Slice,
    Transpose,
)
from smidgen.graph.repetition import addition, for_one_sample, without_repetition, zeros

TOKENS = Activation(0, (None, 4, 6), 0)
TOKEN = Activation(1, (None, 1, 6), 1)
POSITIONS = Constant(np.arange(24, dtype=np.float32).reshape(1, 4, 6))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (Reshape((None, 2, 3)), Reshape((1, 2, 3))),
        (Expand((None, 4, 6)), Expand((1, 4, 6))),
        (Concat(1), Concat(1)),
        (Slice(2, 0, 3), Slice(2, 0, 3)),
        (Transpose((0, 2, 1)), Transpose((0, 2, 1))),
        (Add(), Add()),
        (Concat(0), None),
        (Slice(0, 0, 1), None),
        (MatMul(), None),
        (Conv2d("w", None), None),
    ],
)
def test_what_keeps_samples_apart_is_known_for_one_of_them(
    operation: Operation, expected: Operation | None
) -> None:
    assert for_one_sample(operation) == expected


def test_a_repeated_value_gives_way_to_its_constant_where_another_has_the_batch() -> None:
    repeated = Activation(2, (None, 4, 6), 2)
    assert without_repetition(Add(), (TOKENS, repeated), (None, POSITIONS)) == [TOKENS, POSITIONS]
    assert without_repetition(Add(), (repeated, TOKENS), (POSITIONS, None)) == [POSITIONS, TOKENS]


def test_a_repeated_value_stays_where_nothing_else_has_the_batch() -> None:
    repeated = Activation(2, (None, 4, 6), 2)
    weight = Weight("w", "float32", (1, 4, 6), array=np.zeros((1, 4, 6), np.float32))
    for other, source in ((repeated, POSITIONS), (weight, None)):
        inputs = (repeated, other)
        assert without_repetition(Add(), inputs, (POSITIONS, source)) == list(inputs)


def test_a_value_of_fewer_axes_has_no_batch_to_give() -> None:
    repeated, flat = Activation(2, (None, 4, 6), 2), Activation(3, (None, 6), 3)
    assert without_repetition(Add(), (repeated, flat), (POSITIONS, None)) == [repeated, flat]


def test_operations_that_do_not_broadcast_read_the_repeated_value() -> None:
    repeated = Activation(2, (None, 4, 6), 2)
    inputs = (TOKENS, repeated)
    assert without_repetition(Concat(1), inputs, (None, POSITIONS)) == list(inputs)


def test_zeros_are_what_is_less_than_itself() -> None:
    image = Activation(0, (None, 3, 1, 5), 0)
    assert zeros(image, 3, "float32") == (
        Slice(1, 0, 1), Slice(3, 0, 1), Reshape((None, 1, 1)), Compare("lt"), Cast("float32"),
    )  # fmt: skip
    assert zeros(TOKEN, 3, "int64") == (Slice(2, 0, 1), Compare("lt"), Cast("int64"))
    mask = Activation(0, (None, 1), 0, "bool")
    assert zeros(mask, 2, "bool") == (Cast("int64"), Compare("lt"))


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_zeros_follow_from_any_number(value: float) -> None:
    x = torch.tensor([value])
    assert torch.lt(x, x).float().tolist() == [0.0]


def test_adding_zeros_leaves_values_as_they_are() -> None:
    assert addition("float32") == Add()
    assert addition("int64") == Add()
    assert addition("bool") == Binary(OpKind.OR)
