"""Names of memory that operators write to."""

from __future__ import annotations

import pytest

from smidgen.formats.pt2.memory import WrittenMemory
from smidgen.graph.arguments import Activation, UnsupportedCase

SHAPE = (None, 3)


def _value(number: int, storage: int) -> Activation:
    return Activation(number, SHAPE, storage)


def test_what_was_not_written_to_stays() -> None:
    assert WrittenMemory().current(_value(1, 1), "x") == _value(1, 1)


def test_a_written_value_stands_for_the_last_result() -> None:
    memory = WrittenMemory()
    memory.write(_value(1, 1), _value(2, 2), "relu_")
    memory.write(_value(2, 2), _value(3, 3), "add_")
    assert memory.current(_value(1, 1), "x") == _value(3, 3)
    assert memory.current(_value(2, 2), "y") == _value(3, 3)
    memory.write(_value(3, 3), _value(4, 4), "mul_")
    assert memory.current(_value(1, 1), "x") == _value(4, 4)


def test_other_views_of_written_memory_are_refused() -> None:
    memory = WrittenMemory()
    memory.write(_value(1, 1), _value(3, 2), "'relu_' (net.py:1 in f)")
    with pytest.raises(
        UnsupportedCase,
        match=r"'view', a view of memory that 'relu_' \(net.py:1 in f\) has written",
    ):
        memory.current(_value(2, 1), "view")
    assert memory.current(_value(1, 9), "copy") == _value(1, 9)


def test_a_write_that_changes_nothing_spoils_nothing() -> None:
    memory = WrittenMemory()
    memory.write(_value(1, 1), _value(1, 1), "dropout_")
    assert memory.current(_value(2, 1), "view") == _value(2, 1)


def test_a_reshaping_in_place_that_is_taken_back_ends() -> None:
    memory = WrittenMemory()
    memory.write(_value(1, 1), _value(2, 1), "unsqueeze_")
    memory.write(_value(2, 1), _value(1, 1), "squeeze_")
    assert memory.current(_value(1, 1), "x") == _value(1, 1)
    assert memory.current(_value(2, 1), "y") == _value(1, 1)


def test_a_long_chain_of_writes_is_gone_once() -> None:
    memory = WrittenMemory()
    count = 20_000
    for number in range(count):
        memory.write(_value(number, number), _value(number + 1, number + 1), "add_")
    for number in range(count):
        assert memory.current(_value(number, number), "x") == _value(count, count)
