"""Where the samples stand among the axes of a file's tensor."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.graph.arguments import (
    BATCH_SIZE,
    Activation,
    ArgumentError,
    BatchMultiple,
    Joined,
    Size,
    UnsupportedCase,
)
from smidgen.graph.arrangement import (
    Arranger,
    as_seen,
    permuted,
    rows_of,
    shown,
    size,
    sizes,
    view_of,
    without,
)
from smidgen.graph.assembly import Assembly, Origin
from smidgen.graph.batch_extents import factor_of
from smidgen.graph.operations import Flatten, Reshape, Transpose

ROWS = Joined(Activation(3, (None, 4, 6), 3), ((0, 1), (2,)))
SEQUENCE = Joined(Activation(0, (None, 5, 6), 0), ((1,), (0,), (2,)))


def test_extents_are_those_that_the_file_sees() -> None:
    assert sizes(ROWS) == (BatchMultiple(4), 6)
    assert sizes(SEQUENCE) == (5, BATCH_SIZE, 6)
    assert [size(ROWS, axis) for axis in (0, 1, -1, -2)] == [
        BatchMultiple(4), 6, 6, BatchMultiple(4),
    ]  # fmt: skip
    assert (shown(ROWS), shown(SEQUENCE)) == ("[4 * ?, 6]", "[5, ?, 6]")
    for axis in (2, -3):
        with pytest.raises(ArgumentError, match=f"it uses axis {axis} of 2"):
            size(ROWS, axis)


def test_permuting_changes_only_which_axis_is_seen_where() -> None:
    found = permuted(SEQUENCE, (-2, 0, 2))
    assert found == Joined(SEQUENCE.value, ((0,), (1,), (2,)))
    with pytest.raises(ArgumentError, match=r"it permutes the axes \(0, 0, 1\) of \[5, \?, 6\]"):
        permuted(SEQUENCE, (0, 0, 1))


def test_axes_of_a_value_that_are_gone_leave_no_gap() -> None:
    assert without(((2,), (1,), (0, 4), (), (3,)), (2, 2)) == ((1,), (0, 3), (), (2,))


def test_rows_are_samples_with_the_next_axis_behind() -> None:
    assert rows_of(ROWS) == ROWS.value
    assert rows_of(SEQUENCE) is None
    assert rows_of(Joined(ROWS.value, ((0, 2), (1,)))) is None


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (ROWS, (BATCH_SIZE, 6)),
        (ROWS, (BatchMultiple(5), 6)),
        (ROWS, (24, 6)),
        (ROWS, (-1, -1)),
        (ROWS, (-1, 0)),
        (ROWS, (-2, 6)),
        (ROWS, (BatchMultiple(48), -1)),
        (ROWS, (BATCH_SIZE, BATCH_SIZE, 24)),
        (SEQUENCE, (BATCH_SIZE, 5, 6)),
        (SEQUENCE, (6, BATCH_SIZE, 5)),
        (SEQUENCE, ()),
    ],
)
def test_views_that_take_samples_apart_are_none(value: Joined, wanted: tuple[Size, ...]) -> None:
    assert view_of(value, wanted) is None


def test_a_view_is_refused_by_the_shape_that_the_file_sees() -> None:
    assembly = Assembly([])
    value = Joined(assembly.new_activation((None, 4, 6), "float32"), ((0, 1), (2,)))
    with pytest.raises(UnsupportedCase, match=r"samples \[4 \* \?, 6\] viewed otherwise"):
        Arranger(assembly, Origin("view")).viewed(value, (BatchMultiple(5), 6))


def _run(assembly: Assembly, array: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Runs the moving operations of a model on the elements of its input."""
    values = {0: array}
    for node in assembly.nodes:
        value = values[node.inputs[0]]
        match node.operation:
            case Transpose(order):
                value = value.transpose(order)
            case Reshape(shape):
                value = value.reshape([-1 if extent is None else extent for extent in shape])
            case Flatten():
                value = value.reshape(len(value), -1)
        values[node.output] = value
    return values[number]


def _as_the_file_has_it(value: Joined, array: NDArray[np.int64]) -> NDArray[np.int64]:
    """Arranges a value [N, ...] as the file sees it."""
    order = [axis for group in value.axes for axis in group]
    extents = [math.prod(array.shape[axis] for axis in group) for group in value.axes]
    return array.transpose(order).reshape(extents)


def _splits(count: int) -> list[tuple[int, ...]]:
    """Returns the ways to write a number as a product of at most two factors, or of three."""
    pairs = [(first, count // first) for first in range(1, count + 1) if count % first == 0]
    return [(count,), *pairs, *((first, 1, second) for first, second in pairs)]


BATCH = 3


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("place", [0, 1, 2])
def test_every_view_gives_the_elements_that_the_file_has(
    order: tuple[int, ...], place: int
) -> None:
    """Views of a permuted [N, 4, 6] as all products with the samples in any place."""
    elements = np.arange(BATCH * 24).reshape(BATCH, 4, 6)
    seen = elements.transpose(order)
    count = 0
    for front, back in itertools.product(_splits(4), _splits(6)):
        extents: list[Size] = [*front, *back]
        for factor in {1, *extents}:
            assert isinstance(factor, int)
            rest = [*extents]
            if factor != 1:
                rest.remove(factor)
            wanted: list[Size] = [*rest]
            wanted.insert(place, BATCH_SIZE if factor == 1 else BatchMultiple(factor))
            count += _check_view(elements, seen, order, wanted)
    assert count > 0 or order[-1] == 0


def _check_view(
    elements: NDArray[np.int64],
    seen: NDArray[np.int64],
    order: tuple[int, ...],
    wanted: list[Size],
) -> bool:
    """Checks one view against NumPy's; tells whether it is one of the samples."""
    assembly = Assembly([])
    value = permuted(as_seen(assembly.new_activation((None, 4, 6), "float32")), order)
    if view_of(value, wanted) is None:
        return False
    numbers = [BATCH * (factor_of(item) or 1) if factor_of(item) else item for item in wanted]
    expected = seen.reshape([number for number in numbers if isinstance(number, int)])
    found = Arranger(assembly, Origin("view")).viewed(value, wanted)
    joined = found if isinstance(found, Joined) else as_seen(found)
    assert sizes(joined) == tuple(wanted)
    array = _run(assembly, elements, joined.value.number)
    assert array.shape == tuple(BATCH if n is None else n for n in joined.value.shape)
    np.testing.assert_array_equal(_as_the_file_has_it(joined, array), expected)
    return True


def test_a_transposition_is_made_once() -> None:
    assembly = Assembly([])
    value = permuted(as_seen(assembly.new_activation((None, 4, 6), "float32")), (0, 2, 1))
    arranger = Arranger(assembly, Origin("permute"))
    assert arranger.plain(value) == arranger.plain(value)
    assert [node.operation for node in assembly.nodes] == [Transpose((0, 2, 1))]
