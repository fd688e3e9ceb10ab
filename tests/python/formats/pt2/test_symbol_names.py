"""Names of our own for the symbolic extents of a file."""

from __future__ import annotations

import pytest

from smidgen.formats.pt2.records import RangeConstraint
from smidgen.formats.pt2.symbol_names import SymbolNames
from smidgen.formats.pt2.symbols import Expression, Operation, Symbol

BATCH, LENGTH, WIDTH = Symbol("s0__import__"), Symbol("s77"), Symbol("s91")


@pytest.fixture
def names() -> SymbolNames:
    found = SymbolNames(
        BATCH.name,
        {BATCH.name: RangeConstraint(1, 64), LENGTH.name: RangeConstraint(2, None)},
    )
    found.add(BATCH, "x", 0)
    found.add(LENGTH, "x", 1)
    found.add(Operation("Mul", (2, WIDTH)), "mask", 2)
    return found


def test_an_axis_is_told_by_its_input_its_name_and_its_range(names: SymbolNames) -> None:
    message = names.refused_axis(LENGTH, "x", 1)
    assert message.startswith("axis 1 of the input 'x' is dynamic: D1, 2 to any number. ")
    assert "leave the axis out of dynamic_shapes" in message
    assert "s77" not in message


def test_another_first_axis_is_to_have_the_batch_of_the_others(names: SymbolNames) -> None:
    message = names.refused_axis(LENGTH, "mask", 0)
    assert "give axis 0 of 'mask' and of 'x' one torch.export.Dim." in message


def test_a_model_without_dynamic_samples_may_have_them_behind() -> None:
    found = SymbolNames(None, {})
    found.add(LENGTH, "x", 1)
    message = found.refused_axis(LENGTH, "x", 1)
    assert "D1, 0 to any number" in message
    assert "export a module that takes them first and transposes inside" in message


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        (BATCH, "the size batch, where batch (axis 0 of 'x') is 1 to 64."),
        (Operation("Add", (1, Operation("Mul", (2, WIDTH)))),
         "the size (1 + (2 * D2)), where D2 (axis 2 of 'mask') is 0 to any number."),
        (Operation("Max", (BATCH, LENGTH)),
         "the size Max(batch, D1), where batch (axis 0 of 'x') is 1 to 64, "
         "where D1 (axis 1 of 'x') is 2 to any number."),
        (Symbol("free"), "the size D?, where D? is 0 to any number."),
    ],
)  # fmt: skip
def test_the_size_of_a_value_is_told_by_where_its_symbols_come_from(
    names: SymbolNames, expression: Expression, shown: str
) -> None:
    message = names.refused_value(expression, "cat")
    assert message.startswith(f"'cat' has an axis of {shown} Only the first axis may depend on")


def test_a_long_expression_is_cut(names: SymbolNames) -> None:
    expression = Operation("Add", tuple(Operation("Mul", (number, LENGTH)) for number in range(60)))
    message = names.refused_value(expression, "cat")
    assert "..." in message
    assert len(message) < 450
